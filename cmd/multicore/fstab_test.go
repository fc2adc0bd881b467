package main

import (
	"strings"
	"testing"
)

func TestAsHelper(t *testing.T) {
	const byFuse = "multicore /s /m -o "
	for line, want := range map[string]string{
		// What no helper is called with.
		"multicore":                    "",
		"multicore mount /m":           "",
		"multicore mount /m -o ro":     "",
		"multicore /s /m":              "",
		"multicore --store /s mount x": "",
		"multicore append a b":         "",

		byFuse + "dev,suid": "--store=/s mount --daemon --fsname=/s -- /m",
		byFuse + "rw,noatime,x-systemd.automount,_netdev,nofail,user=joe,comment=a,dev,suid": "--store=/s mount --daemon --fsname=/s -- /m",
		byFuse + "ro":                                "--store=/s mount --daemon --read-only --fsname=/s -- /m",
		byFuse + "ro,rw":                             "--store=/s mount --daemon --fsname=/s -- /m",
		byFuse + "rw,ro":                             "--store=/s mount --daemon --read-only --fsname=/s -- /m",
		byFuse + "sync,nonempty":                     "--store=/s mount --daemon --sync=always --allow-non-empty --fsname=/s -- /m",
		byFuse + "sync=group":                        "--store=/s mount --daemon --sync=group --fsname=/s -- /m",
		byFuse + "key=abc,read_only":                 "--store=/s mount --daemon --key=abc --read-only --fsname=/s -- /m",
		byFuse + "mdns=false,dht=off":                "--store=/s mount --daemon --mdns=false --dht=off --fsname=/s -- /m",
		byFuse + "allow_other,uid=7,gid=8,umask=027": "--store=/s mount --daemon --allow-other --uid=7 --gid=8 --umask=027 --fsname=/s -- /m",
		byFuse + "log_file=/l=1,read-timeout=3s,peer=/a,peer=/b":   "--store=/s mount --daemon --log-file=/l=1 --read-timeout=3s --peer=/a --peer=/b --fsname=/s -- /m",
		byFuse + "fsname=x,verbose":                                "--store=/s mount --daemon --fsname=x --verbose -- /m",
		"multicore none /m -o rw":                                  "mount --daemon --fsname=none -- /m",
		"/sbin/mount.multicore /s /m":                              "--store=/s mount --daemon --fsname=/s -- /m",
		"mount.fuse.multicore /s /m -n -v -o ro -t fuse.multicore": "--store=/s mount --daemon --read-only --fsname=/s -- /m",
		"mount.multicore /s /m -s -o bogus,ro":                     "--store=/s mount --daemon --read-only --fsname=/s -- /m",
		"mount.multicore /s /m -f":                                 "version",

		byFuse + "bogus":              "error: no mount option bogus; ",
		byFuse + "ro,allow_root":      "error: no mount option allow_root; ",
		byFuse + "store=/other":       "error: no mount option store; ",
		byFuse + "daemon":             "error: no mount option daemon; ",
		byFuse + "key":                "error: mount option key needs a value: key=…",
		"mount.multicore /s /m -x":    "error: no flag -x; called as mount(8) calls its helpers: mount.multicore STORE MNT -o OPTIONS",
		"mount.multicore /s /m -n -o": "error: flag -o needs a value",
	} {
		app := (&program{}).app()
		args, helper, err := asHelper(strings.Fields(line), app)
		got := strings.Join(args, " ")
		switch {
		case err != nil:
			if !strings.HasPrefix("error: "+err.Error(), want) || want == "" {
				t.Errorf("%s: %v, want %q", line, err, want)
			}
		case helper != (want != ""):
			t.Errorf("%s: helper is %v", line, helper)
		case !helper && got != line:
			t.Errorf("%s became %s", line, got)
		case helper && strings.Join(args[1:], " ") != want:
			t.Errorf("%s\n got %s\nwant %s", line, strings.Join(args[1:], " "), want)
		case helper:
			if _, err := arrange(args, app); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}
