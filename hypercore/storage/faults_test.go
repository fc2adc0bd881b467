package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// calls records what reaches the FS and fails what it is told to.
type calls struct {
	mu   sync.Mutex
	seen []string
	fail map[string]error // by "op name", name relative to cores/<id>
}

func (c *calls) hook(op storagetest.Op, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if parts := strings.SplitN(name, "/", 3); len(parts) > 1 {
		name = path.Join(append([]string{parts[1][:2]}, parts[2:]...)...)
	}
	call := string(op) + " " + name
	c.seen = append(c.seen, call)
	return c.fail[call]
}

// take ends the record so far and gives the names in it of one kind of call.
func (c *calls) take() func(op storagetest.Op) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return func(op storagetest.Op) string {
		var got []string
		for _, call := range seen {
			if name, ok := strings.CutPrefix(call, string(op)+" "); ok {
				got = append(got, name)
			}
		}
		return strings.Join(got, ", ")
	}
}

func (c *calls) failOn(call string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = map[string]error{call: err}
}

// faulty opens a Store, in memory and on disk, whose FS is watched.
func faulty(t *testing.T, maxFiles int, run func(t *testing.T, st storage.Store, c *calls)) {
	faultyOn(t, maxFiles, func(fsys storage.FS) storage.FS { return fsys }, run)
}

func faultyOn(t *testing.T, maxFiles int, wrap func(storage.FS) storage.FS, run func(t *testing.T, st storage.Store, c *calls)) {
	t.Run("memory", func(t *testing.T) {
		if maxFiles != 0 {
			t.Skip("memory has no bound")
		}
		faults := &storagetest.Faults{FS: storage.MemoryFS()}
		c := new(calls)
		st := storage.MemoryOn(faults)
		faults.Hook(c.hook)
		run(t, st, c)
	})
	t.Run("disk", func(t *testing.T) {
		dir := t.TempDir()
		faults := &storagetest.Faults{FS: wrap(storage.DirFS(dir))}
		c := new(calls)
		st := open(t, dir, storage.Options{Create: true, MaxFiles: maxFiles, FS: faults})
		faults.Hook(c.hook)
		run(t, st, c)
	})
}

func TestSyncsWhatChanged(t *testing.T) {
	faulty(t, 0, func(t *testing.T, st storage.Store, c *calls) {
		f := st.Files(storagetest.ID(1))
		syncs := func(wantFiles, wantDirs string) {
			t.Helper()
			c.take()
			check(t, f.Sync())
			got := c.take()
			if files := got(storagetest.Sync); files != wantFiles {
				t.Errorf("synced files %q, want %q", files, wantFiles)
			}
			if dirs := got(storagetest.SyncDir); dirs != wantDirs {
				t.Errorf("synced directories %q, want %q", dirs, wantDirs)
			}
		}
		check(t, f.WriteBlocks([]byte("x"), 0))
		syncs("01/blocks", "01, cores")
		syncs("", "")
		check(t, f.WriteNodes([]merkle.Node{storagetest.Node(0)}))
		syncs("01/tree", "01")
		check(t, f.WriteNodes([]merkle.Node{storagetest.Node(0)}))
		check(t, f.WriteBlocks([]byte("y"), 0))
		syncs("01/blocks, 01/tree", "")
		check(t, f.Cut(0, 1))
		syncs("01/blocks", "")
		check(t, f.EraseNodes([]uint64{0}))
		syncs("01/tree", "")
	})
}

// TestDirectoryShared: cores made together cost one sync of cores/.
func TestDirectoryShared(t *testing.T) {
	faulty(t, 0, func(t *testing.T, st storage.Store, c *calls) {
		for i := range 5 {
			check(t, st.Files(storagetest.ID(i)).WriteBlocks([]byte("x"), 0))
		}
		for i := range 5 {
			check(t, st.Files(storagetest.ID(i)).Sync())
		}
		if got, want := c.take()(storagetest.SyncDir), "00, cores, 01, 02, 03, 04"; got != want {
			t.Errorf("synced %q, want %q", got, want)
		}
	})
}

func TestFullDisk(t *testing.T) {
	faulty(t, 0, func(t *testing.T, st storage.Store, c *calls) {
		f := st.Files(storagetest.ID(1))
		full := &os.PathError{Op: "write", Path: "blocks", Err: syscall.ENOSPC}
		c.failOn("write 01/blocks", full)
		if err := f.WriteBlocks([]byte("x"), 0); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v, want ENOSPC", err)
		}
		c.failOn("write 01/tree", full)
		if err := f.WriteNodes([]merkle.Node{storagetest.Node(0)}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v, want ENOSPC", err)
		}
		c.failOn("", nil)
		check(t, f.WriteBlocks([]byte("x"), 0))
		check(t, f.Sync()) // a refused write is no failed sync
	})
}

func TestFailedSync(t *testing.T) {
	for _, call := range []string{"sync 01/blocks", "sync 01/tree", "syncdir 01", "syncdir cores"} {
		t.Run(call, func(t *testing.T) {
			faulty(t, 0, func(t *testing.T, st storage.Store, c *calls) {
				f := st.Files(storagetest.ID(1))
				check(t, f.WriteBlocks([]byte("x"), 0))
				check(t, f.WriteNodes([]merkle.Node{storagetest.Node(0)}))
				c.failOn(call, syscall.EIO)
				wantFailed(t, f.Sync())
				c.failOn("", nil)
				c.take()

				// Not retried, though it would work now.
				wantFailed(t, f.Sync())
				check(t, f.WriteBlocks([]byte("y"), 1))
				wantFailed(t, f.Sync())
				wantFailed(t, st.Files(storagetest.ID(1)).Sync())
				if got := c.take()(storagetest.Sync); got != "" {
					t.Errorf("retried: %s", got)
				}
				check(t, st.Files(storagetest.ID(2)).Sync())

				check(t, f.Reopen())
				check(t, f.Sync())
				if got := c.take()(storagetest.Sync); got != "01/blocks, 01/tree" {
					t.Errorf("after reopening: synced %q, want both", got)
				}
			})
		})
	}
}

func wantFailed(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, storage.ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want ErrFailed and EIO", err)
	}
}

// TestFailedSyncForgets: after a failed sync reads must not come from pages
// that the kernel wrongly holds for clean.
func TestFailedSyncForgets(t *testing.T) {
	faulty(t, 0, func(t *testing.T, st storage.Store, c *calls) {
		f := st.Files(storagetest.ID(1))
		check(t, f.WriteBlocks([]byte("x"), 0))
		c.failOn("sync 01/blocks", syscall.EIO)
		wantFailed(t, f.Sync())
		if got := c.take()(storagetest.Forget); got != "01/blocks" {
			t.Errorf("gave up the pages of %q, want 01/blocks", got)
		}
	})
}

func fileByFile(fsys storage.FS) storage.FS { return storagetest.FileByFile{FS: fsys} }

// TestEvictionSyncs: where only a descriptor tells of write errors, one with
// unsynced writes is synced before it is closed, and a failure is told to the
// next Sync.
func TestEvictionSyncs(t *testing.T) {
	faultyOn(t, 2, fileByFile, func(t *testing.T, st storage.Store, c *calls) {
		c.failOn("sync 01/blocks", syscall.EIO)
		first := st.Files(storagetest.ID(1))
		check(t, first.WriteBlocks([]byte("x"), 0))
		for i := 2; i < 6; i++ {
			check(t, st.Files(storagetest.ID(i)).WriteBlocks([]byte("x"), 0))
		}
		if got := c.take()(storagetest.Sync); !strings.Contains(got, "01/blocks") {
			t.Fatalf("synced %q at eviction, want 01/blocks too", got)
		}
		c.failOn("", nil)
		wantFailed(t, first.Sync())
		check(t, st.Files(storagetest.ID(2)).Sync())
	})
}

// TestEvictionSparesDirty: while clean descriptors can be closed, no dirty one is.
func TestEvictionSparesDirty(t *testing.T) {
	faulty(t, 4, func(t *testing.T, st storage.Store, c *calls) {
		check(t, st.Files(storagetest.ID(1)).WriteBlocks([]byte("x"), 0))
		for i := 2; i < 40; i++ {
			f := st.Files(storagetest.ID(i))
			check(t, f.WriteBlocks([]byte("x"), 0))
			check(t, f.Sync())
		}
		if got := c.take()(storagetest.Sync); strings.Contains(got, "01/blocks") {
			t.Errorf("synced %q, 01/blocks with them", got)
		}
	})
}

// TestDescriptorBound counts the open descriptors under many cores and readers.
func TestDescriptorBound(t *testing.T) {
	const bound, workers = 8, 3
	dir := t.TempDir()
	faults := &storagetest.Faults{FS: storage.DirFS(dir)}
	st := open(t, dir, storage.Options{Create: true, MaxFiles: bound, FS: faults})
	var mu sync.Mutex
	most := 0
	faults.Hook(func(op storagetest.Op, _ string) error {
		if op == storagetest.Write {
			mu.Lock()
			defer mu.Unlock()
			most = max(most, countDescriptors(t, dir))
		}
		return nil
	})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range 40 {
				f := st.Files(storagetest.ID((i*workers + w) % 50))
				if err := f.WriteBlocks([]byte("x"), int64(w)); err != nil {
					t.Error(err)
				}
				if _, _, err := f.Sizes(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most == 0 || most > bound+workers {
		t.Errorf("%d descriptors open, want at most %d", most, bound+workers)
	}
}

func countDescriptors(t *testing.T, dir string) (n int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%s", e.Name()))
		if err == nil && strings.HasPrefix(target, dir+"/cores/") {
			n++
		}
	}
	return n
}
