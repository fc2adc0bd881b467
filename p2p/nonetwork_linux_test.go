package p2p

import (
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inNamespace runs the calling test again, alone in a new network namespace,
// where nothing is but a loopback interface that is down; true in that run.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const inside = "MULTICORE_TEST_NAMESPACE"
	if os.Getenv(inside) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if _, ran := err.(*exec.ExitError); err != nil && !ran {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no network namespace: %v", err)
		}
		t.Skipf("no network namespace: %v", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

// raiseLoopback is `ip link set lo up`.
func raiseLoopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(req))); errno != 0 {
		t.Fatal(errno)
	}
}

// untouched are the options of a user who gave no flag.
func untouched(o *Options) {
	o.Listen, o.DHT, o.MDNS = nil, DHTPublic, true
	o.Log = slog.New(slog.DiscardHandler)
}

// TestNoNetwork: a machine without any network starts at once.
func TestNoNetwork(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	began := time.Now()
	n := startTest(t, newFakeSwarm(), untouched)
	if d := time.Since(began); d > time.Second {
		t.Errorf("started after %v", d)
	}
	n.Status()
}

// TestOnlyLoopback: on a machine with loopback alone two processes without any
// flag start at once and find each other.
func TestOnlyLoopback(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	raiseLoopback(t)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	as, bs := newFakeSwarm(), newFakeSwarm()
	began := time.Now()
	a, b := startTest(t, as, untouched), startTest(t, bs, untouched)
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("both started after %v", d)
	}
	until(t, "they are served", func() bool {
		return as.serving(b.Status().PeerID) && bs.serving(a.Status().PeerID)
	}, as.Changed)
	if d := time.Since(began); d > 4*time.Second {
		t.Errorf("found after %v", d)
	}
}
