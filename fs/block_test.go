package fs

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBlocksTakeNoMemory has the kernel know tens of thousands of blocks, as after
// find or ls -l, which it forgets only when it is short of memory.
func TestBlocksTakeNoMemory(t *testing.T) {
	const n = 30_000
	a := newMachine(t, true)
	a.append("core-3", make([]string, n)...)
	m := mount(t, "", a.options())
	dir := m.path("core-3/blocks") + "/"
	look := func(from, to int) uint64 {
		for i := from; i < to; i++ {
			var st unix.Stat_t
			if err := unix.Lstat(dir+strconv.Itoa(i), &st); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		runtime.GC()
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		return mem.HeapAlloc
	}
	before := look(0, 1000)
	after := look(1000, n)
	// An inode of go-fuse takes 570; the caches of the core have a bound.
	if grown := int64(after) - int64(before); grown > 200*(n-1000) {
		t.Errorf("%d bytes for each block", grown/(n-1000))
	}
}

// TestBlockIsAFile does with a block what can be done with a file.
func TestBlockIsAFile(t *testing.T) {
	a := newMachine(t, true)
	a.append("core-3", "0123456789", "")
	m := mount(t, "", a.options())
	f, err := os.Open(m.path("core-3/blocks/0"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, test := range []struct {
		off    int64
		whence int
		want   int64
		err    error
	}{
		{4, unix.SEEK_DATA, 4, nil}, {4, unix.SEEK_HOLE, 10, nil}, {0, unix.SEEK_END, 10, nil},
		{10, unix.SEEK_DATA, 0, unix.ENXIO}, {11, unix.SEEK_HOLE, 0, unix.ENXIO},
	} {
		if got, err := unix.Seek(int(f.Fd()), test.off, test.whence); err != test.err || err == nil && got != test.want {
			t.Errorf("seek %d, %d: %d, %v, want %d, %v", test.off, test.whence, got, err, test.want, test.err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	// The page is there before it is touched: a runtime that waits for a page that it
	// is to give itself waits for ever.
	if _, err := f.ReadAt(make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, 10, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if string(mapped) != "0123456789" {
		t.Errorf("mapped %q", mapped)
	}
	if err := unix.Munmap(mapped); err != nil {
		t.Error(err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(m.path("core-3/blocks/0"), &fs); err != nil || fs.Bsize == 0 {
		t.Errorf("statfs: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Stat(m.path("core-3/blocks/0"), &st); err != nil || st.Blocks != 8 || st.Nlink != 1 || st.Size != 10 {
		t.Errorf("stat: %+v, %v", st, err)
	}
	if err := unix.Stat(m.path("core-3/blocks/1"), &st); err != nil || st.Blocks != 0 || st.Size != 0 {
		t.Errorf("stat: %+v, %v", st, err)
	}
	out, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if n, err := unix.Sendfile(int(out.Fd()), int(f.Fd()), new(int64), 100); n != 10 || err != nil {
		t.Errorf("sendfile: %d, %v", n, err)
	}
	if _, err := unix.IoctlGetInt(int(f.Fd()), 0x5401); err != unix.ENOTTY {
		t.Errorf("ioctl: %v", err)
	}
	for what, err := range map[string]error{
		"link":   os.Link(m.path("core-3/blocks/0"), m.path("core-3/blocks/x")),
		"rename": os.Rename(m.path("core-3/blocks/0"), m.path("core-3/blocks/x")),
		"remove": os.Remove(m.path("core-3/blocks/0")),
		"chmod":  os.Chmod(m.path("core-3/blocks/0"), 0o777),
		"within": os.WriteFile(m.path("core-3/blocks/0/x"), nil, 0o666),
	} {
		if what == "within" {
			m.fails(what, err, syscall.ENOTDIR)
		} else {
			m.fails(what, err, syscall.EROFS, syscall.EACCES)
		}
	}
	m.want("core-3/blocks/0", "0123456789")
}

// TestForgottenDirectories has the kernel forget a directory in which blocks were
// looked up, and look again: nothing of the first time is kept.
func TestForgottenDirectories(t *testing.T) {
	a := newMachine(t, true)
	a.append("core-3", "block 0\n", "block 1\n")
	m := mount(t, "", a.options())
	core := a.core("core-3")
	for range 5 {
		m.want("core-3/blocks/1", "block 1\n")
		// The names are dropped from the cache of the kernel, as when it is short of memory.
		m.tree.kernel.server.Load().EntryNotify(1, "core-3")
		m.eventually("the directory is forgotten", func() bool {
			files := m.tree.files(coreRef{}, "core-3/blocks")
			files.mu.Lock()
			defer files.mu.Unlock()
			for dir := range files.dirs {
				if !dir.Forgotten() {
					return false
				}
			}
			return true
		})
	}
	m.want("core-3/blocks/1", "block 1\n")
	m.tree.mu.Lock()
	s := m.tree.seen[core]
	m.tree.mu.Unlock()
	s.mu.Lock()
	kept := len(s.dirs)
	s.mu.Unlock()
	if kept != 1 {
		t.Errorf("%d directories kept, want 1", kept)
	}
	if err := core.Truncate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	m.gone("core-3/blocks/1")
}
