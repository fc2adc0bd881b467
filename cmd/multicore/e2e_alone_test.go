package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// soon is what a user calls at once.
const soon = 2 * time.Second

// namespace moves the lab into a network namespace of its own, which ends with
// the test.
func (l *lab) namespace(loopback bool) {
	l.t.Helper()
	needs(l.t, os.Geteuid() == 0, "root")
	for _, tool := range []string{"unshare", "nsenter", "ip"} {
		_, err := exec.LookPath(tool)
		needs(l.t, err == nil, tool)
	}
	holder := l.start("unshare", "--net", "sleep", "infinity")
	pid := fmt.Sprint(holder.cmd.Process.Pid)
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		l.t.Fatal(err)
	}
	eventually(l.t, patience, "a network namespace", func() bool {
		theirs, err := os.Readlink("/proc/" + pid + "/ns/net")
		select {
		case <-holder.done:
			needs(l.t, false, "the right to make a network namespace: "+holder.errs.String())
		default:
		}
		return err == nil && theirs != ours
	})
	l.ns = []string{"nsenter", "--target", pid, "--net"}
	if loopback {
		l.must("ip", "link", "set", "lo", "up")
	}
	if out := l.must("ip", "-brief", "address"); strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "lo ") {
		l.t.Fatalf("the namespace has more than loopback:\n%s", out)
	}
}

// defaultStore is where the store is that no flag names.
func (l *lab) defaultStore() string {
	return filepath.Join(l.path("home"), ".local", "share", "multicore")
}

// TestE2ELoopbackOnly joins two mounts on a machine that has nothing but a
// loopback interface, without any flag that tells them of each other.
func TestE2ELoopbackOnly(t *testing.T) {
	l := newLab(t)
	l.namespace(true)
	began := time.Now()
	first := l.mounting("mnt", "mount", "./mnt")
	if took := time.Since(began); took > soon {
		t.Errorf("the own mount was usable after %v, want %v", took, soon)
	}
	key := strings.TrimPrefix(first.expect("main core key: "), "main core key: ")
	l.sh("echo 'before the reader' > mnt/append")
	l.durable(l.defaultStore())

	began = time.Now()
	second := l.mounting("mnt2", "--store", "B", "mount", "./mnt2", key)
	if took := time.Since(began); took > soon {
		t.Errorf("the reader's mount was usable after %v, want %v", took, soon)
	}
	expect(t, "key of the reader's mount", second.expect("main core key: "), "main core key: "+key)
	expect(t, "core-3/log", l.must("cat", "mnt2/core-3/log"), "before the reader\n")
	l.sh("echo hello > mnt/append")
	eventually(t, patience, "the echo shows in the other", func() bool {
		return l.must("cat", "mnt2/core-3/log") == "before the reader\nhello\n"
	})
	if _, err := os.Stat(l.path("B", "primary-key")); err != nil {
		t.Fatal(err)
	}
	if st := l.status("B"); st.MainKey != nil || len(st.Mounts) != 1 || !st.Mounts[0].ReadOnly {
		t.Errorf("a mount of a key made an own multicore, or says it may be written: %+v", st)
	}
	second.stop()
	first.stop()
	for _, mnt := range []string{"mnt", "mnt2"} {
		if _, err := os.Stat(l.path(mnt)); !os.IsNotExist(err) {
			t.Errorf("%s is left behind: %v", mnt, err)
		}
	}
}

// TestE2ENoNetwork mounts on a machine without any network.
func TestE2ENoNetwork(t *testing.T) {
	l := newLab(t)
	l.namespace(false)
	began := time.Now()
	p := l.mounting("mnt", "mount", "./mnt")
	if took := time.Since(began); took > soon {
		t.Errorf("the mount was usable after %v, want %v", took, soon)
	}
	l.sh("echo hello > mnt/append")
	expect(t, "core-3/log", l.must("cat", "mnt/core-3/log"), "hello\n")
	l.sh("sync mnt/append 2>/dev/null || true; dd of=mnt/append conv=fsync,notrunc status=none <<< 'on the disk'")
	if core := l.coreStatus(l.defaultStore(), "core-3"); core.DurableLength != 2 {
		t.Errorf("after fsync core-3 is %+v, want durable_length 2", core)
	}
	p.stop()
	expect(t, "multicore cat", l.must("multicore", "cat", "core-3"), "hello\non the disk\n")
}
