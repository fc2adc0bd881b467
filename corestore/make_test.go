package corestore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"multicore/hypercore/storage"
)

var testKey = [32]byte{1, 2, 3, 31: 9}

func openStore(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused opens and wants an error that wraps target, with all of the texts.
func refused(t *testing.T, dir string, o Options, target error, texts ...string) {
	t.Helper()
	s, err := Open(dir, o)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, target) {
		t.Fatalf("got %v, want %v", err, target)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got %q, want %q in it", err, text)
		}
	}
}

func TestMake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "above", "store")
	if Exists(dir) {
		t.Error("exists before it was made")
	}
	refused(t, dir, Options{}, ErrNoStore, dir)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused open made the directory: %v", err)
	}
	s := openStore(t, dir, Options{Create: true})
	if s.Dir() != dir || !Exists(dir) {
		t.Errorf("dir %s, exists %v", s.Dir(), Exists(dir))
	}
	primary := s.primary
	check(t, s.Close())
	check(t, s.Close())

	text, err := os.ReadFile(filepath.Join(dir, "primary-key"))
	check(t, err)
	if string(text) != hex.EncodeToString(primary[:])+"\n" {
		t.Error("primary-key is not the hex of the key and a newline")
	}
	err = filepath.WalkDir(filepath.Dir(dir), func(name string, d fs.DirEntry, err error) error {
		check(t, err)
		info, err := d.Info()
		check(t, err)
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700 | fs.ModeDir
		}
		if info.Mode() != want {
			t.Errorf("%s: mode %v, want %v", name, info.Mode(), want)
		}
		return nil
	})
	check(t, err)
	if _, err := os.Stat(filepath.Join(dir, newPrimaryKey)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", newPrimaryKey, err)
	}

	if again := openStore(t, dir, Options{}); again.primary != primary {
		t.Error("another primary key after reopening")
	}
	if other := openStore(t, t.TempDir(), Options{Create: true}); other.primary == primary {
		t.Error("two stores have one primary key")
	}
}

func TestGivenPrimaryKey(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{Create: true, PrimaryKey: &testKey})
	if s.primary != testKey || !s.held.Load() {
		t.Errorf("held %v", s.held.Load())
	}
	check(t, s.Close())
	s = openStore(t, dir, Options{Create: true, PrimaryKey: &testKey})
	if !s.held.Load() {
		t.Error("no longer held after reopening")
	}
	check(t, s.Release())
	check(t, s.Release())
	check(t, s.Close())
	refused(t, dir, Options{PrimaryKey: &[32]byte{1}}, ErrPrimaryKey, dir)
	if s = openStore(t, dir, Options{PrimaryKey: &testKey}); s.held.Load() {
		t.Error("held again after the release")
	}
}

// TestHalfMade stops the making of a store at each of its steps.
func TestHalfMade(t *testing.T) {
	hexKey := []byte(hex.EncodeToString(testKey[:]) + "\n")
	makeDB := func(t *testing.T, dir string, print bool) {
		st, err := storage.Open(dir, storage.Options{Create: true})
		check(t, err)
		if print {
			check(t, st.Update(func(tx storage.Tx) error {
				b, p := tx.Bucket(bucketStore), fingerprint(testKey)
				return errors.Join(b.Put([]byte(recordHeld), []byte{1}), b.Put([]byte(recordPrint), p[:]))
			}))
		}
		check(t, st.Close())
	}
	for _, test := range []struct {
		name     string
		print    bool // the database knows the key
		key      []byte
		half     []byte
		given    *[32]byte
		sameKey  bool
		wantHeld bool
		noDB     bool
	}{
		{name: "nothing", noDB: true},
		{name: "database"},
		{name: "database, torn new key", half: hexKey[:20]},
		{name: "database, new key", half: hexKey}, // its fingerprint is not recorded: begun anew
		{name: "given again", half: hexKey, given: &testKey, sameKey: true, wantHeld: true},
		{name: "not renamed", print: true, half: hexKey, sameKey: true, wantHeld: true},
		{name: "copy of the key alone", noDB: true, key: hexKey, sameKey: true, wantHeld: true},
		{name: "copy of the key, database begun", key: hexKey, sameKey: true, wantHeld: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if !test.noDB {
				makeDB(t, dir, test.print)
			}
			for name, content := range map[string][]byte{primaryKeyFile: test.key, newPrimaryKey: test.half} {
				if content != nil {
					check(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
				}
			}
			s := openStore(t, dir, Options{Create: true, PrimaryKey: test.given})
			if (s.primary == testKey) != test.sameKey || s.held.Load() != test.wantHeld {
				t.Errorf("same key %v, held %v", s.primary == testKey, s.held.Load())
			}
			primary := s.primary
			check(t, s.Close())
			if again := openStore(t, dir, Options{}); again.primary != primary {
				t.Error("another primary key after reopening")
			}
		})
	}
}

func TestDamagedPrimaryKey(t *testing.T) {
	secret := strings.Repeat("5e", 31)
	for name, content := range map[string]string{
		"empty":    "",
		"short":    secret + "\n",
		"long":     secret + "5e5e\n",
		"not hex":  secret + "zz\n",
		"other":    secret + "5e\n",
		"newlines": secret + "5e\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			check(t, openStore(t, dir, Options{Create: true}).Close())
			file := filepath.Join(dir, primaryKeyFile)
			right, err := os.ReadFile(file)
			check(t, err)
			check(t, os.WriteFile(file, []byte(content), 0o600))
			refused(t, dir, Options{Create: true}, ErrPrimaryKey, file)
			if _, err := Open(dir, Options{}); strings.Contains(err.Error(), secret[:8]) {
				t.Errorf("the key is shown: %v", err)
			}
			if after, _ := os.ReadFile(file); string(after) != content {
				t.Error("the damaged key was changed")
			}
			check(t, os.WriteFile(file, bytes.TrimSpace(right), 0o600)) // a lost newline does not matter
			openStore(t, dir, Options{})
		})
	}
}

func TestMissingPrimaryKey(t *testing.T) {
	dir := t.TempDir()
	check(t, openStore(t, dir, Options{Create: true}).Close())
	file := filepath.Join(dir, primaryKeyFile)
	check(t, os.Remove(file))
	refused(t, dir, Options{}, ErrPrimaryKey, file, "missing")
	refused(t, dir, Options{Create: true}, ErrPrimaryKey, file, "missing")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a new key was made for an old store: %v", err)
	}
}

func TestMissingDatabase(t *testing.T) {
	dir := t.TempDir()
	check(t, openStore(t, dir, Options{Create: true}).Close())
	check(t, os.Remove(filepath.Join(dir, storage.DatabaseName)))
	refused(t, dir, Options{}, ErrNoStore, storage.DatabaseName)
	if s := openStore(t, dir, Options{Create: true}); !s.held.Load() {
		t.Error("a store that lost its database signs at once")
	}
}

func TestNewer(t *testing.T) {
	dir := t.TempDir()
	check(t, openStore(t, dir, Options{Create: true}).Close())
	st, err := storage.Open(dir, storage.Options{})
	check(t, err)
	check(t, st.Update(func(tx storage.Tx) error { return tx.Bucket("storage").Put([]byte("format"), []byte("99")) }))
	check(t, st.Close())
	refused(t, dir, Options{Create: true}, ErrNewer, "99", "newer multicore", dir)
	refused(t, dir, Options{}, ErrNewer) // the lock was let go of
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{Create: true})
	if v, err := s.Setting("port"); v != nil || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
	check(t, s.SetSetting("port", []byte("4001")))
	check(t, s.SetSetting("gone", []byte("x")))
	check(t, s.SetSetting("gone", nil))
	check(t, s.Update(func(tx storage.Tx) error { return tx.Bucket("above").Put([]byte("k"), []byte("v")) }))
	check(t, s.Close())
	s = openStore(t, dir, Options{})
	if v, err := s.Setting("port"); string(v) != "4001" || err != nil {
		t.Errorf("got %q, %v, want 4001", v, err)
	}
	if v, err := s.Setting("gone"); v != nil || err != nil {
		t.Errorf("got %q, %v, want none", v, err)
	}
	check(t, s.View(func(tx storage.Tx) error {
		if v := tx.Bucket("above").Get([]byte("k")); string(v) != "v" {
			t.Errorf("got %q, want v", v)
		}
		return nil
	}))
}
