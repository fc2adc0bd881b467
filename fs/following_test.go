package fs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// watched is a program that shows what a file has and will have.
type watched struct {
	what  string
	shown func() string
}

// TestFollowingPrograms follows a log that grows, own, remote and a plain file,
// with the programs that people do it with.
func TestFollowingPrograms(t *testing.T) {
	needTools(t, "tail", "less", "tmux")
	const first, n = 5, 20 // less shows all of them at once
	line := func(i int) string { return fmt.Sprintf("line number %d\n", i) }
	var begin []string
	for i := range first {
		begin = append(begin, line(i))
	}
	p := newPlaces(t, begin)
	screen := newScreen(t)
	var all []watched
	for where, dir := range p.all() {
		for _, args := range [][]string{{"tail", "-n", "+1", "-f"}, {"tail", "-n", "+1", "-F"}, {"tail", "-n", "+1", "--follow=name", "-s", "0.1"}} {
			all = append(all, watched{where + ": " + strings.Join(args, " "), runShown(t, append(args, filepath.Join(dir, "log"))...)})
		}
		all = append(all, watched{where + ": less +F", screen.run("less +F " + filepath.Join(dir, "log"))})
	}
	check := func(upTo int) {
		t.Helper()
		want := lines(upTo)
		for _, w := range all {
			if !poll(func() bool { return w.shown() == want }) {
				t.Fatalf("%s shows\n%s\nwant\n%s", w.what, w.shown(), want)
			}
		}
	}
	check(first)
	plain, err := os.OpenFile(filepath.Join(p.plain, "log"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	own, err := os.OpenFile(filepath.Join(p.own, "append"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for i := first; i < n; i++ {
		for _, f := range []*os.File{plain, own} {
			if _, err := f.WriteString(line(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	check(n)
}

// runShown runs a program to the end of the test and gives what it printed.
func runShown(t *testing.T, args ...string) func() string {
	t.Helper()
	var out output
	c := exec.Command(args[0], args[1:]...)
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return out.String
}

// output is what was written so far. Safe for concurrent use.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// screen is a terminal that nobody looks at.
type screen struct {
	t      *testing.T
	socket string
	count  int
}

func newScreen(t *testing.T) *screen {
	dir, err := os.MkdirTemp("", "tmux") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, socket: filepath.Join(dir, "s")}
	t.Cleanup(func() {
		exec.Command("tmux", "-S", s.socket, "kill-server").Run()
		os.RemoveAll(dir)
	})
	return s
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	c := exec.Command("tmux", append([]string{"-S", s.socket, "-f", "/dev/null"}, args...)...)
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=screen", "LESS=")
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// run runs a program in a window of its own and gives the lines that are shown,
// without those of the pager itself.
func (s *screen) run(command string) func() string {
	s.t.Helper()
	s.count++
	name := fmt.Sprintf("window%d", s.count)
	s.tmux("new-session", "-d", "-s", name, "-x", "120", "-y", "40", command)
	return func() string {
		var b strings.Builder
		for line := range strings.Lines(s.tmux("capture-pane", "-p", "-t", name)) {
			if strings.HasPrefix(line, "line number") {
				b.WriteString(line)
			}
		}
		return b.String()
	}
}

// TestMappedAgain maps a log that ends within a page, and again after it grew:
// nothing that the kernel remembers of the first time is seen.
func TestMappedAgain(t *testing.T) {
	needTools(t, "python3")
	p := newPlaces(t, []string{"line number 0\n"})
	show := func(dir string) string {
		c := exec.Command("python3", "-c", `
import mmap, sys
for flags in mmap.MAP_SHARED, mmap.MAP_PRIVATE:
    with open(sys.argv[1], 'rb') as f, mmap.mmap(f.fileno(), 0, flags=flags, prot=mmap.PROT_READ) as m: sys.stdout.write(m[:].decode())
`, filepath.Join(dir, "log"))
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	remote := p.reader.remoteCore(p.writer, "core-3")
	for n := 1; n < 4; n++ {
		if n > 1 {
			p.writer.append("core-3", fmt.Sprintf("line number %d\n", n-1))
			until(t, "the reader knows the length", remote.Changed, func() bool { return remote.Info().Length == uint64(n) })
		}
		for _, dir := range []string{p.own, p.remote} {
			if got, want := show(dir), lines(n)+lines(n); got != want {
				t.Errorf("in %s a mapping shows %q, want %q", dir, got, want)
			}
		}
	}
}
