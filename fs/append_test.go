package fs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"multicore/corestore/multicore"
)

// messages gives the blocks of a core as quoted strings.
func (m *machine) messages(core string) string {
	m.t.Helper()
	c := m.core(core)
	var out []string
	for i := range c.Info().Length {
		b, err := c.Block(i)
		if err != nil {
			m.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%q", b))
	}
	return strings.Join(out, " ")
}

// TestFramingThroughPrograms writes as people do. Each script starts with empty
// cores 2 and 3 and says what is in them after it; no script waits.
func TestFramingThroughPrograms(t *testing.T) {
	for _, test := range []struct{ name, script, short, long string }{
		{"echo", `echo hi > $M/append; echo hello > $M/append`, `"hi\n"`, `"hello\n"`},
		{"append", `echo hi >> $M/append; echo hello >> $M/append`, `"hi\n"`, `"hello\n"`},
		{"routing", `echo abc > $M/append; echo > $M/append; echo é > $M/append; echo abcd > $M/append`, `"abc\n" "\n" "é\n"`, `"abcd\n"`},
		{"two lines", `printf 'a\nb\n' >> $M/append`, `"a\n" "b\n"`, ``},
		{"no newline", `printf wxyz > $M/append; printf vwxyz > $M/append`, `"wxyz"`, `"vwxyz"`},
		{"external", `/bin/echo -n wxyz > $M/append`, `"wxyz"`, ``},
		{"nothing", `: > $M/append; true >> $M/append; printf '' > $M/append`, ``, ``},
		{"two programs, one line", `{ /bin/echo -n hel; /bin/echo lo; } > $M/append`, ``, `"hello\n"`},
		{"two programs, no newline", `{ /bin/echo -n hel; /bin/echo -n lo; } > $M/append`, ``, `"hello"`},
		{"subshell", `( printf hel; ( printf l ); /bin/true; printf 'o\n' ) > $M/append`, ``, `"hello\n"`},
		{"held open", `exec 7> $M/append; /bin/echo -n hel >&7; /bin/true; /bin/echo lo >&7; /bin/echo -n rest >&7; exec 7>&-`, `"rest"`, `"hello\n"`},
		{"child writes", `exec 7> $M/append; /bin/echo -n hel >&7; sh -c 'echo lo >&7'; exec 7>&-`, ``, `"hello\n"`},
		{"tee", `printf 'one\nline two\n' | tee -a $M/append > /dev/null`, `"one\n"`, `"line two\n"`},
		{"dd", `printf 'hello\nworld\n' | dd of=$M/append bs=4 status=none`, ``, `"hello\n" "world\n"`},
		{"dd with offset", `printf 'hello\n' | dd of=$M/append bs=2 seek=1000 conv=notrunc status=none`, ``, `"hello\n"`},
		{"dd with fsync", `printf 'hello' | dd of=$M/append bs=8 conv=fsync status=none`, ``, `"hello"`},
		{"cat", `printf 'hello\nworld\n' | cat > $M/append`, ``, `"hello\n" "world\n"`},
		{"cp", `f=$(mktemp); echo hello > $f; cp $f $M/append; rm $f`, ``, `"hello\n"`},
		{"one core", `echo hi > $M/core-3/append; echo hello > $M/core-2/append`, `"hello\n"`, `"hi\n"`},
		{"touch", `touch $M/append; truncate -s 100 $M/append`, ``, ``},
		{"interleaved", `exec 7> $M/append 8> $M/append; /bin/echo -n aaa >&7; /bin/echo -n bbb >&8; echo 777 >&7; echo 888 >&8; exec 7>&- 8>&-`, ``, `"aaa777\n" "bbb888\n"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newMachine(t, true)
			m := mount(t, "", a.options())
			m.sh(test.script)
			if got := a.messages("core-2"); got != test.short {
				t.Errorf("core-2 has %s, want %s", got, test.short)
			}
			if got := a.messages("core-3"); got != test.long {
				t.Errorf("core-3 has %s, want %s", got, test.long)
			}
		})
	}
}

// TestForkInTheMiddleOfALine has a program that is not a shell fork with half a
// line written: its children close what they inherited.
func TestForkInTheMiddleOfALine(t *testing.T) {
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	c := exec.Command(os.Args[0], m.path("append"))
	c.Env = append(os.Environ(), childEnv+"=fork")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := a.messages("core-3"), `"before and after\n" "the last"`; got != want {
		t.Errorf("core-3 has %s, want %s", got, want)
	}
}

// childFork writes half a line, runs a program that inherits the file, and
// writes the other half.
func childFork(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error { _, err := f.WriteString("before "); return err },
		func() error {
			c := exec.Command("/bin/sh", "-c", "exit 0")
			c.ExtraFiles = []*os.File{f}
			return c.Run()
		},
		func() error { _, err := f.WriteString("and after\nthe last"); return err },
		f.Close,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// TestCloseIsSeenAtOnce checks that a message without its newline is there when
// close(2) by the opener returns, and not before.
func TestCloseIsSeenAtOnce(t *testing.T) {
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	c := a.core("core-3")
	for i := range uint64(50) {
		f, err := os.OpenFile(m.path("append"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("hello"); err != nil {
			t.Fatal(err)
		}
		if got := c.Info().Length; got != i {
			t.Fatalf("before the close: length %d, want %d", got, i)
		}
		if i%2 == 0 {
			err = f.Sync()
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if got := c.Info().Length; got != i+1 {
			t.Fatalf("after the close: length %d, want %d", got, i+1)
		}
	}
}

func TestFsyncIsDurable(t *testing.T) {
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	f, err := os.OpenFile(m.path("append"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, s := range []string{"hello\n", "world"} {
		if _, err := f.WriteString(s); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if got := a.core("core-3").Info().Durable; got != uint64(i+1) {
			t.Errorf("durable length %d after fsync, want %d", got, i+1)
		}
	}
}

func TestAppendFilesAreWriteOnly(t *testing.T) {
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	for _, name := range []string{"append", "core-2/append"} {
		for _, flags := range []int{os.O_RDONLY, os.O_RDWR} {
			_, err := os.OpenFile(m.path(name), flags, 0)
			m.fails("open "+name, err, syscall.EACCES)
		}
	}
}

func TestTooLong(t *testing.T) {
	a := newMachine(t, true)
	o := a.options()
	o.MaxMessage = 100
	m := mount(t, "", o)
	f, err := os.OpenFile(m.path("append"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(s string, want error) {
		t.Helper()
		if n, err := f.WriteString(s); !errors.Is(err, want) || err == nil && n != len(s) {
			t.Fatalf("write of %d bytes: %d, %v, want %v", len(s), n, err, want)
		}
	}
	write("fits\n", nil)
	write("half of it", nil)
	write(strings.Repeat("x", 100), syscall.EMSGSIZE)
	write("the rest", syscall.EMSGSIZE)
	write("its end\n", syscall.EMSGSIZE)
	write("fits again\n", nil)
	write("good\n"+strings.Repeat("x", 101)+"\n", syscall.EMSGSIZE)
	write(strings.Repeat("y", 99)+"\n", nil)
	if got, want := a.messages("core-3"), `"fits\n" "fits again\n" "`+strings.Repeat("y", 99)+`\n"`; got != want {
		t.Errorf("core-3 has %s, want %s", got, want)
	}
}

// TestTooLongInOneWrite is refused by the kernel's last piece of write(2), of
// which a program sees a short count alone.
func TestTooLongInOneWrite(t *testing.T) {
	a := newMachine(t, true)
	o := a.options()
	o.MaxMessage = maxWrite + 100
	m := mount(t, "", o)
	f, err := os.OpenFile(m.path("append"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buffer := make([]byte, 2*maxWrite)
	for shift := range 64 {
		line := append(buffer[64*shift:64*shift:cap(buffer)], strings.Repeat("x", o.MaxMessage)...)
		line = append(line, "\nnext\n"...)
		if n, err := f.Write(line); !errors.Is(err, syscall.EMSGSIZE) { // writes the rest of a short write
			t.Fatalf("write of %d bytes: %d, %v, want EMSGSIZE", len(line), n, err)
		}
	}
	if _, err := f.WriteString("after\n"); err != nil {
		t.Fatal(err)
	}
	if got, want := a.messages("core-3"), `"after\n"`; got != want {
		t.Errorf("core-3 has %.200s, want %s", got, want)
	}
}

// TestByWrite never splits a message silently: what the kernel may have cut is
// refused, whether or not the buffer begins at a page.
func TestByWrite(t *testing.T) {
	a := newMachine(t, true)
	o := a.options()
	o.Framing = multicore.Framing{Mode: multicore.ByWrite}
	m := mount(t, "", o)
	f, err := os.OpenFile(m.path("append"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buffer := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	c := a.core("core-3")
	for _, shift := range []int{0, 1, 4095} {
		before := c.Info().Length
		for _, size := range []int{5, 4096, uncutWrite()} {
			if n, err := f.Write(buffer[shift : shift+size]); n != size || err != nil {
				t.Fatalf("write of %d bytes at %d: %d, %v", size, shift, n, err)
			}
		}
		for _, size := range []int{uncutWrite() + 1, maxWrite - 1, maxWrite, maxWrite + 1, 2*maxWrite - 4096} {
			if n, err := syscall.Write(int(f.Fd()), buffer[shift:min(shift+size, len(buffer))]); n > 0 || err != syscall.EMSGSIZE {
				t.Fatalf("write of %d bytes at %d: %d, %v, want EMSGSIZE", size, shift, n, err)
			}
		}
		if got := c.Info().Length - before; got != 3 {
			t.Fatalf("%d messages, want 3", got)
		}
	}
}

func TestBySizeAndByClose(t *testing.T) {
	a := newMachine(t, true)
	o := a.options()
	o.Framing = multicore.Framing{Mode: multicore.BySize, Size: 64 << 10}
	m := mount(t, "", o)
	m.sh(`head -c 983043 /dev/zero > $M/append`) // 15 pieces of 64 KiB and a rest of 3 bytes, kept together
	if got := a.core("core-3").Info(); got.Length != 16 || got.ByteLength != 983043 {
		t.Errorf("by size: %d blocks, %d bytes", got.Length, got.ByteLength)
	}
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	o.Framing = multicore.Framing{Mode: multicore.ByClose}
	m = mount(t, "", o)
	m.sh(`{ echo one; echo two; /bin/echo three; } > $M/append; echo 4 > $M/append`)
	if got, want := a.messages("core-2"), `"4\n"`; got != want {
		t.Errorf("by close: core-2 has %s, want %s", got, want)
	}
	if b, err := a.core("core-3").Block(16); err != nil || string(b) != "one\ntwo\nthree\n" {
		t.Errorf("by close: %q, %v", b, err)
	}
}

// TestWriters has several programs append at once: every line is there, whole,
// and in the order of its writer.
func TestWriters(t *testing.T) {
	const writers, each = 4, 500
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	m.sh(fmt.Sprintf(`for w in $(seq %d); do (for i in $(seq %d); do echo "writer $w line $i"; done > $M/append) & done; wait`, writers, each))
	next := make(map[int]int)
	scan := bufio.NewScanner(strings.NewReader(m.read("core-3/log")))
	for scan.Scan() {
		var w, i int
		if n, err := fmt.Sscanf(scan.Text(), "writer %d line %d", &w, &i); n != 2 || err != nil {
			t.Fatalf("line %q: %v", scan.Text(), err)
		}
		if i != next[w]+1 {
			t.Fatalf("writer %d: line %d after %d", w, i, next[w])
		}
		next[w] = i
	}
	for w := 1; w <= writers; w++ {
		if next[w] != each {
			t.Errorf("writer %d: %d lines, want %d", w, next[w], each)
		}
	}
	if got := a.core("core-3").Info().Length; got != writers*each {
		t.Errorf("%d blocks, want %d", got, writers*each)
	}
}

// TestTail follows log as tail -f does, while it is written: each byte once, in
// order.
func TestTail(t *testing.T) {
	const n = 2000
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	m.sh(`echo "line number 0" > $M/append`)
	tail := m.command(`exec tail -n +1 -s 0.05 -f $M/core-3/log`)
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { tail.Process.Kill(); tail.Wait() }()
	var writing sync.WaitGroup
	writing.Go(func() {
		f, err := os.OpenFile(m.path("append"), os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for i := 1; i < n; i++ {
			if _, err := fmt.Fprintf(f, "line number %d\n", i); err != nil {
				t.Error(err)
				return
			}
		}
	})
	want := lines(n)
	got := make([]byte, len(want))
	stop := context.AfterFunc(deadline(t), func() { tail.Process.Kill() })
	defer stop()
	if k, err := io.ReadFull(out, got); err != nil || string(got) != want {
		t.Errorf("tail printed %d of %d bytes as wanted, %v", same(string(got[:k]), want), len(want), err)
	}
	writing.Wait()
}

// same counts the leading bytes that a and b share.
func same(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
