package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// childEnv makes the test binary do something else than test; see TestMain.
const childEnv = "MULTICORE_FS_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		os.Exit(asChild(what, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// needFUSE skips a test where FUSE cannot work, but not in CI.
func needFUSE(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		f.Close()
		return
	}
	unavailable(t, err)
}

// unavailable skips a test that this machine cannot run, but not in CI.
func unavailable(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// mnt is a mount and what runs in it.
type mnt struct {
	*Mounted
	t testing.TB
}

// mount mounts o at a fresh path, or at dir, and unmounts at the end.
func mount(t testing.TB, dir string, o Options) *mnt {
	t.Helper()
	needFUSE(t)
	if dir == "" {
		dir = filepath.Join(t.TempDir(), "mnt")
	}
	if o.StoreDir == "" {
		o.StoreDir = os.TempDir()
	}
	m, err := Mount(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
		if at, ok := lastMount(m.Path()); ok {
			t.Errorf("still mounted: %v", at)
		}
	})
	return &mnt{m, t}
}

func (m *mnt) path(name string) string { return filepath.Join(m.Path(), name) }

// read gives the content of a file.
func (m *mnt) read(name string) string {
	m.t.Helper()
	b, err := os.ReadFile(m.path(name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// want checks the content of a file.
func (m *mnt) want(name, content string) {
	m.t.Helper()
	if got := m.read(name); got != content {
		m.t.Errorf("%s: got %.200q, want %.200q", name, got, content)
	}
}

// names lists a directory.
func (m *mnt) names(dir string) string {
	m.t.Helper()
	list, err := os.ReadDir(m.path(dir))
	if err != nil {
		m.t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// fails checks that an operation fails with one of the numbers.
func (m *mnt) fails(what string, err error, want ...syscall.Errno) {
	m.t.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	m.t.Errorf("%s: got %v, want %v", what, err, want)
}

// command prepares a shell script that finds the mount in $M.
func (m *mnt) command(script string) *exec.Cmd {
	c := exec.Command("bash", "-c", script)
	c.Env = append(os.Environ(), "M="+m.Path())
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

// sh runs a script, which must exit 0, and gives its output.
func (m *mnt) sh(script string) string {
	m.t.Helper()
	c := m.command(script)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s%s", script, err, out, &stderr)
	}
	return string(out)
}

// until waits for a condition that changes announce.
func until(t testing.TB, what string, changed func() <-chan struct{}, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		ch := changed()
		if ok() {
			return
		}
		select {
		case <-ch:
		case <-ctx.Done():
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// poll looks until ok, as long as patience lasts, at what tells nobody when it
// changes.
func poll(ok func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if ok() {
			return true
		}
	}
	return ok()
}

// lines are n different lines.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line number %d\n", i)
	}
	return b.String()
}

// deadline ends when a test has waited too long.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// asChild is what the test binary does when a test starts it as another process.
func asChild(what string, args []string) int {
	var err error
	switch what {
	case "fork":
		err = childFork(args[0])
	case "hold":
		err = childHold(args[0], args[1])
	case "mount":
		err = childMount(args[0], args[1])
	case "faults":
		err = childFaults(args[0])
	case "mapped":
		err = childMapped(args[0])
	case "alarmed":
		err = childAlarmed(args[0], args[1])
	case "stress":
		err = childStress(args[0], args[1], args[2])
	default:
		err = fmt.Errorf("no child %q", what)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
