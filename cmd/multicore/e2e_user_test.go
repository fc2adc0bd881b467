package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asUser runs a script as a user who is not root, with the command in PATH and a
// /dev/fuse that everybody may use, as other machines have it; a script before
// that is run by root, in the same mount namespace. It gives what both printed.
func (l *lab) asUser(asRoot, script string) string {
	l.t.Helper()
	needs(l.t, os.Geteuid() == 0, "root, to become a user")
	for _, tool := range []string{"unshare", "setpriv", "mknod", "fusermount3"} {
		_, err := exec.LookPath(tool)
		needs(l.t, err == nil, tool)
	}
	return l.must("unshare", "--mount", "bash", "-euc", `
		mkdir -p private home/user bin
		mount -t tmpfs -o dev,mode=755 none private
		mknod -m 666 private/fuse c 10 229
		mount --bind private/fuse /dev/fuse
		[ -e bin/multicore ] || cp -L "$(command -v multicore)" bin/multicore
		chmod 755 . .. bin home
		chown 65534:65534 home/user
		`+asRoot+`
		cd home/user
		PATH=$OLDPWD/bin:$PATH HOME=$PWD TMPDIR=$PWD XDG_RUNTIME_DIR=$PWD exec setpriv --reuid 65534 --regid 65534 --clear-groups bash -euc "$0"`,
		script)
}

// TestE2EDemoAsUser runs scripts/demo.sh as a user, through fusermount3.
func TestE2EDemoAsUser(t *testing.T) {
	l := newLab(t)
	demo, err := filepath.Abs("../../scripts/demo.sh")
	if err != nil {
		t.Fatal(err)
	}
	out := l.asUser("mkdir home/user/scripts; cp '"+demo+"' home/user/scripts/; chmod -R a+rX home/user",
		`id -u; bash scripts/demo.sh "$(command -v multicore)"`)
	if !strings.HasPrefix(out, "65534\n") || !strings.HasSuffix(out, "what was read is what was written\x1b[0m\n") {
		t.Errorf("the demo says %q", out)
	}
}

// TestE2EUser does, as a user, what needs fusermount3: mistakes are one line, a
// mount that a crash left is cleared, a busy one is left, and others are let in
// only where root allows it.
func TestE2EUser(t *testing.T) {
	l := newLab(t)
	const script = `
		export MULTICORE_DHT=off MULTICORE_MDNS=false MULTICORE_LISTEN=/ip4/127.0.0.1/tcp/0
		multicore mount mnt --daemon --quiet >first
		grep -c '^mounted on ' first
		findmnt -n -o FSTYPE,SOURCE mnt | tr -s ' '
		findmnt -n -o OPTIONS mnt | grep -o 'nosuid,nodev,noexec'
		kill -9 "$(multicore status | sed -n 's/^process *//p')"
		multicore mount mnt --daemon >/dev/null
		exec 5>>mnt/append 6<mnt/core-3/log
		printf 'the end is missing' >&5
		multicore unmount mnt
		findmnt mnt || echo gone
		multicore cat core-3; echo
		exec 5>&- 6<&-
		mkdir closed; chmod 555 closed
		multicore mount closed --daemon 2>&1 || echo "exit code $?"
		multicore mount other --daemon --allow-other --umask 0 2>&1 >/dev/null || echo "exit code $?"
		if findmnt -n other >/dev/null; then stat -c '%U %A' other/append; multicore unmount other; fi`
	common := "1\nfuse.multicore multicore\nnosuid,nodev,noexec\ngone\nthe end is missing\n"
	out := l.asUser(":", script)
	home := l.path("home", "user")
	expect(t, "what a user's script prints", out, common+
		"multicore: cannot mount on "+home+"/closed: fusermount3: user has no write access to mountpoint "+home+"/closed\nexit code 9\n"+
		"multicore: cannot mount on "+home+"/other: other users may be let in only by root, or where /etc/fuse.conf has a line user_allow_other\nexit code 9\n")

	// With that line.
	out = l.asUser("rm -r home/user; mkdir home/user; chown 65534:65534 home/user; echo user_allow_other >fuse.conf; mount --bind fuse.conf /etc/fuse.conf", script)
	if !strings.HasPrefix(out, common) || !strings.HasSuffix(out, "\nnobody --w--w--w-\n") {
		t.Errorf("where root allows it: %q", out)
	}
}
