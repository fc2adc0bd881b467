package fs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMountpointIsMadeAndRemoved(t *testing.T) {
	a := newMachine(t, true)
	dir := filepath.Join(t.TempDir(), "a b\tc")
	m := mount(t, dir, a.options())
	m.want("key", a.own.Key().String()+"\n") // usable on return
	if m.Path() != dir {
		t.Errorf("path %q, want %q", m.Path(), dir)
	}
	select {
	case <-m.Done():
		t.Fatal("done while mounted")
	default:
	}
	for range 2 {
		if err := m.Unmount(); err != nil {
			t.Fatal(err)
		}
	}
	<-m.Done()
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}

	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := mount(t, dir, a.options()).Unmount(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); err != nil {
		t.Errorf("a directory that was there before: %v", err)
	}
}

func TestMountpointRefused(t *testing.T) {
	needFUSE(t)
	a := newMachine(t, true)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	refused := func(path string, want error) {
		t.Helper()
		m, err := Mount(path, a.options())
		if err == nil {
			m.Unmount()
		}
		if !errors.Is(err, want) {
			t.Errorf("mount at %s: %v, want %v", path, err, want)
		}
	}
	refused(dir, ErrNotEmpty)
	refused(file, syscall.ENOTDIR)
	refused(filepath.Join(dir, "no", "parent"), os.ErrNotExist)

	live := mount(t, filepath.Join(dir, "live"), a.options())
	refused(live.Path(), ErrMounted)
	link := filepath.Join(dir, "link")
	if err := os.Symlink("live", link); err != nil {
		t.Fatal(err)
	}
	refused(link, ErrMounted)
	live.want("key", a.own.Key().String()+"\n")

	o := a.options()
	o.AllowNonEmpty = true
	if err := live.Unmount(); err != nil {
		t.Fatal(err)
	}
	over := mount(t, dir, o)
	over.want("key", a.own.Key().String()+"\n")
	if err := over.Unmount(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// TestOtherMountIsRefused mounts a tmpfs, which needs root.
func TestOtherMountIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		unavailable(t, err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if _, err := Mount(dir, newMachine(t, true).options()); !errors.Is(err, ErrMounted) {
		t.Errorf("got %v, want %v", err, ErrMounted)
	}
}

// start runs the test binary as another process and gives it once it said that
// it is ready.
func start(t *testing.T, what string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), childEnv+"="+what)
	stdin, err := c.StdinPipe() // it ends with us
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); c.Process.Kill(); c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("%s says %q, %v", what, line, err)
	}
	return c
}

// childHold holds a mount until its stdin ends. It has a child of its own,
// which lives on for a while.
func childHold(store, dir string) error {
	var t childTB
	a := openMachine(&t, store, true)
	if _, err := Mount(dir, a.options()); err != nil {
		return err
	}
	if err := exec.Command("sleep", "5").Start(); err != nil {
		return err
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

// childMount tries to mount and prints the error.
func childMount(store, dir string) error {
	var t childTB
	_, err := Mount(dir, openMachine(&t, store, true).options())
	return err
}

// childTB is as much of a testing.TB as openMachine needs outside of a test.
type childTB struct{ testing.TB }

func (*childTB) Helper()           {}
func (*childTB) Cleanup(func())    {}
func (*childTB) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
func (*childTB) Error(args ...any) { panic(fmt.Sprint(args...)) }

// TestDeadMountIsCleared kills a process that holds a mount, and mounts again.
func TestDeadMountIsCleared(t *testing.T) {
	needFUSE(t)
	store := filepath.Join(t.TempDir(), "store")
	dir := filepath.Join(t.TempDir(), "mnt")
	holder := start(t, "hold", store, dir)
	if _, err := os.Stat(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(filepath.Join(dir, "main", "log")) // keeps it busy
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	holder.Process.Kill()
	holder.Wait()
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != syscall.ENOTCONN {
		t.Fatalf("stat of a dead mount: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	a := openMachine(t, store, true)
	m := mount(t, link, a.options())
	if m.Path() != dir {
		t.Errorf("mounted at %s, want %s", m.Path(), dir)
	}
	m.want("key", a.own.Key().String()+"\n")
	m.sh(`echo hello > $M/append`)
	m.want("core-3/log", "hello\n")
}

// TestLiveMountOfAnotherProcess is refused and stays.
func TestLiveMountOfAnotherProcess(t *testing.T) {
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "mnt")
	start(t, "hold", filepath.Join(t.TempDir(), "store"), dir)
	t.Cleanup(func() { detach(dir) })
	if _, err := Mount(dir, newMachine(t, true).options()); !errors.Is(err, ErrMounted) {
		t.Errorf("got %v, want %v", err, ErrMounted)
	}
	if _, err := os.Stat(filepath.Join(dir, "key")); err != nil {
		t.Error(err)
	}
}

// TestUnmountByOthers closes Done and brings what waits to its end.
func TestUnmountByOthers(t *testing.T) {
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	if err := detach(m.Path()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Done():
	case <-time.After(patience):
		t.Fatal("not done")
	}
	if _, err := os.Lstat(m.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	// Somebody else mounts there; that is not ours to unmount.
	if err := os.Mkdir(m.Path(), 0o755); err != nil {
		t.Fatal(err)
	}
	again := mount(t, m.Path(), a.options())
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	again.want("key", a.own.Key().String()+"\n")
}

// TestUnmountAtOnce unmounts from several places, none of which fails.
func TestUnmountAtOnce(t *testing.T) {
	a := newMachine(t, true)
	for range 5 {
		m := mount(t, "", a.options())
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				if err := m.Unmount(); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
	}
}

// TestUnmountWhileBusy unmounts with open files and a process inside.
func TestUnmountWhileBusy(t *testing.T) {
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	m.sh(`echo hello > $M/append`)
	writer, err := os.OpenFile(m.path("append"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.WriteString("half a line"); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(m.path("core-3/log"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	inside := m.command(`cd $M && echo ready && exec sleep 60`)
	out, err := inside.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := inside.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { inside.Process.Kill(); inside.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	<-m.Done()
	if at, ok := lastMount(m.Path()); ok {
		t.Errorf("still mounted: %v", at)
	}
	if got, want := a.messages("core-3"), `"hello\n" "half a line"`; got != want {
		t.Errorf("core-3 has %s, want %s", got, want)
	}
	_, err = writer.WriteString("too late\n")
	m.fails("write after the end", err, syscall.ENOTCONN)
}

// TestUnavailable takes FUSE away from another process: its device, and the
// right to mount.
func TestUnavailable(t *testing.T) {
	needFUSE(t)
	if os.Getuid() != 0 {
		unavailable(t, errors.New("needs root"))
	}
	const rest = "); in a container add --device /dev/fuse --cap-add SYS_ADMIN, or use serve, append, tail"
	dir := filepath.Join(t.TempDir(), "mnt")
	run := func(script, want string) {
		t.Helper()
		c := exec.Command("bash", "-c", script, "bash", os.Args[0], filepath.Join(t.TempDir(), "store"), dir)
		c.Env = append(os.Environ(), childEnv+"=mount")
		out, err := c.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		if got := strings.TrimSpace(string(out)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", script, got, want)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the directory that was made is still there: %v", err)
		}
	}
	run(`exec unshare -m bash -c 'mount -t tmpfs tmpfs /dev && exec "$@"' bash "$@"`,
		"FUSE is not available (/dev/fuse: no such file or directory"+rest)
	run(`exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$@"`,
		"FUSE is not available (/dev/fuse: operation not permitted"+rest)
	if err := (&unavailableError{reason: syscall.EPERM}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.EPERM) {
		t.Errorf("%v", err)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`/a`: "/a", `/a\040b`: "/a b", `/a\011\012\134`: "/a\t\n\\", `\04`: `\04`, `\999`: `\999`, `\`: `\`, ``: ``,
	} {
		if got := unescape(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
