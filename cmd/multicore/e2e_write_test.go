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

// pair is a writer's mount at w and a reader's at r, of processes that know
// nothing of each other but one bootstrap node and the main key.
type pair struct {
	*lab
	writer, reader *process
	key            string // main key of the writer
}

func newPair(t *testing.T, readerFlags ...string) *pair {
	t.Helper()
	p := &pair{lab: newLab(t)}
	p.bootstrap()
	p.writer = p.mount("writer", "w")
	p.reader = p.mount("reader", "r", readerFlags...)
	p.key = strings.TrimSpace(p.sh("cat w/key"))
	if len(p.key) != 64 {
		t.Fatalf("key is %q", p.key)
	}
	return p
}

// remote is a path in the writer's multicore as the reader's mount shows it.
func (p *pair) remote(elem ...string) string {
	return p.path(append([]string{"r", p.key}, elem...)...)
}

// contents are the blocks of a core in the mount under root, one string each.
func (l *lab) contents(root, core string) []string {
	l.t.Helper()
	n := strings.TrimSpace(l.must("cat", filepath.Join(root, core, "length")))
	var out []string
	for i := 0; fmt.Sprint(i) != n; i++ {
		out = append(out, l.must("cat", filepath.Join(root, core, "blocks", fmt.Sprint(i))))
		if i > 1000 {
			l.t.Fatalf("length of %s is %q", core, n)
		}
	}
	return out
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
		t.Fatalf("%s is\n%s, want\n%s", what, g, w)
	}
}

// TestE2EMessages writes messages in all the ways a shell and programs write
// them, and reads them in the mount of another process.
func TestE2EMessages(t *testing.T) {
	p := newPair(t)
	p.sh("echo hi > w/append")
	p.durable("writer")
	expect(t, "core-2", p.contents("w", "core-2"), []string{"hi\n"})
	expect(t, "core-2/blocks/0 of the reader", p.must("cat", p.remote("core-2", "blocks", "0")), "hi\n")

	p.sh(`set -e
		echo abc >> w/append
		echo > w/append
		echo é > w/append
		echo abcd > w/append
		echo hello > w/append
		printf 'a\nb\n' >> w/append
		printf wxyz > w/append
		{ /bin/echo -n hel; /bin/echo lo; } > w/append
		echo one | tee -a w/append > tee.out
		printf 'two\nthree\n' | dd of=w/append bs=3 2> dd.out
		echo straight > w/core-2/append`)
	forks(t, p.path("w", "append"))
	short := []string{"hi\n", "abc\n", "\n", "é\n", "a\n", "b\n", "wxyz", "one\n", "two\n", "straight\n"}
	long := []string{"abcd\n", "hello\n", "hello\n", "three\n", "forked line\n"}
	index := p.must("cat", "w/main/blocks/0")
	if len(index) != 149 || !strings.HasPrefix(index, `{"otherKeys":["`) || strings.ContainsAny(index, " \n") {
		t.Fatalf("block 0 of main is %q", index)
	}
	for _, root := range []string{"w", filepath.Join("r", p.key)} {
		for core, want := range map[string][]string{"main": {index}, "core-2": short, "core-3": long} {
			eventually(t, patience, root+"/"+core+" has all", func() bool {
				return strings.TrimSpace(p.must("cat", filepath.Join(root, core, "length"))) == fmt.Sprint(len(want))
			})
			expect(t, root+"/"+core, p.contents(root, core), want)
			expect(t, root+"/"+core+"/log", p.must("cat", filepath.Join(root, core, "log")), strings.Join(want, ""))
		}
	}
	// The own key leads to the own tree.
	expect(t, "own key/core-3/log", p.must("cat", filepath.Join("w", p.key, "core-3", "log")), strings.Join(long, ""))
	own := p.start("tail", "-n", "1", "-f", filepath.Join("w", p.key, "core-3", "log"))
	eventually(t, patience, "tail of the own log", func() bool { return own.out.String() == "forked line\n" })
	p.sh("echo 'own tail' > w/append")
	eventually(t, 2*time.Second, "tail of the own log goes on", func() bool { return own.out.String() == "forked line\nown tail\n" })
}

// forks writes a line from a program that starts a child in the middle of it:
// the child inherits the open file, and closes it.
func forks(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, part := range []string{"forked", " li", "ne\n"} {
		if _, err := f.WriteString(part); err != nil {
			t.Fatal(err)
		}
		child := exec.Command("true")
		child.ExtraFiles = []*os.File{f}
		if err := child.Run(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestE2ETail follows a remote log with GNU tail and with ours: a line is there within two
// seconds, and a burst arrives whole, once and in order.
func TestE2ETail(t *testing.T) {
	const lines = 10000
	p := newPair(t)
	p.sh("echo first line > w/append")
	p.durable("writer")
	tail := p.start("tail", "-n", "+1", "-f", p.remote("core-3", "log"))
	command := p.start("multicore", "--store", "reader", "tail", "-n", "+0", "-f", p.key+"/core-3")
	for _, p := range []*process{tail, command} {
		eventually(t, patience, "the first line is shown", func() bool { return p.out.String() == "first line\n" })
	}
	p.sh("echo second line > w/append")
	eventually(t, 2*time.Second, "the second line is shown", func() bool {
		const two = "first line\nsecond line\n"
		return tail.out.String() == two && command.out.String() == two
	})
	began := time.Now()
	p.sh(fmt.Sprintf("for ((i = 0; i < %d; i++)); do echo line $i >> w/append; done", lines))
	wrote := time.Since(began)
	var want strings.Builder
	want.WriteString("first line\nsecond line\n")
	for i := range lines {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	for what, p := range map[string]*process{"tail -f": tail, "multicore tail -f": command} {
		eventually(t, patience, what+" shows the burst", func() bool { return len(p.out.String()) >= want.Len() })
		if got := p.out.String(); got != want.String() {
			t.Fatalf("%s shows %d bytes that are not those written, want %d; %s", what, len(got), want.Len(), firstDifference(got, want.String()))
		}
	}
	t.Logf("%d lines written in %v, all shown %v later", lines, wrote.Round(time.Millisecond), (time.Since(began) - wrote).Round(time.Millisecond))
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d is %q, want %q", i, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}
