package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager: a socket that services tell how they are.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	name string // as in NOTIFY_SOCKET
}

// newManager listens at a path, or with a leading @ in the abstract namespace.
func newManager(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t: t, conn: conn, name: name}
}

// heard gives the next message, or "" where none comes in time; 0: there is none.
func (m *manager) heard(within time.Duration) string {
	m.t.Helper()
	m.conn.SetReadDeadline(time.Now().Add(max(within, time.Millisecond)))
	buf := make([]byte, 4096)
	n, err := m.conn.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return string(buf[:n])
}

// expect waits for a message that begins so and gives it; others are let pass.
func (m *manager) expect(prefix string) string {
	m.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if s := m.heard(time.Until(end)); strings.HasPrefix(s, prefix) {
			return s
		}
	}
	m.t.Fatalf("the service manager did not hear %s", prefix)
	return ""
}

// nothing checks that no message is there, after what is there was read.
func (m *manager) nothing(within time.Duration) {
	m.t.Helper()
	for m.heard(0) != "" {
	}
	if s := m.heard(within); s != "" {
		m.t.Errorf("the service manager heard %q", s)
	}
}

// service starts multicore as a service of m. A watchdog of 0 is none.
func (l *lab) service(m *manager, watchdog time.Duration, args ...string) *process {
	l.t.Helper()
	all := []string{"env", "NOTIFY_SOCKET=" + m.name}
	if watchdog > 0 {
		all = append(all, "WATCHDOG_USEC="+strconv.FormatInt(watchdog.Microseconds(), 10))
	}
	all = append(append(all, "multicore"), args...)
	return l.start(append(all, "--dht", "off", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0")...)
}

// clearMount unmounts what a test that failed left.
func (l *lab) clearMount(mnt string) {
	l.t.Cleanup(func() { syscall.Unmount(l.path(mnt), syscall.MNT_DETACH) })
}

// TestE2EReady checks that a service manager hears that a service is ready once
// it is, and not before, and when it is about to end.
func TestE2EReady(t *testing.T) {
	l := newLab(t)
	for _, name := range []string{l.path("notify"), "@multicore-test-" + strconv.Itoa(os.Getpid())} {
		m := newManager(t, name)
		l.clearMount("mnt")
		p := l.service(m, 0, "--store", "A", "mount", "mnt")
		first := m.heard(patience)
		if _, err := os.Stat(l.path("mnt", "append")); err != nil {
			t.Errorf("ready, but: %v", err)
		}
		expect(t, "what the service manager heard first", first, "READY=1\nSTATUS=mounted on "+l.path("mnt"))

		// Another mountpoint is a service of its own, and outlasts the first.
		other := newManager(t, name+"2")
		l.clearMount("mnt2")
		q := l.service(other, 0, "--store", "A", "mount", "mnt2")
		first = other.heard(patience)
		if _, err := os.Stat(l.path("mnt2", "append")); err != nil {
			t.Errorf("ready, but: %v", err)
		}
		expect(t, "what the other one heard first", first, "READY=1\nSTATUS=mounted on "+l.path("mnt2"))
		m.nothing(0)
		p.stop()
		expect(t, "what it heard at the end", m.heard(patience), "STOPPING=1")
		m.nothing(0)
		other.expect("READY=1\nSTATUS=mounted on " + l.path("mnt2"))
		l.must("multicore", "unmount", "mnt2") // the store is not the default one
		expect(t, "exit code after an unmount", q.wait(patience), 0)
		expect(t, "what the other one heard at the end", other.heard(patience), "STOPPING=1")

		p = l.service(m, 0, "--store", "A", "serve")
		expect(t, "what a serve says", m.heard(patience), "READY=1\nSTATUS=serving "+l.path("A"))
		if st := l.status("A"); st.Node == nil {
			t.Error("ready, but no node runs")
		}
		p.stop()
		expect(t, "what a serve says at the end", m.heard(patience), "STOPPING=1")
	}
}

// TestE2EReadyFails checks that what cannot be mounted is never ready.
func TestE2EReadyFails(t *testing.T) {
	l := newLab(t)
	m := newManager(t, l.path("notify"))
	p := l.service(m, 0, "--store", "A", "mount", "home/missing/mnt")
	if code := p.wait(patience); code == 0 {
		t.Error("it ended well")
	}
	if s := m.heard(0); strings.Contains(s, "READY") {
		t.Errorf("the service manager heard %q", s)
	}
}

// TestE2EDeafManager ends a service whose manager does not read what it is told.
func TestE2EDeafManager(t *testing.T) {
	l := newLab(t)
	m := newManager(t, l.path("notify"))
	l.clearMount("mnt")
	p := l.service(m, 100*time.Millisecond, "--store", "A", "mount", "mnt", "--log-format", "text")
	eventually(t, patience, "it says that it cannot tell", func() bool {
		return strings.Contains(p.errs.String(), "the service manager cannot be told how this process is")
	})
	expect(t, "lines of mnt/key", strings.Count(l.must("cat", "mnt/key"), "\n"), 1)
	p.stop()
}

// TestE2EStopped stops a process that a service manager watches, in the middle
// of its work: no sign of life comes any more, commands say that it does not
// answer, and afterwards it says itself that it was stopped.
func TestE2EStopped(t *testing.T) {
	l := newLab(t)
	const watchdog = time.Second
	m, other := newManager(t, l.path("notify")), newManager(t, l.path("other"))
	l.clearMount("mnt")
	p := l.service(m, watchdog, "--store", "A", "mount", "mnt", "--log-format", "text")
	m.expect("READY=1")
	l.clearMount("mnt2")
	q := l.service(other, watchdog, "--store", "A", "mount", "mnt2")
	other.expect("READY=1")
	for range 5 {
		expect(t, "within the time of the watchdog", m.heard(watchdog), "WATCHDOG=1")
		expect(t, "of the other one, within the time of the watchdog", other.heard(watchdog), "WATCHDOG=1")
	}

	p.signal(syscall.SIGSTOP)
	_, errs, code := l.run("multicore", "--store", "A", "status") // gives up after some seconds
	if code != 7 || !strings.Contains(errs, ", which does not answer") {
		t.Errorf("status: exit code %d, %s", code, errs)
	}
	m.nothing(0)
	other.nothing(0)
	p.signal(syscall.SIGCONT)
	m.expect("WATCHDOG=1")
	other.expect("WATCHDOG=1")
	eventually(t, patience, "it says that it was stopped", func() bool {
		return strings.Count(p.errs.String(), "this process did not run for a while") == 1
	})
	expect(t, "mnt/key and mnt2/key", l.must("cat", "mnt/key"), l.must("cat", "mnt2/key"))
	q.stop()
	p.stop()
	if strings.Contains(p.errs.String(), "the store does not answer") {
		t.Errorf("the disk is blamed: %s", p.errs.String())
	}
}

// TestE2EStuck freezes the volume of a store under a write. The process says so
// once, in its log, in status and to the service manager, which gets no signs of
// life then, and goes on when the volume does.
func TestE2EStuck(t *testing.T) {
	l := newLab(t)
	needs(t, os.Geteuid() == 0, "root")
	for _, tool := range []string{"mkfs.ext4", "fsfreeze", "mount"} {
		_, err := exec.LookPath(tool)
		needs(t, err == nil, tool)
	}
	l.sh("mkdir volume && truncate -s 32M image && mkfs.ext4 -q image")
	out, err := exec.Command("mount", "-o", "loop", l.path("image"), l.path("volume")).CombinedOutput()
	needs(t, err == nil, "a loop device: "+string(out))
	t.Cleanup(func() {
		exec.Command("fsfreeze", "--unfreeze", l.path("volume")).Run()
		if err := syscall.Unmount(l.path("volume"), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	const watchdog = time.Second
	m := newManager(t, l.path("notify"))
	l.clearMount("mnt")
	p := l.service(m, watchdog, "--store", "volume/A", "mount", "mnt", "--log-format", "text")
	m.expect("READY=1")
	t.Cleanup(func() { exec.Command("fsfreeze", "--unfreeze", l.path("volume")).Run() }) // before p is ended
	l.must("fsfreeze", "--freeze", "volume")
	writer := l.start("sh", "-c", "echo hello >mnt/append")
	told := m.expect("STATUS=the store does not answer: ")
	if !strings.HasSuffix(told, " takes longer than 1s") {
		t.Errorf("told %q", told)
	}
	m.nothing(watchdog)
	if st := l.status("volume/A"); "STATUS=the store does not answer: "+st.Stuck != told || st.Node == nil || len(st.Mounts) != 1 {
		t.Errorf("status: %+v", st)
	}
	l.must("fsfreeze", "--unfreeze", "volume")
	m.expect("WATCHDOG=1")
	expect(t, "exit code of the write", writer.wait(patience), 0)
	expect(t, "core-3/log", l.must("cat", "mnt/core-3/log"), "hello\n")
	eventually(t, patience, "status says nothing any more", func() bool { return l.status("volume/A").Stuck == "" })
	p.stop()
	for line, want := range map[string]int{"the store does not answer": 1, "the store answers again": 1} {
		if n := strings.Count(p.errs.String(), line); n != want {
			t.Errorf("%q is %d times in the log, want %d:\n%s", line, n, want, p.errs.String())
		}
	}
}
