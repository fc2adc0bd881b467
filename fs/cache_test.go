package fs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKernelRemembersBlocks stops the process that serves the mount: blocks that
// were read before can be looked up, stat'ed and read all the same, and nothing is
// said of a log.
func TestKernelRemembersBlocks(t *testing.T) {
	needFUSE(t)
	store := filepath.Join(t.TempDir(), "store")
	a := openMachine(t, store, true)
	a.append("core-3", "block 0\n", "block 1\n")
	a.close()
	dir := filepath.Join(t.TempDir(), "mnt")
	server := start(t, "hold", store, dir)
	defer unix.Unmount(dir, unix.MNT_DETACH)
	look := func() error {
		for _, name := range []string{"core-3/blocks/1", "core-3/1"} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Size() != 8 {
				return errors.Join(err, errors.New("stat: "+name))
			}
		}
		fd, err := syscall.Open(filepath.Join(dir, "core-3/blocks"), syscall.O_RDONLY|0x200000 /* O_PATH */, 0)
		if err != nil {
			return err
		}
		return syscall.Close(fd)
	}
	if err := look(); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(filepath.Join(dir, "core-3/blocks/1"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	read := func() error {
		p := make([]byte, 100)
		if n, err := open.ReadAt(p, 0); string(p[:n]) != "block 1\n" {
			return errors.Join(err, errors.New("read"))
		}
		return nil
	}
	// A read that reaches us makes the kernel ask for the times once more.
	if err := errors.Join(read(), look()); err != nil {
		t.Fatal(err)
	}
	if err := server.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(server.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("not stopped: %v, %v", status, err)
	}
	log := make(chan error, 1)
	go func() {
		_, err := os.Stat(filepath.Join(dir, "core-3/log"))
		log <- err
	}()
	cached := make(chan error, 1)
	go func() {
		for range 100 {
			if err := errors.Join(look(), read()); err != nil {
				cached <- err
				return
			}
		}
		cached <- nil
	}()
	select {
	case err := <-cached:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the kernel asks for what it knows")
	}
	select {
	case err := <-log:
		t.Errorf("the kernel answers for a log by itself: %v", err)
	default:
	}
	if err := server.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-log:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("no answer")
	}
}

// mapLog has a program map four pages of a log, and gives what shows as many of
// their first bytes as one likes. Here the runtime might wait for a thread that
// waits for a page, and with it who is to give that page.
func mapLog(t *testing.T, path string) (first func(n int) string) {
	t.Helper()
	c := exec.Command(os.Args[0], path)
	c.Env = append(os.Environ(), childEnv+"=mapped")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); c.Process.Kill(); c.Wait() })
	r := bufio.NewReader(out)
	return func(n int) string {
		t.Helper()
		fmt.Fprintln(in, n)
		line, err := r.ReadString('\n')
		if err != nil {
			c.Wait()
			t.Fatalf("who maps the log says %q, %v\n%.1000s", line, err, &said)
		}
		shown, err := strconv.Unquote(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("who maps the log says %q: %v", line, err)
		}
		return shown
	}
}

// childMapped maps a log, and for each number that it reads prints so many bytes.
func childMapped(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, 4*os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	for {
		var n int
		if _, err := fmt.Scanln(&n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		fmt.Printf("%q\n", mapped[:n])
	}
}

// TestHeldOpen has files and directories open while their core grows and shrinks,
// here and at another machine: each shows at once what there is.
func TestHeldOpen(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	a.append("core-3", "block 0\n", "block 1\n")
	connect(t, a, b)
	t.Run("own", func(t *testing.T) {
		testHeldOpen(t, a, mount(t, "", a.options()), "core-3", func() {})
	})
	if err := a.core("core-3").Truncate(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	a.append("core-3", "block 0\n", "block 1\n")
	t.Run("remote", func(t *testing.T) {
		m := remoteMount(t, b, 0)
		dir := a.own.Key().String() + "/core-3"
		theirs, err := b.remote(a.own.Key()).Cores(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		ours, core := a.core("core-3"), find(theirs, "core-3")
		// The mount is asked only once the news is here.
		arrived := func() {
			until(t, "the news arrives", core.Changed, func() bool {
				here, there := core.Info(), ours.Info()
				return here.Fork == there.Fork && here.Length == there.Length
			})
		}
		arrived()
		testHeldOpen(t, a, m, dir, arrived)
	})
}

func testHeldOpen(t *testing.T, a *machine, m *mnt, dir string, arrived func()) {
	log, err := os.Open(m.path(dir + "/log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	page := os.Getpagesize()
	mapped := mapLog(t, log.Name())
	blocks, err := os.Open(m.path(dir + "/blocks"))
	if err != nil {
		t.Fatal(err)
	}
	defer blocks.Close()
	for _, core := range []string{"", "/blocks"} { // has the kernel know what it may
		if _, err := os.Stat(m.path(dir + core)); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(want string) {
		t.Helper()
		size := int64(len(want))
		if info, err := log.Stat(); err != nil || info.Size() != size {
			t.Errorf("fstat: %v, %v, want %d bytes", info.Size(), err, size)
		}
		if end, err := log.Seek(0, io.SeekEnd); err != nil || end != size {
			t.Errorf("the end is at %d, %v, want %d", end, err, size)
		}
		if info, err := os.Stat(m.path(dir + "/log")); err != nil || info.Size() != size {
			t.Errorf("stat: %v, %v, want %d bytes", info.Size(), err, size)
		}
		got := make([]byte, size+1)
		if n, err := log.ReadAt(got, 0); string(got[:n]) != want {
			t.Errorf("read %q, %v, want %q", got[:n], err, want)
		}
		if _, err := blocks.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		n := strings.Count(want, "\n")
		if names, err := blocks.Readdirnames(-1); err != nil || len(names) != n {
			t.Errorf("an open directory lists %q, %v, want %d names", names, err, n)
		}
		if got := len(strings.Fields(m.names(dir + "/blocks"))); got != n {
			t.Errorf("the directory lists %d names, want %d", got, n)
		}
		if core, err := os.Stat(m.path(dir + "/blocks")); err != nil || !core.ModTime().Equal(a.core("core-3").Info().Grown) && dir == "core-3" {
			t.Errorf("blocks: %v, %v", core.ModTime(), err)
		}
		m.eventually("the mapping shows it", func() bool { return mapped(int(size)) == want })
	}
	want := "block 0\nblock 1\n"
	shows(want)
	for _, s := range []string{"block 2\n", "block 3\n", strings.Repeat("x", page) + "\n", "block 5\n"} {
		a.append("core-3", s)
		before := len(want)
		want += s
		arrived()
		if pages := before/page + 1; len(want) <= pages*page {
			// The page that was the last is right also where nobody asks for the size.
			m.eventually("the mapping shows it", func() bool { return mapped(len(want)) == want })
		}
		shows(want)
	}
	if err := a.core("core-3").Truncate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	arrived()
	m.eventually("the mapping shows no more", func() bool { return mapped(9) == "block 0\n\x00" })
	shows("block 0\n")
	a.append("core-3", "another\n", "log of now\n")
	arrived()
	shows("block 0\nanother\nlog of now\n")
}
