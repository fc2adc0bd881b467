package corestore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// A purge that a crash cut off behind its records is finished by the next Open,
// and one that is opened again afterwards stays.
func TestPurgeIsFinished(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{Create: true})
	key := hypercore.KeyPairFromSeed([32]byte{9}).Public
	d := hypercore.Key(key).Discovery()
	files := filepath.Join(dir, "cores", d.String())
	c, err := s.OpenKey(hypercore.Key(key))
	check(t, err)
	check(t, c.Close())
	check(t, s.records.flush())
	check(t, os.MkdirAll(files, 0o700))
	check(t, os.WriteFile(filepath.Join(files, "blocks"), make([]byte, 1<<20), 0o600))
	check(t, s.Update(func(tx storage.Tx) error {
		return errors.Join(hypercore.Erase(tx, d), tx.Bucket(bucketKeys).Delete(d[:]), tx.Bucket(bucketPurged).Put(d[:], nil))
	}))
	check(t, s.Close())

	s = openStore(t, dir, Options{})
	if _, err := os.Stat(files); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the files are still there: %v", err)
	}
	if _, held := s.Key(d); held {
		t.Fatal("the core is still known")
	}
	c, err = s.OpenKey(hypercore.Key(key))
	check(t, err)
	check(t, c.Close())
	check(t, s.Close())
	s = openStore(t, dir, Options{})
	if _, held := s.Key(d); !held {
		t.Fatal("the core that was opened again is gone")
	}
}

// While somebody has it open a core is not removed; while it is removed nobody
// opens it; an own one is never removed.
func TestPurgeRefuses(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{Create: true})
	key := hypercore.Key(hypercore.KeyPairFromSeed([32]byte{9}).Public)
	list := []hypercore.DiscoveryKey{key.Discovery()}
	none := func(storage.Tx) error { return nil }
	c, err := s.OpenKey(key)
	check(t, err)
	err = s.Purge(list, func() error { return nil }, none)
	if !errors.Is(err, ErrCoreInUse) {
		t.Fatalf("got %v, want %v", err, ErrCoreInUse)
	}
	again, err := s.OpenKey(key)
	check(t, err)
	check(t, again.Close())
	err = s.Purge(list, func() error {
		if _, err := s.OpenKey(key); !errors.Is(err, ErrCoreInUse) {
			t.Errorf("opened while it is removed: %v", err)
		}
		return c.Close()
	}, none)
	check(t, err)
	if _, held := s.Key(list[0]); held {
		t.Fatal("still known")
	}
	own, err := s.OpenName(Namespace{}, "mine", 0)
	check(t, err)
	if s.Purge([]hypercore.DiscoveryKey{own.DiscoveryKey()}, own.Close, none) == nil {
		t.Fatal("an own core was removed")
	}
}
