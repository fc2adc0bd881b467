package storage_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

func TestMemory(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Store { return storage.Memory() })
}

func TestDisk(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, t.TempDir(), storage.Options{Create: true}) })
}

func TestDiskFewDescriptors(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return open(t, t.TempDir(), storage.Options{Create: true, MaxFiles: 3})
	})
}

func open(t *testing.T, dir string, o storage.Options) storage.Store {
	t.Helper()
	st, err := storage.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	st := open(t, dir, storage.Options{Create: true})
	f := st.Files(storagetest.ID(1))
	check(t, f.WriteBlocks([]byte("hello"), 0))
	check(t, f.WriteNodes([]merkle.Node{storagetest.Node(1), storagetest.Node(0)}))
	check(t, st.Update(func(tx storage.Tx) error { return tx.Bucket("a").Put([]byte("k"), []byte("v")) }))
	check(t, st.Close())

	st = open(t, dir, storage.Options{})
	var p [5]byte
	if _, err := st.Files(storagetest.ID(1)).ReadBlocks(p[:], 0); err != nil || string(p[:]) != "hello" {
		t.Errorf("blocks: got %q, %v", p, err)
	}
	if n, ok, err := st.Files(storagetest.ID(1)).Node(1); !ok || n != storagetest.Node(1) {
		t.Errorf("node: got %v, %v, %v", n, ok, err)
	}
	check(t, st.View(func(tx storage.Tx) error {
		if v := tx.Bucket("a").Get([]byte("k")); string(v) != "v" {
			t.Errorf("record: got %q", v)
		}
		return nil
	}))
}

// TestLayout pins the names, the modes and the 40 bytes of a node.
func TestLayout(t *testing.T) {
	dir := t.TempDir()
	st := open(t, dir, storage.Options{Create: true})
	id := storagetest.ID(5)
	core := filepath.Join(dir, "cores", hex.EncodeToString(id[:]))
	f := st.Files(id)
	if _, _, err := f.Node(3); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(core); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made the directory: %v", err)
	}
	n := merkle.Node{Index: 2, Size: 0x0102, Hash: merkle.Hash{0: 0xaa, 31: 0xbb}}
	check(t, f.WriteNodes([]merkle.Node{n}))
	check(t, f.WriteBlocks([]byte("x"), 0))
	check(t, f.Sync())

	tree, err := os.ReadFile(filepath.Join(core, "tree"))
	check(t, err)
	want := strings.Repeat("00", 80) + "0201000000000031" + "aa" + strings.Repeat("00", 30) + "bb"
	if got := hex.EncodeToString(tree); got != want {
		t.Errorf("tree: got %s, want %s", got, want)
	}
	for name, mode := range map[string]fs.FileMode{
		filepath.Join(dir, "cores"):        0o700 | fs.ModeDir,
		core:                               0o700 | fs.ModeDir,
		filepath.Join(core, "tree"):        0o600,
		filepath.Join(core, "blocks"):      0o600,
		filepath.Join(dir, "multicore.db"): 0o600,
	} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: got %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.new")); left != nil {
		t.Errorf("left over: %v", left)
	}
}

// TestHalfNode: of a node that a power cut tore at a sector, be there zeros or
// an older node under it, nothing is believed.
func TestHalfNode(t *testing.T) {
	dir := t.TempDir()
	st := open(t, dir, storage.Options{Create: true})
	id := storagetest.ID(1)
	f := st.Files(id)
	name := filepath.Join(dir, "cores", hex.EncodeToString(id[:]), "tree")
	write := func(n merkle.Node) []byte {
		check(t, f.WriteNodes([]merkle.Node{n}))
		b, err := os.ReadFile(name)
		check(t, err)
		return b
	}
	old := write(merkle.Node{Size: 77, Hash: merkle.Hash{0: 1, 31: 1}})
	whole := write(storagetest.Node(0))
	for _, under := range [][]byte{make([]byte, len(whole)), old} {
		for at := 8; at < len(whole); at += 8 {
			for _, torn := range [][]byte{
				append(whole[:at:at], under[at:]...),
				append(under[:at:at], whole[at:]...),
			} {
				check(t, os.WriteFile(name, torn, 0o600))
				check(t, f.Reopen())
				n, ok, err := f.Node(0)
				check(t, err)
				same := bytes.Equal(torn, whole) || bytes.Equal(torn, old)
				if ok != same {
					t.Errorf("torn at %d (%x): got %v, %v", at, torn, n, ok)
				}
			}
		}
	}
	if err := f.WriteNodes([]merkle.Node{{Size: merkle.MaxSize + 1, Hash: merkle.Hash{1}}}); err == nil {
		t.Error("a size over the largest was accepted")
	}
	largest := merkle.Node{Size: merkle.MaxSize, Hash: merkle.Hash{1}}
	check(t, f.WriteNodes([]merkle.Node{largest}))
	if n, ok, err := f.Node(0); n != largest || !ok || err != nil {
		t.Errorf("largest size: got %v, %v, %v", n, ok, err)
	}
}

func TestTornNode(t *testing.T) {
	dir := t.TempDir()
	st := open(t, dir, storage.Options{Create: true})
	id := storagetest.ID(1)
	f := st.Files(id)
	check(t, f.WriteNodes([]merkle.Node{storagetest.Node(0), storagetest.Node(1)}))
	check(t, os.Truncate(filepath.Join(dir, "cores", hex.EncodeToString(id[:]), "tree"), 79))
	check(t, f.Reopen())
	if _, ok, err := f.Node(1); ok || err != nil {
		t.Errorf("torn node: got %v, %v", ok, err)
	}
	if _, nodes, err := f.Sizes(); nodes != 1 || err != nil {
		t.Errorf("sizes: got %d nodes, %v, want 1", nodes, err)
	}
	check(t, f.EraseNodes([]uint64{1})) // the torn rest goes too
	if _, nodes, _ := f.Sizes(); nodes != 2 {
		t.Errorf("after erasing: %d nodes, want 2", nodes)
	}
	if _, ok, err := f.Node(1); ok || err != nil {
		t.Errorf("erased node: got %v, %v", ok, err)
	}
}

func TestOpenMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := storage.Open(dir, storage.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("a failed open made %v", entries)
	}
}

// TestHalfMade: a process died while it made the database.
func TestHalfMade(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "multicore.db.new"), []byte("half"), 0o600))
	open(t, dir, storage.Options{Create: true})
}

func TestDamagedDatabase(t *testing.T) {
	for name, content := range map[string][]byte{
		"text":  []byte(strings.Repeat("not a database\n", 1000)),
		"zeros": make([]byte, 32<<10),
		"short": []byte("x"),
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "multicore.db")
		check(t, os.WriteFile(file, content, 0o600))
		_, err := storage.Open(dir, storage.Options{Create: true})
		if !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: got %v, want ErrDamaged with the file", name, err)
		}
		if after, _ := os.ReadFile(file); string(after) != string(content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	check(t, open(t, dir, storage.Options{Create: true}).Close())
	setFormat(t, dir, "7")
	_, err := storage.Open(dir, storage.Options{})
	if !errors.Is(err, storage.ErrNewer) || !strings.Contains(err.Error(), "format is 7") || !strings.Contains(err.Error(), "up to 1") {
		t.Errorf("got %v, want ErrNewer with both versions", err)
	}
	for _, bad := range []string{"", "x", "0", "-1"} {
		setFormat(t, dir, bad)
		if _, err := storage.Open(dir, storage.Options{}); !errors.Is(err, storage.ErrDamaged) {
			t.Errorf("format %q: got %v, want ErrDamaged", bad, err)
		}
	}
}

func setFormat(t *testing.T, dir, value string) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "multicore.db"), 0o600, &bbolt.Options{Timeout: time.Second})
	check(t, err)
	defer db.Close()
	check(t, db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("storage")).Put([]byte("format"), []byte(value))
	}))
}

func TestLockedDatabase(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, storage.Options{Create: true})
	if _, err := storage.Open(dir, storage.Options{}); err == nil || !strings.Contains(err.Error(), "locked by another process") {
		t.Errorf("got %v", err)
	}
}
