package fs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// following opens follow in the directory of a core.
func (m *mnt) following(dir string) *os.File {
	m.t.Helper()
	f, err := os.Open(m.path(dir + "/follow"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { f.Close() })
	return f
}

// readFull reads so many bytes as want has, and checks them. It is given up with
// the test.
func readFull(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	done := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(r, got)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil || string(got) != want {
			t.Fatalf("read %.200q, %v, want %.200q", got, err, want)
		}
	case <-time.After(patience):
		t.Fatalf("no %.200q after %v", want, patience)
	}
}

// waits gives the error of a read that is to wait until something ends it.
func waits(f *os.File) chan error {
	failed := make(chan error, 1)
	go func() {
		n, err := f.Read(make([]byte, 100))
		if err == nil {
			err = fmt.Errorf("read %d bytes", n)
		}
		failed <- err
	}()
	return failed
}

// ends checks what ended a read.
func (m *mnt) ends(what string, failed chan error, want syscall.Errno) {
	m.t.Helper()
	select {
	case err := <-failed:
		m.fails(what, err, want)
	case <-time.After(patience):
		m.t.Fatalf("%s: still waits", what)
	}
}

// TestFollow reads what is there and then what comes, each byte once and in order.
func TestFollow(t *testing.T) {
	a := newMachine(t, true)
	a.append("", "line 0\n", "line 1\n")
	m := mount(t, "", a.options())
	f := m.following("core-3")
	readFull(t, f, "line 0\nline 1\n")
	for i := 2; i < 100; i++ {
		line := fmt.Sprintf("line %d\n", i)
		a.append("", line)
		readFull(t, f, line)
	}
	for name, log := range map[string]string{"core-3/follow": "core-3/log", "core-2/follow": "core-2/log"} {
		ours, err := os.Stat(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := os.Stat(m.path(log))
		if err != nil || ours.Size() != theirs.Size() || !ours.ModTime().Equal(theirs.ModTime()) || ours.Mode() != theirs.Mode() {
			t.Errorf("%s is %v, %s is %v, %v", name, ours, log, theirs, err)
		}
	}
	// Behind the end it waits until there is so much.
	if _, err := f.Seek(5, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	a.append("", "1234\n")
	a.append("", "6789\n")
	readFull(t, f, "6789\n")
	m.fails("write", os.WriteFile(m.path("core-3/follow"), []byte("x"), 0o644), syscall.EROFS)
}

// TestFollowByPrograms runs what people follow a file with.
func TestFollowByPrograms(t *testing.T) {
	a := newMachine(t, true)
	a.append("", "line 0\n", "line 1\n", "line 2\n")
	m := mount(t, "", a.options())
	for _, test := range []struct{ script, want string }{
		{`exec cat $M/core-3/follow`, "line 0\nline 1\nline 2\nmore\n"},
		{`exec tail -n 2 -f -s 0.05 $M/core-3/follow`, "line 1\nline 2\nmore\n"},
		{`exec grep --line-buffered -n . $M/core-3/follow`, "1:line 0\n2:line 1\n3:line 2\n4:more\n"},
		{`head -n 4 $M/core-3/follow`, "line 0\nline 1\nline 2\nmore\n"},
	} {
		c := m.command(test.script)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		before := strings.TrimSuffix(test.want, test.want[strings.LastIndexByte(strings.TrimSuffix(test.want, "\n"), '\n')+1:])
		if !strings.HasPrefix(test.script, "head") { // it shows nothing before it has all
			readFull(t, out, before)
			test.want = test.want[len(before):]
		}
		a.append("core-3", "more\n")
		readFull(t, out, test.want)
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		c.Wait()
		if err := a.core("core-3").Truncate(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
	}
	// Those who go by the size are done with what there is.
	got := m.sh(`timeout 20 tail -n 1 $M/core-3/follow; timeout 20 tar -C $M -cf - core-3/follow | tar -xOf -`)
	if want := "line 2\nline 0\nline 1\nline 2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFollowWaitsLonger than a read may wait for a network: at the end there is
// nothing to give up.
func TestFollowWaitsLonger(t *testing.T) {
	a := newMachine(t, true)
	o := a.options()
	o.ReadTimeout = 50 * time.Millisecond
	m := mount(t, "", o)
	f := m.following("core-3")
	got := make(chan string, 1)
	go func() {
		p := make([]byte, 100)
		n, err := f.Read(p)
		got <- fmt.Sprint(string(p[:n]), err)
	}()
	for range 3 { // each takes the timeout
		_, err := os.Stat(m.path(strings.Repeat("ab", 32) + "/core-3"))
		m.fails("stat of what nobody has", err, syscall.EHOSTUNREACH)
	}
	select {
	case s := <-got:
		t.Fatalf("did not wait: %s", s)
	default:
	}
	a.append("", "hello\n")
	select {
	case s := <-got:
		if want := fmt.Sprint("hello\n", nil); s != want {
			t.Errorf("got %q, want %q", s, want)
		}
	case <-time.After(patience):
		t.Fatal("still waits")
	}
}

// TestFollowUnknown has nobody to tell the length.
func TestFollowUnknown(t *testing.T) {
	b := newMachine(t, true)
	m := remoteMount(t, b, 100*time.Millisecond)
	_, err := os.Open(m.path(strings.Repeat("ab", 32) + "/main/follow"))
	m.fails("open", err, syscall.EHOSTUNREACH)
}

// TestFollowRemote follows a core of another machine, whose blocks it fetches.
func TestFollowRemote(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	a.append("", "line 0\n")
	cut := connect(t, a, b)
	m := remoteMount(t, b, 0)
	dir := a.own.Key().String() + "/core-3"
	f := m.following(dir)
	readFull(t, f, "line 0\n")
	for i := 1; i < 50; i++ {
		line := fmt.Sprintf("line %d\n", i)
		a.append("", line)
		readFull(t, f, line)
	}
	// The peer goes and comes again; whoever follows waits.
	cut()
	a.append("", "while away\n")
	connect(t, a, b)
	readFull(t, f, "while away\n")
	if err := a.core("core-3").Truncate(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	m.ends("follow of what was truncated", waits(f), syscall.ESTALE)
}

// TestFollowTruncated ends whoever follows a log that loses blocks.
func TestFollowTruncated(t *testing.T) {
	a := newMachine(t, true)
	a.append("", "line 0\n", "line 1\n", "line 2\n")
	m := mount(t, "", a.options())
	atEnd, atStart, unread := m.following("core-3"), m.following("core-3"), m.following("core-3")
	readFull(t, atEnd, "line 0\nline 1\nline 2\n")
	readFull(t, atStart, "line")
	failed := waits(atEnd)
	m.waitingAtEnd("core-3", 1)
	if err := a.core("core-3").Truncate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	m.ends("the reader at the end", failed, syscall.ESTALE)
	a.append("", "another\n", "and more\n", "and more\n")
	for _, f := range []*os.File{atEnd, atStart, unread} {
		for range 2 {
			_, err := f.Read(make([]byte, 10))
			m.fails("read after truncation", err, syscall.ESTALE)
		}
	}
	again := m.following("core-3")
	readFull(t, again, "line 0\nanother\nand more\nand more\n")
}

// TestFollowUnmount ends whoever follows when the mount ends.
func TestFollowUnmount(t *testing.T) {
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	failed := waits(m.following("core-3"))
	m.waitingAtEnd("core-3", 1)
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	m.ends("unmount", failed, syscall.ENOTCONN)
}

// TestFollowNonblock reads a follow that was opened not to wait.
func TestFollowNonblock(t *testing.T) {
	a := newMachine(t, true)
	a.append("", "hello\n")
	m := mount(t, "", a.options())
	fd, err := syscall.Open(m.path("core-3/follow"), syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	p := make([]byte, 100)
	for _, want := range []string{"hello\n", "world\n"} {
		if n, err := syscall.Read(fd, p); err != nil || string(p[:n]) != want {
			t.Fatalf("read %q, %v, want %q", p[:max(n, 0)], err, want)
		}
		_, err = syscall.Read(fd, p)
		m.fails("read at the end", err, syscall.EAGAIN)
		a.append("", "world\n")
	}
}

// TestFollowLargeRead reads more at once than one request takes: the kernel makes
// several of it, of which the last would wait though there is something to show.
func TestFollowLargeRead(t *testing.T) {
	a := newMachine(t, true)
	block := strings.Repeat("x", maxWrite/2)
	a.append("core-3", block, block, block, block)
	m := mount(t, "", a.options())
	for _, left := range []int{2 * maxWrite, maxWrite, maxWrite + 1, maxWrite - 1, maxWrite / 2, 1} {
		f := m.following("core-3")
		if _, err := f.Seek(int64(2*maxWrite-left), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		for at, p := 0, make([]byte, 4*maxWrite+left%4096); at < left; {
			got := make(chan int, 1)
			go func() {
				n, err := f.Read(p)
				if err != nil || strings.Trim(string(p[:n]), "x") != "" {
					t.Errorf("read: %d bytes, %v", n, err)
				}
				got <- n
			}()
			select {
			case n := <-got:
				if n <= 0 {
					t.FailNow()
				}
				at += n
			case <-time.After(patience):
				t.Fatalf("%d of %d bytes read, and it waits", at, left)
			}
		}
	}
}

// TestFollowFrozen ends where the core is in conflict: nothing more can come.
func TestFollowFrozen(t *testing.T) {
	a := newMachine(t, true)
	a.append("core-3", "block 0\n")
	m := mount(t, "", a.options())
	f := m.following("core-3")
	readFull(t, f, "block 0\n")
	failed := waits(f)
	m.waitingAtEnd("core-3", 1)
	freeze(t, a)
	m.ends("a core in conflict", failed, syscall.EIO)
}

// waitingAtEnd waits until n readers wait at the end of the own core of a name.
func (m *mnt) waitingAtEnd(name string, n int) {
	m.t.Helper()
	cores, _ := m.tree.root.Known()
	c := find(cores, name)
	m.eventually(fmt.Sprintf("%d readers wait", n), func() bool {
		m.tree.mu.Lock()
		g := m.tree.growths[c]
		m.tree.mu.Unlock()
		if g == nil {
			return false
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.waiting >= n
	})
}

// TestManyFollow has hundreds of readers wait: the mount answers others as ever,
// one of them is interrupted at once, and all wake when there is more.
func TestManyFollow(t *testing.T) {
	const n = 300
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	var readers []*exec.Cmd
	var outs []io.Reader
	for range n {
		c := exec.Command("cat", m.path("core-3/follow"))
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		readers, outs = append(readers, c), append(outs, out)
	}
	defer func() {
		for _, c := range readers {
			c.Process.Kill()
			c.Wait()
		}
	}()
	m.waitingAtEnd("core-3", n)

	a.append("core-2", "hi\n")
	m.want("core-2/log", "hi\n")
	m.want("core-2/blocks/0", "hi\n")
	if got := m.sh(`ls $M/core-3/blocks; echo "via the mount" > $M/core-2/append; cat $M/core-2/log`); got != "hi\nvia the mount\n" {
		t.Errorf("others got %q", got)
	}
	for i, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		c := readers[i]
		began := time.Now()
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		c.Wait()
		took := time.Since(began)
		t.Logf("%v of one of %d: %v", signal, n, took)
		if took > 2*time.Second {
			t.Errorf("%v took %v", signal, took)
		}
	}
	began := time.Now()
	m.sh(`echo "at last" > $M/core-3/append`)
	var all sync.WaitGroup
	for _, out := range outs[2:] {
		all.Go(func() {
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil || line != "at last\n" {
				t.Errorf("a reader got %q, %v", line, err)
			}
		})
	}
	all.Wait()
	t.Logf("all woke within %v", time.Since(began))
}

// BenchmarkFollow is the time from an append to what follow gives.
func BenchmarkFollow(b *testing.B) {
	a := newMachine(b, true)
	m := mount(b, "", a.options())
	f, err := os.Open(m.path("core-3/follow"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	lines := make(chan time.Time)
	go func() {
		defer close(lines)
		for p := make([]byte, 100); ; {
			if _, err := f.Read(p); err != nil {
				return
			}
			lines <- time.Now()
		}
	}()
	var total time.Duration
	for b.Loop() {
		began := time.Now()
		if err := a.own.Append(b.Context(), "core-3", [][]byte{[]byte("a line\n")}); err != nil {
			b.Fatal(err)
		}
		total += (<-lines).Sub(began)
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "µs/line")
	if err := m.Unmount(); err != nil && !errors.Is(err, syscall.EBUSY) {
		b.Fatal(err)
	}
	for range lines {
	}
}
