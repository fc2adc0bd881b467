package storage_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// TestFullVolume fills a real volume: the database and the files say ENOSPC,
// lose nothing, and go on once there is room.
func TestFullVolume(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("cannot mount a small volume: %v", err)
		}
		t.Skipf("cannot mount a small volume: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	st := open(t, dir, storage.Options{Create: true})
	f := st.Files(storagetest.ID(1))
	put := func(key string, size int) error {
		return st.Update(func(tx storage.Tx) error { return tx.Bucket("a").Put([]byte(key), make([]byte, size)) })
	}
	check(t, put("before", 10))
	check(t, f.WriteBlocks([]byte("before"), 0))

	ballast := filepath.Join(dir, "ballast")
	file, err := os.Create(ballast)
	check(t, err)
	if _, err := io.Copy(file, neverEnding{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the volume: %v", err)
	}
	check(t, file.Close())

	for range 3 {
		if err := put("more", 500<<10); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, storage.ErrFailed) {
			t.Errorf("update: got %v, want ENOSPC that may be tried again", err)
		}
		if err := f.WriteBlocks(make([]byte, 100<<10), 6); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("write: got %v, want ENOSPC", err)
		}
	}
	check(t, os.Remove(ballast))
	check(t, put("more", 500<<10))
	check(t, f.WriteBlocks(make([]byte, 100<<10), 6))
	check(t, f.Sync())
	check(t, st.Close())

	st = open(t, dir, storage.Options{})
	check(t, st.View(func(tx storage.Tx) error {
		for key, size := range map[string]int{"before": 10, "more": 500 << 10} {
			if got := len(tx.Bucket("a").Get([]byte(key))); got != size {
				t.Errorf("%s: %d bytes, want %d", key, got, size)
			}
		}
		return nil
	}))
	var p [6]byte
	if _, err := st.Files(storagetest.ID(1)).ReadBlocks(p[:], 0); err != nil || string(p[:]) != "before" {
		t.Errorf("blocks: got %q, %v", p, err)
	}
	check(t, st.Close())
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }
