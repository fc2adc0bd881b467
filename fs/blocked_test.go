package fs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// atOnce is what a user who presses Ctrl-C takes for no time at all.
const atOnce = 50 * time.Millisecond

// blockedMount is a mount at b of what a wrote, from when a is cut off: heads
// are known, and of core-3 block 0 is here.
type blockedMount struct {
	*mnt
	a, b   *machine
	key    string
	blocks []string
}

func newBlockedMount(t *testing.T, blocks []string, timeout time.Duration) *blockedMount {
	t.Helper()
	a, b := newMachine(t, true), newMachine(t, true)
	a.append("core-3", blocks...)
	cut := connect(t, a, b)
	m := &blockedMount{a: a, b: b, key: a.own.Key().String(), blocks: blocks, mnt: remoteMount(t, b, timeout)}
	m.want(m.key+"/core-3/0", blocks[0])
	m.want(m.key+"/core-2/length", "0\n")
	cut()
	return m
}

// core is a path in core-3 of the other machine.
func (m *blockedMount) core(name string) string { return m.path(m.key + "/core-3/" + name) }

// blocked starts a script that finds that core in $C, and returns once it waits
// in the mount.
func (m *blockedMount) blocked(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	c := m.command(`exec 2> /dev/null; ` + script)
	c.Env = append(c.Env, "C="+m.core(""))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
	inRequest(t, []*exec.Cmd{c})
	return c
}

// ends waits for the end of a command and gives how long that took.
func ends(t *testing.T, c *exec.Cmd) time.Duration {
	t.Helper()
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			t.Errorf("%v succeeded", c)
		}
	case <-time.After(patience):
		t.Fatalf("%v still waits", c)
	}
	return time.Since(began)
}

// TestKilledAtOnce interrupts and kills readers that wait for a block, and the
// rest of what waits for a network. Of a few tries one has to be at once, on a
// machine that has other things to do.
func TestKilledAtOnce(t *testing.T) {
	m := newBlockedMount(t, strings.SplitAfter(lines(64), "\n")[:64], time.Hour)
	for _, script := range []string{
		`exec cat $C/log`,
		`exec cat $C/blocks/40`,
		`exec dd if=$C/log bs=100 skip=5 count=1 iflag=direct`,
		`exec tail -n +1 -f $C/log`,
		`exec cat $C/follow`,            // waits for a block
		`exec cat $M/core-3/follow`,     // waits for an append
		`exec tail -f $M/core-2/follow`, // where nothing ever was
		`exec ls $M/` + strings.Repeat("ab", 32),
		`exec stat $M/` + strings.Repeat("cd", 32) + `/core-3/log`,
	} {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL, syscall.SIGTERM} {
			best := time.Hour
			for try := 0; try < 5 && best > atOnce; try++ {
				c := m.blocked(t, script)
				syscall.Kill(-c.Process.Pid, signal)
				best = min(best, ends(t, c))
			}
			if best > atOnce {
				t.Errorf("%s: %v after %v, want %v", script, signal, best, atOnce)
			}
		}
	}
}

// TestOthersGoOn has three wait for one block: two are ended, and the third gets
// it when there is a peer again.
func TestOthersGoOn(t *testing.T) {
	for _, script := range []string{`exec cat $C/blocks/40`, `exec cat $C/log`, `exec head -c 950 $C/follow`} {
		t.Run(script, func(t *testing.T) {
			blocks := strings.SplitAfter(lines(64), "\n")[:64]
			m := newBlockedMount(t, blocks, time.Hour)
			want := blocks[40]
			if !strings.Contains(script, "blocks") {
				want = lines(64)
			}
			third := m.command(script)
			third.Env = append(third.Env, "C="+m.core(""))
			var out bytes.Buffer
			third.Stdout = &out
			if err := third.Start(); err != nil {
				t.Fatal(err)
			}
			inRequest(t, []*exec.Cmd{third})
			for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
				c := m.blocked(t, script)
				syscall.Kill(-c.Process.Pid, signal)
				ends(t, c)
			}
			connect(t, m.a, m.b)
			stop := time.AfterFunc(patience, func() { third.Process.Kill() })
			defer stop.Stop()
			if err := third.Wait(); err != nil || out.String() != want {
				t.Errorf("the third got %d bytes of %d, %v", out.Len(), len(want), err)
			}
		})
	}
}

// TestClearedWhileOpen gives up a block that is open, and of which the kernel
// remembers nothing: reads of it go through the kernel's cache, where a wait
// could not be interrupted, and so fail at once. Opened again it is fetched.
func TestClearedWhileOpen(t *testing.T) {
	blocks := []string{"here\n", strings.Repeat("0123456789abcdef", 20000)}
	a, b := newMachine(t, true), newMachine(t, true)
	a.append("core-3", blocks...)
	cut := connect(t, a, b)
	m := remoteMount(t, b, time.Hour)
	name := m.path(a.own.Key().String() + "/core-3/blocks/1")
	f := openFile(t, name, os.O_RDONLY)
	c := b.remoteCore(a, "core-3")
	if err := c.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Clear(deadline(t), 0, 2); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	cut()
	began := time.Now()
	p := make([]byte, 100)
	if n, err := f.ReadAt(p, 200_000); !errors.Is(err, syscall.ESTALE) && !errors.Is(err, syscall.EIO) {
		t.Errorf("read %d bytes, %v, want ESTALE", n, err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
	connect(t, a, b)
	if got, err := os.ReadFile(name); err != nil || string(got) != blocks[1] {
		t.Errorf("opened again: %d bytes, %v", len(got), err)
	}
}

// faults is how many threads of a program touch pages of a mapping that are not
// here; more than the kernel leaves in flight behind the back of a program
// unless it is told to.
const faults = 80

// childFaults maps a log and touches pages far apart from threads of their own,
// which the kernel starts to read on its own account.
func childFaults(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(faults + 2) // who waits for a page keeps one
	fmt.Println("ready")           // before the runtime may have to wait for one that does
	for i := range faults {
		at := (i + 1) * (len(b) / (faults + 2))
		go func() { fmt.Println("got", b[at]) }()
	}
	select {}
}

// TestNothingElseStops has programs wait for blocks in every way there is, many
// at once: all that needs no network goes on, appends too, and unmounting ends
// them all.
func TestNothingElseStops(t *testing.T) {
	needTools(t, "python3")
	blocks := make([]string, 400)
	for i := range blocks {
		blocks[i] = strings.Repeat(string(rune('a'+i%26)), 64<<10)
	}
	m := newBlockedMount(t, blocks, time.Hour)
	unknown := strings.Repeat("ab", 32)
	m.b.append("core-3", strings.Repeat("x", 300_000), "a short one\n")

	var waiting []*exec.Cmd
	mapped := start(t, "faults", m.core("log"))
	for _, script := range []string{
		`exec cat $C/log`, `exec cat $C/blocks/40`, `exec tail -f -c 100 $C/log`, `exec ls $M/` + unknown, `exec stat $M/` + unknown + `/main/log`,
		`exec cat $C/follow`, `exec cat $M/core-3/follow`,
		`cd $M/` + unknown + `/core-3 && exec sleep 60`, `exec python3 -c 'import os, sys; os.pread(os.open(sys.argv[1], 0), 100, 9999999)' $C/log`,
	} {
		waiting = append(waiting, m.blocked(t, script))
	}
	inFault(t, mapped.Process.Pid)
	goesOn := func(what string, f func() error) {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- f() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(patience):
			t.Errorf("%s stops", what)
		}
	}
	sh := func(script string) func() error {
		return func() error {
			c := m.command(script)
			c.Env = append(c.Env, "C="+m.core(""))
			if out, err := c.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %.300s", err, out)
			}
			return nil
		}
	}
	read := func(path, want string) func() error {
		return func() error {
			got, err := os.ReadFile(path)
			if err == nil && string(got) != want {
				err = fmt.Errorf("got %d bytes, want %d", len(got), len(want))
			}
			return err
		}
	}
	goesOn("ls of the root", sh(`ls -l $M $M/main $M/core-3`))
	goesOn("ls of the core", sh(`ls -l $C; ls -U $C/blocks | wc -l`))
	goesOn("stat", sh(`stat $C $C/log $C/blocks $C/blocks/0 $C/length $M/append`))
	goesOn("stat of an unknown size", sh(`! stat $C/blocks/300 2>&1`))
	goesOn("df", sh(`df $M $C $C/log`))
	goesOn("test", sh(`test -r $C/log -a ! -w $C/log -a -d $C/blocks`))
	goesOn("the name of an unknown key", sh(`test -d $M/`+strings.Repeat("12", 32)))
	goesOn("a block that is here", read(m.core("blocks/0"), blocks[0]))
	goesOn("the log where it is here", sh(`head -c 1000 $C/log | cmp - <(head -c 1000 $C/blocks/0)`))
	goesOn("an own block, cached", read(m.path("core-3/blocks/0"), strings.Repeat("x", 300_000)))
	goesOn("the own log, mapped", sh(`python3 -c 'import mmap, sys; f = open(sys.argv[1], "rb"); m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); assert m[:] == b"x" * 300000 + b"a short one\n"' $M/core-3/log`))
	goesOn("append", sh(`echo hello > $M/append; echo again | dd of=$M/append conv=fsync status=none`))
	goesOn("status.json", sh(`cat $M/status.json $C/info.json $C/length`))
	goesOn("open and close", func() error {
		for i := range 100 {
			f, err := os.Open(m.path([]string{"core-3/log", "key", "core-3/blocks/1"}[i%3]))
			if err != nil {
				return err
			}
			f.Close()
		}
		return nil
	})
	goesOn("unmount", m.Unmount)
	for _, c := range waiting {
		ends(t, c)
	}
	mapped.Process.Kill() // its threads got SIGBUS already, or wait for nothing more
	mapped.Wait()
	goesOn("clean up", func() error {
		if _, err := os.Lstat(m.Path()); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("the mountpoint is still there: %v", err)
		}
		return nil
	})
}

// childAlarmed touches a page of a mapping while signals come, and prints what
// is there.
func childAlarmed(path, offset string) error {
	at, err := strconv.Atoi(offset)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	if err := unix.Madvise(b, unix.MADV_RANDOM); err != nil { // else the kernel reads ahead on its own account
		return err
	}
	fmt.Println("ready")
	fmt.Printf("%c\n", b[at])
	return nil
}

// TestSignalInFault sends signals that a program handles while it waits for a
// page of a mapping: a fault cannot be interrupted, and must not fail for that.
func TestSignalInFault(t *testing.T) {
	blocks := make([]string, 40)
	for i := range blocks {
		blocks[i] = strings.Repeat(string(rune('A'+i)), 64<<10)
	}
	m := newBlockedMount(t, blocks, time.Hour)
	c := exec.Command(os.Args[0], m.core("log"), strconv.Itoa(20*64<<10+5))
	c.Env = append(os.Environ(), childEnv+"=alarmed")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(patience, func() { c.Process.Kill() })
	defer stop.Stop()
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); line != "ready\n" {
		t.Fatalf("it says %q, %v", line, err)
	}
	inFault(t, c.Process.Pid)
	for range 20 {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", c.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			if tid, err := strconv.Atoi(filepath.Base(thread)); err == nil {
				unix.Tgkill(c.Process.Pid, tid, unix.SIGURG)
			}
		}
	}
	connect(t, m.a, m.b)
	line, err := r.ReadString('\n')
	if line != "U\n" {
		t.Errorf("it reads %q, %v, want U\n%.1000s", line, err, &stderr)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// inFault waits until a thread of a process waits for a page.
func inFault(t *testing.T, pid int) {
	t.Helper()
	if !poll(func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid))
		for _, thread := range threads {
			wchan, err := os.ReadFile(thread)
			if err == nil && (strings.Contains(string(wchan), "folio") || strings.Contains(string(wchan), "fuse") || strings.Contains(string(wchan), "request_wait_answer")) {
				return true
			}
		}
		return false
	}) {
		t.Fatal("no thread waits for a page")
	}
}
