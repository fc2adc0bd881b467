package main

import (
	"os"
	"os/exec"
	"testing"
)

// namespaced runs a script in a mount namespace of its own, where the command is in
// /usr/local/bin, as mount(8) looks for it, and gives what it printed.
func (l *lab) namespaced(script string) string {
	l.t.Helper()
	needs(l.t, os.Geteuid() == 0, "root")
	for _, tool := range []string{"unshare", "mount", "mount.fuse3"} {
		_, err := exec.LookPath(tool)
		needs(l.t, err == nil, tool)
	}
	return l.must("unshare", "--mount", "bash", "-euc", `
		net=dht=off,mdns=false,listen=/ip4/127.0.0.1/tcp/0
		mkdir -p mnt
		bin=$(mktemp -d "$PWD/bin.XXXXXX")
		cp -L "$(command -v multicore)" "$bin/multicore"
		mount --bind "$bin" /usr/local/bin
		trap 'umount -l mnt 2>/dev/null || true' EXIT
		`+script)
}

// TestE2EMountCommand mounts with mount(8), which returns once the mount is
// usable and no sooner.
func TestE2EMountCommand(t *testing.T) {
	l := newLab(t)
	got := l.namespaced(`
		mount -t fuse.multicore "$PWD/A" "$PWD/mnt" -o "umask=0,x-test,_netdev,$net" 2>first.err
		stat -c '%A' mnt/append
		findmnt -n -o FSTYPE mnt
		[ "$(findmnt -n -o SOURCE mnt)" = "$PWD/A" ]
		echo hello >mnt/append
		cat mnt/core-3/log
		cat mnt/status.json | grep -c "\"path\": \"$PWD/mnt\""
		umount mnt
		for i in $(seq 200); do multicore --store A status --json | grep -q '"node":null' && break; sleep 0.05; done

		mount -t fuse.multicore "$PWD/A" "$PWD/mnt" -o "ro,uid=7,$net"
		stat -c '%u %A' mnt/core-3/log
		[ ! -e mnt/append ]
		findmnt -n -o OPTIONS mnt | grep -o '^ro'
		multicore --store A unmount mnt
	`)
	expect(t, "what the script printed", got, "--w--w--w-\nfuse.multicore\nhello\n1\n7 -r--r--r--\nro\n")
	errs := l.must("cat", "first.err")
	expect(t, "what mount said", errs, "multicore: "+openToAll+"\n")
}

// TestE2EFstab mounts what fstab names, in both forms. What is mounted is left
// alone by mount -a.
func TestE2EFstab(t *testing.T) {
	l := newLab(t)
	got := l.namespaced(`
		echo "$PWD/A $PWD/mnt fuse.multicore defaults,nofail,$net 0 0" >fstab
		mount -a -T fstab
		mount -a -T fstab
		echo hello >mnt/append
		umount mnt
		for i in $(seq 200); do multicore --store A status --json | grep -q '"node":null' && break; sleep 0.05; done
		echo "multicore#$PWD/A $PWD/mnt fuse noauto,noatime,$net 0 0" >fstab
		mount -a -T fstab
		[ ! -e mnt/key ]
		mount -T fstab "$PWD/mnt"
		cat mnt/core-3/log
		umount mnt
	`)
	expect(t, "what the script printed", got, "hello\n")
	got = l.namespaced(`
		mount -t fuse.multicore "$PWD/B" "$PWD/mnt" -o "bogus,$net" 2>&1 || echo "exit code $?"
		mkdir full; touch full/file
		mount -t fuse.multicore "$PWD/B" "$PWD/full" -o "$net" 2>&1 | grep -v 'anyone with this key' || true
	`)
	expect(t, "what the mistakes give", got,
		"multicore: no mount option bogus; it may be a generic one, or a flag of multicore mount --help without its dashes\nexit code 2\n"+
			"multicore: "+l.path("full")+": mountpoint is not empty; choose another, or pass --allow-non-empty\n")
}
