package fs

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// requests counts what the kernel asks of a mount.
type requests struct {
	slog.Handler
	mu    sync.Mutex
	count map[string]int
}

// traced has requests of a mount with o counted.
func traced(o Options) (Options, *requests) {
	r := &requests{Handler: slog.DiscardHandler, count: make(map[string]int)}
	o.trace, o.Log = true, slog.New(r)
	return o, r
}

func (r *requests) Enabled(context.Context, slog.Level) bool { return true }

var requestLine = regexp.MustCompile(`^rx \d+: (\w+)`)

func (r *requests) Handle(_ context.Context, record slog.Record) error {
	if m := requestLine.FindStringSubmatch(record.Message); m != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.count[m[1]]++
	}
	return nil
}

// take gives the requests since the last call, by name. FORGET comes when the
// kernel likes, and RELEASE after the program has gone on.
func (r *requests) take() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := r.count
	r.count = make(map[string]int)
	for _, late := range []string{"FORGET", "BATCH_FORGET", "RELEASE", "RELEASEDIR", "INTERRUPT"} {
		delete(count, late)
	}
	return count
}

// passing gives a mount whose kernel reads the own log by itself.
func passing(t *testing.T, a *machine, o Options) *mnt {
	t.Helper()
	m := mount(t, "", o)
	a.append("core-3", "is it so?\n")
	f, err := os.Open(m.path("core-3/log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if m.lends() == 0 {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatal("the kernel does not read the log by itself")
		}
		t.Skip("the kernel does not read the log by itself: it needs root, and Linux 6.9")
	}
	return m
}

// lends counts the files that the kernel reads.
func (m *mnt) lends() int {
	m.tree.mu.Lock()
	defer m.tree.mu.Unlock()
	return len(m.tree.lent)
}

// open opens a file of the mount until the test ends.
func (m *mnt) open(name string) *os.File {
	m.t.Helper()
	f, err := os.Open(m.path(name))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { f.Close() })
	return f
}

// rest reads a file from where it is to the end.
func rest(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPassthrough: the kernel reads an own log without asking, sees it grow, and
// lets programs map it.
func TestPassthrough(t *testing.T) {
	a := newMachine(t, true)
	o, asked := traced(a.options())
	m := passing(t, a, o)
	f := m.open("core-3/log")
	asked.take()
	if got := rest(t, f); got != "is it so?\n" {
		t.Fatalf("%q", got)
	}
	m.sh(`echo 'it is' >> $M/append`)
	if got := rest(t, f); got != "it is\n" {
		t.Fatalf("%q", got)
	}
	if n := asked.take()["READ"]; n > 0 {
		t.Errorf("%d reads came through", n)
	}
	info, err := f.Stat()
	if err != nil || info.Size() != 16 {
		t.Fatal(info, err)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, 16, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil || string(mapped) != "is it so?\nit is\n" {
		t.Fatalf("%q, %v", mapped, err)
	}
	if err := unix.Munmap(mapped); err != nil {
		t.Fatal(err)
	}
	for range 50 { // however many have it open, one file is lent
		m.open("core-3/log")
	}
	if n := m.lends(); n != 1 {
		t.Errorf("%d files are lent", n)
	}
}

// TestPassthroughShares: one that reads through us and one that the kernel serves
// do not get into each other's way, whoever comes first.
func TestPassthroughShares(t *testing.T) {
	a := newMachine(t, true)
	o := a.options()
	o.ReadTimeout = 50 * time.Millisecond
	m := passing(t, a, o)
	through := m.open("core-3/log")
	if _, err := a.core("core-3").Clear(t.Context(), 0, 1); err != nil {
		t.Fatal(err)
	}
	a.append("core-3", "held\n")
	// What was cleared stays for who had the log open.
	if got := rest(t, through); got != "is it so?\nheld\n" {
		t.Fatalf("%q", got)
	}
	// Who comes now reads through us, and finds the block missing.
	late := m.open("core-3/log")
	_, err := late.Read(make([]byte, 100))
	m.fails("read of a cleared block", err, syscall.EHOSTUNREACH)
	p := make([]byte, 5)
	if _, err := late.ReadAt(p, 10); err != nil || string(p) != "held\n" {
		t.Fatalf("%q, %v", p, err)
	}
	through.Close()
	late.Close()
	m.eventually("the file is given back", func() bool { return m.lends() == 0 })
	// With none left, the next handle chooses anew: this one reads through us.
	direct := m.open("core-3/log")
	if m.lends() != 0 {
		t.Error("the file of a core with holes is lent")
	}
	_, err = direct.Read(make([]byte, 100))
	m.fails("read of a cleared block", err, syscall.EHOSTUNREACH)
	if _, err := unix.Mmap(int(direct.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE); err != nil {
		t.Errorf("mmap: %v", err)
	}
}

// TestPassthroughPunched: no open log and no mapping of one ever reads zeros for
// what was cleared, be the mount gone that it was opened through.
func TestPassthroughPunched(t *testing.T) {
	a := newMachine(t, true)
	m := passing(t, a, a.options())
	big := strings.Repeat("0123456789abcde\n", 1<<14)
	a.append("core-3", big)
	want := "is it so?\n" + big
	f := m.open("core-3/log")
	mapped, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(); err != nil { // lazily: the log is open
		t.Fatal(err)
	}
	c := a.core("core-3")
	if _, err := c.Clear(t.Context(), 0, 2); err != nil {
		t.Fatal(err)
	}
	if got := rest(t, f); got != want {
		t.Errorf("%d bytes of an open log, want %d", len(got), len(want))
	}
	f.Close()
	if _, err := c.Clear(t.Context(), 0, 2); err != nil {
		t.Fatal(err)
	}
	if string(mapped) != want {
		t.Error("a mapping of the log lost its bytes")
	}
	if err := unix.Munmap(mapped); err != nil {
		t.Fatal(err)
	}
	blocks := filepath.Join(a.dir, "cores", c.DiscoveryKey().String(), "blocks")
	m.eventually("the room is free", func() bool {
		var s unix.Stat_t
		return unix.Stat(blocks, &s) == nil && s.Blocks*512 < int64(len(big))
	})
}

// TestPassthroughTail: whoever follows an own log that grows without a pause sees
// each byte once, and is never told that it became shorter.
func TestPassthroughTail(t *testing.T) {
	a := newMachine(t, true)
	m := passing(t, a, a.options())
	want := "is it so?\n" + lines(3000)
	write := m.command(`for i in $(seq 0 2999); do echo "line number $i"; done > $M/core-3/append`)
	if err := write.Start(); err != nil {
		t.Fatal(err)
	}
	defer write.Wait()
	for range 20 { // each reads to the end, and then looks at the size
		tail := m.command(`exec tail -n +1 -s 0.01 -f $M/core-3/log`)
		var stderr bytes.Buffer
		tail.Stderr = &stderr
		out, err := tail.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := tail.Start(); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		_, err = io.ReadFull(out, got)
		tail.Process.Kill()
		tail.Wait()
		if err != nil || string(got) != want {
			t.Fatalf("%v: other bytes than those of the log\n%s", err, &stderr)
		}
		if stderr.Len() > 0 {
			t.Fatal(stderr.String())
		}
	}
}

// TestRequests: what the kernel asks for is as little as it can be.
func TestRequests(t *testing.T) {
	a := newMachine(t, true)
	o, asked := traced(a.options())
	m := mount(t, "", o)
	want := func(what string, count map[string]int) {
		t.Helper()
		if got := asked.take(); !maps.Equal(got, count) {
			t.Errorf("%s: %v, want %v", what, got, count)
		}
	}
	m.sh(`echo once >> $M/append; echo more > $M/append`) // names are looked up, and whether there are extended attributes
	asked.take()
	for _, script := range []string{`echo hello >> $M/append`, `echo hello > $M/append`} {
		m.sh(script)
		// The shell closes the file that it opened when it has moved it to where
		// echo writes, and that one behind echo, which asks what it writes to.
		want(script, map[string]int{"OPEN": 1, "FLUSH": 2, "GETATTR": 1, "WRITE": 1})
	}
	f, err := os.OpenFile(m.path("append"), os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := f.WriteString("a line\n"); err != nil {
			t.Fatal(err)
		}
	}
	want("open and ten writes", map[string]int{"OPEN": 1, "WRITE": 10})
	length := a.core("core-3").Info().Length
	if _, err := f.WriteString(lines(1000)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want("a thousand lines in one write", map[string]int{"WRITE": 1, "FLUSH": 1})
	if n := a.core("core-3").Info().Length - length; n != 1000 {
		t.Errorf("%d blocks, want 1000", n)
	}
}
