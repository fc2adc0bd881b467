package fs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"golang.org/x/sys/unix"
)

// Why tests of package posixtest cannot pass in a tree where only append files
// are written. Each must fail with EROFS all the same, at its first step, and
// TestPosix has what is left of it for the files that are there.
const (
	makesFile    = "makes a file"
	makesDir     = "makes a directory"
	makesLink    = "makes a symbolic link"
	asItIs       = "" // it only reads
	readOnlyText = "read-only file system"
)

var posixTests = map[string]string{
	"AppendWrite":                makesFile,
	"DirSeek":                    makesDir,
	"DirectIO":                   makesFile,
	"Fallocate":                  makesFile,
	"FallocateKeepSize":          makesFile,
	"FcntlFlockLocksFile":        makesFile,
	"FcntlFlockSetLk":            makesFile,
	"FdLeak":                     makesFile,
	"FileBasic":                  makesFile,
	"FileLarge":                  makesFile,
	"FstatDeleted":               makesFile,
	"Link":                       makesFile,
	"LinkUnlinkRename":           makesFile,
	"LseekEnxioCheck":            makesFile,
	"LseekHoleSeeksToEOF":        makesFile,
	"MkdirRmdir":                 makesDir,
	"NlinkZero":                  makesFile,
	"OpenAt":                     makesDir,
	"OpenSymlinkRace":            makesFile,
	"ParallelFileOpen":           makesFile,
	"ReadDirBasic":               makesFile,
	"ReadDirConsistency":         asItIs,
	"RenameOpenDir":              makesDir,
	"RenameOverwriteDestExist":   makesDir,
	"RenameOverwriteDestNoExist": makesDir,
	"SetattrSymlink":             makesLink,
	"SymlinkReadlink":            makesLink,
	"Tmpfile":                    makesFile,
	"TruncateFile":               makesFile,
	"TruncateNoFile":             makesFile,
	"XAttr":                      makesFile,
	"XAttrLarge":                 makesFile,
}

// TestPosixSuite runs package posixtest in the directories of a mount, each test
// in a process of its own: what only reads passes, all else is refused, and
// nothing hangs or leaves anything behind.
func TestPosixSuite(t *testing.T) {
	a := newMachine(t, true)
	a.append("core-3", strings.SplitAfter(lines(1000), "\n")[:1000]...)
	m := mount(t, "", a.options())
	dirs := []string{"", "core-3", "core-3/blocks"}
	var before []string
	for _, dir := range dirs {
		before = append(before, m.names(dir))
	}
	for name := range posixtest.All {
		if _, ok := posixTests[name]; !ok {
			t.Errorf("posixtest.%s is in no table", name)
		}
	}
	for name, reason := range posixTests {
		if posixtest.All[name] == nil {
			t.Errorf("there is no posixtest.%s", name)
			continue
		}
		for _, dir := range dirs {
			c := exec.CommandContext(deadline(t), os.Args[0], "-test.run=^TestOnePosix$")
			c.Env = append(os.Environ(), posixEnv+"="+name+":"+m.path(dir))
			out, err := c.CombinedOutput()
			var exit *exec.ExitError
			switch {
			case err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1):
				t.Errorf("%s in %q: %v\n%s", name, dir, err, out)
			case reason == asItIs && err != nil:
				t.Errorf("%s in %q fails\n%s", name, dir, out)
			case reason != asItIs && (err == nil || !strings.Contains(string(out), readOnlyText)):
				t.Errorf("%s in %q, which %s: %v, want %q\n%s", name, dir, reason, err, readOnlyText, out)
			}
		}
	}
	for i, dir := range dirs {
		if got := m.names(dir); got != before[i] {
			t.Errorf("%q lists %.200q now, %.200q before", dir, got, before[i])
		}
	}
	m.want("core-3/log", lines(1000))
}

// posixEnv names the test that TestOnePosix runs, and the directory.
const posixEnv = "MULTICORE_FS_POSIX_TEST"

// TestOnePosix is what TestPosixSuite runs in another process.
func TestOnePosix(t *testing.T) {
	if name, dir, ok := strings.Cut(os.Getenv(posixEnv), ":"); ok {
		posixtest.All[name](t, dir)
	}
}

// TestPosix does with the files that are there what the tests of posixtest do
// with those that they make.
func TestPosix(t *testing.T) {
	blocks := mixedBlocks()
	p := newPlaces(t, blocks)
	for where, dir := range p.all() {
		file := dir + "/log"
		run := func(name string, f func(t *testing.T)) { t.Run(where+"/"+name, f) }
		run("DirSeek", func(t *testing.T) { dirSeek(t, dir+"/blocks") })
		run("FdLeak", func(t *testing.T) {
			before := descriptors(t)
			for range 100 {
				if b, err := os.ReadFile(file); err != nil || string(b) != p.log {
					t.Fatal(len(b), err)
				}
			}
			if after := descriptors(t); after > before+5 {
				t.Errorf("%d descriptors, %d before", after, before)
			}
		})
		run("FileLarge", func(t *testing.T) {
			f := openFile(t, file, os.O_RDONLY)
			b := make([]byte, len(p.log)+1000)
			if n, err := f.ReadAt(b, 0); string(b[:n]) != p.log || err == nil {
				t.Errorf("read beyond the end: %d bytes, %v", n, err)
			}
			b = b[:64<<10+5]
			if _, err := f.ReadAt(b, 4096+7); err != nil || string(b) != p.log[4096+7:][:len(b)] {
				t.Errorf("read in the middle: %v", err)
			}
		})
		run("DirectIO", func(t *testing.T) {
			if where == "plain" {
				t.Skip("depends on the disk")
			}
			f := openFile(t, file, os.O_RDONLY|syscall.O_DIRECT)
			const at, n = 8 << 10, 64 << 10 // the disk below may want whole pages
			b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Munmap(b)
			if _, err := f.ReadAt(b, at); err != nil || string(b) != p.log[at:at+n] {
				t.Errorf("direct read: %v", err)
			}
		})
		run("ParallelFileOpen", func(t *testing.T) {
			errs := make(chan error, 10)
			for range cap(errs) {
				go func() {
					f, err := os.Open(file)
					if err == nil {
						defer f.Close()
						b := make([]byte, 10)
						if _, err = f.Read(b); err == nil && string(b) != p.log[:10] {
							err = fmt.Errorf("read %q", b)
						}
					}
					errs <- err
				}()
			}
			for range cap(errs) {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
		})
		run("Lseek", func(t *testing.T) {
			f := openFile(t, file, os.O_RDONLY)
			size := int64(len(p.log))
			for _, s := range []struct {
				off    int64
				whence int
				want   int64
				err    error
			}{
				{size / 2, unix.SEEK_HOLE, size, nil}, {size / 2, unix.SEEK_DATA, size / 2, nil},
				{size, unix.SEEK_DATA, 0, unix.ENXIO}, {size + 1, unix.SEEK_DATA, 0, unix.ENXIO}, {size + 1, unix.SEEK_HOLE, 0, unix.ENXIO},
				{-1, unix.SEEK_SET, 0, unix.EINVAL}, {-10, unix.SEEK_END, size - 10, nil},
			} {
				if got, err := unix.Seek(int(f.Fd()), s.off, s.whence); err != s.err || err == nil && got != s.want {
					t.Errorf("seek to %d, %d: %d, %v, want %d, %v", s.off, s.whence, got, err, s.want, s.err)
				}
			}
		})
		run("FcntlFlock", func(t *testing.T) {
			f, g := openFile(t, file, os.O_RDONLY), openFile(t, file, os.O_RDONLY)
			lock := func(f *os.File, kind int16) error {
				return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind})
			}
			if err := errors.Join(lock(f, unix.F_RDLCK), lock(g, unix.F_RDLCK)); err != nil {
				t.Errorf("two shared locks: %v", err)
			}
			if err := errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)); err != nil {
				t.Errorf("exclusive flock: %v", err)
			}
			if err := unix.Flock(int(g.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != unix.EWOULDBLOCK {
				t.Errorf("second flock: %v", err)
			}
		})
		if where == "plain" {
			continue // what follows would succeed, or not, as its owner may
		}
		run("refused", func(t *testing.T) {
			for what, err := range map[string]error{
				"truncate":    syscall.Truncate(file, 1),
				"fallocate":   onFile(t, dir+"/blocks/3", func(fd int) error { return unix.Fallocate(fd, 0, 0, 4096) }),
				"ftruncate":   onFile(t, file, func(fd int) error { return syscall.Ftruncate(fd, 1) }),
				"link":        os.Link(file, dir+"/file"),
				"symlink":     os.Symlink(file, dir+"/link"),
				"rename":      os.Rename(file, dir+"/blocks/file"),
				"unlink":      os.Remove(file),
				"mkdir":       os.Mkdir(dir+"/dir", 0o755),
				"create":      onFile(t, file, func(int) error { _, err := os.Create(dir + "/file"); return err }),
				"mknod":       unix.Mknod(dir+"/fifo", unix.S_IFIFO|0o600, 0),
				"chmod":       os.Chmod(file, 0o644),
				"chown":       os.Chown(file, 1, 1),
				"utimes":      unix.Utimes(file, make([]unix.Timeval, 2)),
				"setxattr":    unix.Setxattr(file, "user.x", []byte("x"), 0),
				"removexattr": unix.Removexattr(file, "user.x"),
			} {
				if !errors.Is(err, unix.EROFS) && !errors.Is(err, unix.EBADF) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
					t.Errorf("%s: %v, want EROFS", what, err)
				}
			}
			if n, err := unix.Listxattr(file, nil); n > 0 || err != nil && err != unix.ENOTSUP {
				t.Errorf("listxattr: %d, %v", n, err)
			}
			if b, err := os.ReadFile(file); err != nil || string(b) != p.log {
				t.Errorf("afterwards log has %d bytes, %v", len(b), err)
			}
		})
	}
}

func openFile(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func onFile(t *testing.T, path string, fn func(fd int) error) error {
	t.Helper()
	f := openFile(t, path, os.O_RDONLY)
	return fn(int(f.Fd()))
}

// descriptors counts those of this process, without the pipes that go-fuse keeps
// to splice with.
func descriptors(t testing.TB) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

// dirSeek reads a directory, and then each entry again by seeking to where the
// one before it ended.
func dirSeek(t *testing.T, dir string) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	type entry struct {
		off  int64
		name string
		ino  uint64
	}
	read := func() (list []entry) {
		b := make([]byte, 4096)
		n, err := unix.Getdents(fd, b)
		if err != nil {
			t.Fatal(err)
		}
		for b = b[:n]; len(b) > 0; {
			// ino 8, off 8, reclen 2, type 1, name
			size := int(b[16]) | int(b[17])<<8
			name, _, _ := strings.Cut(string(b[19:size]), "\x00")
			u64 := func(at int) (v uint64) {
				for i := range 8 {
					v |= uint64(b[at+i]) << (8 * i)
				}
				return v
			}
			list = append(list, entry{int64(u64(8)), name, u64(0)})
			b = b[size:]
		}
		return list
	}
	var all []entry
	for part := read(); len(part) > 0; part = read() {
		all = append(all, part...)
	}
	if len(all) != 152 {
		t.Fatalf("%d entries, want 152", len(all))
	}
	for i := len(all) - 1; i >= 0; i-- {
		var off int64
		if i > 0 {
			off = all[i-1].off
		}
		if _, err := unix.Seek(fd, off, unix.SEEK_SET); err != nil {
			t.Fatal(err)
		}
		if part := read(); len(part) == 0 || part[0] != all[i] {
			t.Fatalf("entry %d at %d is %v, want %v", i, off, part, all[i])
		}
	}
}
