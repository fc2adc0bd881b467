package storage_test

import (
	"encoding/hex"
	"sync"
	"syscall"
	"testing"
	"time"

	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// TestSyncWaitsForEviction: what an eviction is still putting on the disk is not
// on the disk for Sync.
func TestSyncWaitsForEviction(t *testing.T) {
	dir := t.TempDir()
	faults := &storagetest.Faults{FS: storagetest.FileByFile{FS: storage.DirFS(dir)}}
	st := open(t, dir, storage.Options{Create: true, MaxFiles: 2, FS: faults})
	first := st.Files(storagetest.ID(1))
	check(t, first.Sync()) // nothing of an earlier process is left to sync
	check(t, first.WriteBlocks([]byte("x"), 0))

	id := storagetest.ID(1)
	firstBlocks := "cores/" + hex.EncodeToString(id[:]) + "/blocks"
	entered, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	faults.Hook(func(op storagetest.Op, name string) (err error) {
		if op == storagetest.Sync && name == firstBlocks {
			once.Do(func() {
				close(entered)
				<-proceed
				err = syscall.EIO
			})
		}
		return err
	})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i := 2; i < 6; i++ {
			if err := st.Files(storagetest.ID(i)).WriteBlocks([]byte("x"), 0); err != nil {
				t.Error(err)
			}
		}
	})
	<-entered
	synced := make(chan error, 1)
	wg.Go(func() { synced <- first.Sync() })
	select {
	case err := <-synced:
		t.Errorf("Sync returned %v while the file was being synced", err)
		close(proceed)
	case <-time.After(50 * time.Millisecond): // long enough for one that does not wait
		close(proceed)
		wantFailed(t, <-synced)
	}
}
