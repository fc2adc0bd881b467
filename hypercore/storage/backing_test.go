package storage_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// TestDetach: who has the old file open reads what was detached and no more,
// though its descriptor may be closed to make room for others meanwhile.
func TestDetach(t *testing.T) {
	dir := t.TempDir()
	faults := &storagetest.Faults{FS: storage.DirFS(dir)}
	st := open(t, dir, storage.Options{Create: true, MaxFiles: 2, FS: faults})
	files := st.Files(storagetest.ID(1))
	check(t, files.WriteBlocks([]byte("kept and gone"), 0))
	old, err := files.Backing()
	if errors.Is(err, errors.ErrUnsupported) && os.Getenv("CI") != "true" {
		t.Skip("the file system cannot reserve room: ", err)
	}
	check(t, err)
	defer old.Close()
	check(t, files.Sync())
	busy := false
	faults.Hook(func(op storagetest.Op, name string) error {
		if op != storagetest.SyncDir || busy {
			return nil
		}
		busy = true
		for i := 2; i < 8; i++ {
			if err := st.Files(storagetest.ID(i)).WriteBlocks([]byte("x"), 0); err != nil {
				return err
			}
		}
		return nil
	})
	check(t, files.Detach(4))
	if !busy {
		t.Error("the directory was not synced")
	}
	check(t, files.WriteBlocks([]byte(" anew"), 4))
	if got, err := io.ReadAll(old); err != nil || string(got) != "kept" {
		t.Errorf("the old file has %q, %v", got, err)
	}
	got := make([]byte, 20)
	if n, err := files.ReadBlocks(got, 0); err != io.EOF || string(got[:n]) != "kept anew" {
		t.Errorf("the new file has %q, %v", got[:n], err)
	}
}

// TestDetachFull: a copy that cannot be made takes no room, and the file stays as
// it is.
func TestDetachFull(t *testing.T) {
	dir := t.TempDir()
	faults := &storagetest.Faults{FS: storage.DirFS(dir)}
	st := open(t, dir, storage.Options{Create: true, FS: faults})
	files := st.Files(storagetest.ID(1))
	check(t, files.WriteBlocks([]byte("kept and kept"), 0))
	var copied string
	faults.Hook(func(op storagetest.Op, name string) error {
		if op == storagetest.Sync && strings.HasSuffix(name, "blocks.new") {
			copied = filepath.Join(dir, name)
			return syscall.ENOSPC
		}
		return nil
	})
	if err := files.Detach(4); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if info, err := os.Stat(copied); err != nil || info.Size() != 0 {
		t.Errorf("left is %v, %v", info, err)
	}
	got := make([]byte, 20)
	if n, err := files.ReadBlocks(got, 0); err != io.EOF || string(got[:n]) != "kept and kept" {
		t.Errorf("the file has %q, %v", got[:n], err)
	}
}
