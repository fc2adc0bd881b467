package storage_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// many writes to n cores and gives them.
func many(t *testing.T, st storage.Store, n int) []storage.Files {
	list := make([]storage.Files, n)
	for i := range list {
		list[i] = st.Files(storagetest.ID(i))
		check(t, list[i].WriteBlocks([]byte("x"), 0))
	}
	return list
}

// TestEvictionIsCheap: a descriptor that is closed with unsynced writes waits
// for nothing, and the next Sync of its core is one of the whole volume.
func TestEvictionIsCheap(t *testing.T) {
	faulty(t, 2, func(t *testing.T, st storage.Store, c *calls) {
		list := many(t, st, 6)
		if got := c.take()(storagetest.Sync); got != "" {
			t.Errorf("synced %q at eviction", got)
		}
		check(t, list[0].Sync())
		seen := c.take()
		if files, volume := seen(storagetest.Sync), seen(storagetest.SyncVolume); files != "" || volume != "." {
			t.Errorf("synced files %q and volume %q, want the volume alone", files, volume)
		}
		check(t, list[0].Sync())
		if got := c.take()(storagetest.SyncVolume); got != "" {
			t.Errorf("nothing was written, and the volume was synced again")
		}
		check(t, list[5].Sync())
		seen = c.take()
		if files, volume := seen(storagetest.Sync), seen(storagetest.SyncVolume); !strings.HasSuffix(files, "05/blocks") || volume != "" {
			t.Errorf("synced files %q and volume %q, want the open file", files, volume)
		}
	})
}

// TestSyncAll: many cores are synced at once, few one by one.
func TestSyncAll(t *testing.T) {
	for _, n := range []int{1, 5, 300} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			faulty(t, 0, func(t *testing.T, st storage.Store, c *calls) {
				list := many(t, st, n)
				for i, err := range st.SyncAll(list) {
					if err != nil {
						t.Fatalf("core %d: %v", i, err)
					}
				}
				seen := c.take()
				files := strings.Count(seen(storagetest.Sync), "blocks")
				if mass := seen(storagetest.SyncVolume) != ""; mass != (n == 300) || mass != (files == 0) {
					t.Errorf("%d cores: %d files and volume %q synced", n, files, seen(storagetest.SyncVolume))
				}
				for _, f := range list {
					check(t, f.Sync())
				}
				seen = c.take()
				if got := seen(storagetest.Sync) + seen(storagetest.SyncDir) + seen(storagetest.SyncVolume); got != "" {
					t.Errorf("synced again: %q", got)
				}
				check(t, list[0].WriteBlocks([]byte("y"), 0))
				check(t, list[0].Sync())
				if seen := c.take(); seen(storagetest.Sync) == "" && seen(storagetest.SyncVolume) == "" {
					t.Error("what was written since is not synced")
				}
			})
		})
	}
}

// TestVolumeFails: a failed sync of the volume is one of all cores that had
// something to lose, whoever asked for it, and is not retried.
func TestVolumeFails(t *testing.T) {
	faulty(t, 2, func(t *testing.T, st storage.Store, c *calls) {
		clean := st.Files(storagetest.ID(100))
		check(t, clean.WriteBlocks([]byte("x"), 0))
		check(t, clean.Sync())
		list := many(t, st, 80)
		c.failOn("syncvolume .", syscall.EIO)
		for _, err := range st.SyncAll(list[:70]) {
			wantFailed(t, err)
		}
		if got := c.take()(storagetest.Forget); strings.Count(got, "blocks") != 80 {
			t.Errorf("gave up the pages of %q, want those of all", got)
		}
		c.failOn("", nil)
		for _, f := range list {
			wantFailed(t, f.Sync())
		}
		check(t, clean.Sync())
		for _, f := range list {
			check(t, f.Reopen())
			check(t, f.WriteBlocks([]byte("y"), 0))
		}
		for _, err := range st.SyncAll(list) {
			check(t, err)
		}
	})
}
