package corestore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

func openName(t *testing.T, s *Store, name string) *Core {
	t.Helper()
	c, err := s.OpenName(Namespace{}, name, 0)
	check(t, err)
	return c
}

func openKey(t *testing.T, s *Store, k hypercore.Key) *Core {
	t.Helper()
	c, err := s.OpenKey(k)
	check(t, err)
	return c
}

func appendTo(t *testing.T, c *Core, blocks ...string) {
	t.Helper()
	for _, b := range blocks {
		_, err := c.Append(context.Background(), []byte(b))
		check(t, err)
	}
}

func wantLog(t *testing.T, c *Core, blocks ...string) {
	t.Helper()
	if got := c.Info().Length; got != uint64(len(blocks)) {
		t.Fatalf("length %d, want %d", got, len(blocks))
	}
	for i, want := range blocks {
		if got, err := c.Block(uint64(i)); err != nil || string(got) != want {
			t.Errorf("block %d: got %q, %v, want %q", i, got, err, want)
		}
	}
}

func TestNamedCores(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{Create: true})
	sub := Namespace{}.Sub("sub")
	if s.HasName(Namespace{}, "log") {
		t.Error("has a name that was never opened")
	}
	log := openName(t, s, "log")
	if !s.HasName(Namespace{}, "log") || s.HasName(sub, "log") {
		t.Error("name is not recorded, or in another namespace")
	}
	other, err := s.OpenName(sub, "log", 0)
	check(t, err)
	if other.Key() == log.Key() || openName(t, s, "log2").Key() == log.Key() {
		t.Error("two names have one key")
	}
	if !log.Writable() || log.Info().Held {
		t.Errorf("writable %v, held %v", log.Writable(), log.Info().Held)
	}
	appendTo(t, log, "one", "two")
	appendTo(t, other, "other")
	key := log.Key()
	check(t, s.Close())

	s = openStore(t, dir, Options{})
	for name, open := range map[string]func() (*Core, error){
		"name":          func() (*Core, error) { return s.OpenName(Namespace{}, "log", 0) },
		"key":           func() (*Core, error) { return s.OpenKey(key) },
		"discovery key": func() (*Core, error) { return s.OpenDiscovery(key.Discovery()) },
	} {
		c, err := open()
		if err != nil {
			t.Fatalf("by %s: %v", name, err)
		}
		if c.Key() != key || !c.Writable() {
			t.Errorf("by %s: writable %v", name, c.Writable())
		}
		wantLog(t, c, "one", "two")
		check(t, c.Close())
	}
	c, err := s.OpenName(sub, "log", 0)
	check(t, err)
	wantLog(t, c, "other")
	for _, name := range []string{"", string(make([]byte, maxName+1))} {
		if _, err := s.OpenName(Namespace{}, name, 0); err == nil {
			t.Errorf("a name of %d bytes was accepted", len(name))
		}
	}
}

func TestReplica(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{Create: true})
	key := hypercore.Key{1, 2, 3}
	if _, err := s.OpenDiscovery(key.Discovery()); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, found := s.Key(key.Discovery()); found {
		t.Error("knows a key it was never given")
	}
	c := openKey(t, s, key)
	if c.Writable() || c.Info().Learned {
		t.Errorf("writable %v, learned %v", c.Writable(), c.Info().Learned)
	}
	if _, err := c.Append(context.Background(), []byte("x")); !errors.Is(err, hypercore.ErrReadOnly) {
		t.Errorf("append: got %v, want ErrReadOnly", err)
	}
	check(t, s.Close())
	s = openStore(t, dir, Options{})
	if k, found := s.Key(key.Discovery()); !found || k != key {
		t.Errorf("key after reopening: found %v", found)
	}
	c, err := s.OpenDiscovery(key.Discovery())
	check(t, err)
	if c.Key() != key {
		t.Error("another key")
	}
}

func TestSessions(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{Create: true})
	a := openName(t, s, "log")
	b := openKey(t, s, a.Key())
	if a.Core != b.Core {
		t.Fatal("two sessions have two cores")
	}
	appendTo(t, a, "one")
	check(t, a.Close())
	check(t, a.Close()) // ends no session but its own
	appendTo(t, b, "two")
	check(t, b.Close())
	if len(s.open) != 0 {
		t.Errorf("%d cores are open after the last session", len(s.open))
	}
	if _, err := b.Append(context.Background(), []byte("x")); !errors.Is(err, hypercore.ErrClosed) {
		t.Errorf("append after the last close: got %v, want ErrClosed", err)
	}
	c := openName(t, s, "log")
	wantLog(t, c, "one", "two")
	check(t, s.Close())
	check(t, c.Close())
	if _, err := s.OpenName(Namespace{}, "log", 0); !errors.Is(err, ErrClosed) {
		t.Errorf("open after close: got %v, want ErrClosed", err)
	}
}

func TestConcurrentSessions(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{Create: true})
	const workers, rounds, names = 8, 12, 3
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for r := range rounds {
				c, err := s.OpenName(Namespace{}, fmt.Sprint((w+r)%names), 0)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := c.Append(context.Background(), []byte("x")); err != nil {
					t.Error(err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var total uint64
	for i := range names {
		total += openName(t, s, fmt.Sprint(i)).Info().Length
	}
	if total != workers*rounds {
		t.Errorf("%d blocks, want %d", total, workers*rounds)
	}
}

// TestOwnKeyFirst: a core of ours was opened by key before its name was known.
func TestOwnKeyFirst(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{Create: true, PrimaryKey: &testKey})
	key := hypercore.DefaultManifest(deriveKeyPair(testKey, Namespace{}, "log").Public).Key()
	replica := openKey(t, s, key)
	if _, err := s.OpenName(Namespace{}, "log", 0); !errors.Is(err, ErrOpenReadOnly) {
		t.Errorf("got %v, want ErrOpenReadOnly", err)
	}
	check(t, replica.Close())
	check(t, openName(t, s, "log").Close())
	own := openKey(t, s, key)
	if !own.Writable() {
		t.Error("not writable by key after it was opened by name")
	}
	appendTo(t, own, "one")
}

// TestNamedStaysNamed: opening by key at the same moment does not lose the name.
func TestNamedStaysNamed(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{Create: true})
	c := openName(t, s, "log")
	check(t, s.records.remember(origin{key: c.Key()}))
	if o, _, err := s.records.lookup(c.DiscoveryKey()); !o.named || err != nil {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestHold(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{Create: true, PrimaryKey: &testKey})
	main, err := s.OpenName(Namespace{}, "main", 1)
	check(t, err)
	log := openName(t, s, "log")
	appendTo(t, main, "first", "second")
	appendTo(t, log, "one")
	check(t, s.Flusher().Flush(context.Background()))
	for c, want := range map[*Core]uint64{main: 1, log: 0} {
		if !c.Info().Held || c.Head().Length != want {
			t.Errorf("held %v, %d blocks signed, want %d", c.Info().Held, c.Head().Length, want)
		}
	}
	check(t, s.Close())

	s = openStore(t, dir, Options{})
	main, log = openName(t, s, "main"), openName(t, s, "log")
	if !main.Info().Held || !log.Info().Held || !openName(t, s, "new").Info().Held {
		t.Error("a hold was lost over reopening")
	}
	wantLog(t, main, "first", "second")
	key := log.Key()
	check(t, log.Close())
	check(t, s.Release())
	if main.Info().Held || openName(t, s, "newer").Info().Held {
		t.Error("held after Release")
	}
	check(t, main.Flush(context.Background()))
	if got := main.Head().Length; got != 2 {
		t.Errorf("%d blocks signed after Release, want 2", got)
	}
	check(t, s.Close())
	s = openStore(t, dir, Options{}) // log was not open at the time
	if c := openKey(t, s, key); c.Info().Held {
		t.Error("a core that was closed is still held after Release")
	}
}

func TestDamagedRecord(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{Create: true})
	c := openName(t, s, "log")
	d := c.DiscoveryKey()
	check(t, c.Close())
	check(t, s.records.flush())
	for _, value := range []string{"short", string(make([]byte, 32)), string(make([]byte, 40))} {
		check(t, s.Update(func(tx storage.Tx) error { return tx.Bucket(bucketKeys).Put(d[:], []byte(value)) }))
		if _, err := s.OpenDiscovery(d); !errors.Is(err, storage.ErrDamaged) {
			t.Errorf("record of %d bytes: got %v, want ErrDamaged", len(value), err)
		}
		if _, found := s.Key(d); found {
			t.Error("a damaged record gave a key")
		}
	}
	check(t, s.Update(func(tx storage.Tx) error {
		return tx.Bucket(bucketNames).Put(nameKey(Namespace{}, "log"), make([]byte, 32))
	}))
	if _, err := s.OpenName(Namespace{}, "log", 0); !errors.Is(err, ErrPrimaryKey) {
		t.Errorf("name with another key: got %v, want ErrPrimaryKey", err)
	}
}

// TestManyNames: opening a store does not depend on how much it holds.
func TestManyNames(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{Create: true})
	empty := openCost(t, s)
	const names, together = 30_000, 2_000
	s = openStore(t, dir, Options{})
	for from := 0; from < names; from += together {
		check(t, s.Update(func(tx storage.Tx) error {
			for i := from; i < from+together; i++ {
				o := origin{key: hypercore.Key{byte(i), byte(i >> 8), 1}, named: true, name: fmt.Sprintf("%08d", i)}
				d := o.key.Discovery()
				if err := errors.Join(tx.Bucket(bucketNames).Put(nameKey(o.ns, o.name), o.key[:]),
					tx.Bucket(bucketKeys).Put(d[:], o.encode())); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	full := openCost(t, s)
	t.Logf("opening a store of %d names: %v; an empty one: %v", names, full, empty)
	if a, b := full.AllocedBytesPerOp(), empty.AllocedBytesPerOp(); a > b+8*names {
		t.Errorf("opening a store of %d names allocates %d bytes, an empty one %d", names, a, b)
	}
}

// openCost closes s and opens its directory again and again.
func openCost(t *testing.T, s *Store) testing.BenchmarkResult {
	check(t, s.Close())
	return testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			s, err := Open(s.Dir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			s.Close()
		}
	})
}

// BenchmarkOpenName opens new cores, one after the other.
func BenchmarkOpenName(b *testing.B) {
	s, err := Open(b.TempDir(), Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for i := 0; b.Loop(); i++ {
		if _, err := s.OpenName(Namespace{}, fmt.Sprint(i), 0); err != nil {
			b.Fatal(err)
		}
	}
}
