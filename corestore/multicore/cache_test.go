package multicore

import (
	"bytes"
	"context"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"multicore/corestore"
	"multicore/hypercore"
)

// room is what the blocks of a store take on the disk.
func room(t *testing.T, st *corestore.Store) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(st.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "blocks" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// bulk is block i of a large log.
func bulk(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8), '-', '\n'}, 4<<10) }

// large makes an own multicore with a log of some blocks of 16 KiB in core-3.
func large(t *testing.T, st *corestore.Store, sw Swarm, blocks int) *Own {
	t.Helper()
	own := makeOwn(t, st, sw)
	for i := range blocks {
		if err := own.Append(t.Context(), "core-3", [][]byte{bulk(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := own.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return own
}

// A large remote log is read twice from its beginning to its end: all is right,
// and what it takes stays bounded. What is followed is not touched.
func TestCache(t *testing.T) {
	const blocks, limit = 1000, 2 << 20 // 16 MB of 16 KiB
	const ahead = 4 << 20               // fetched before it is read, at most
	wst, fst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	wsw, fsw, rsw := newSwarm(t, wst), newSwarm(t, fst), newSwarm(t, rst)
	own, kept := large(t, wst, wsw, blocks), large(t, fst, fsw, 200)
	connect(t, wsw, rsw)
	connect(t, fsw, rsw)

	cache := NewCache(rst, limit, nil)
	ctx, cancel := context.WithCancel(within(t))
	done := make(chan struct{})
	go func() {
		defer close(done)
		cache.Run(ctx)
	}()
	defer func() { cancel(); <-done }()

	if err := Follow(rst, Followed{Key: kept.Key()}); err != nil {
		t.Fatal(err)
	}
	f := openRemote(t, rst, rsw, kept.Key())
	f.SetCache(cache)
	f.SetDownload(true)
	if _, err := f.Cores(ctx); err != nil {
		t.Fatal(err)
	}
	followed, _ := f.Known()
	awaitHeld(t, followed[2].Core, 200)

	r := openRemote(t, rst, rsw, own.Key())
	r.SetCache(cache)
	cores, err := r.Cores(ctx)
	if err != nil {
		t.Fatal(err)
	}
	log := cores[2].Core
	awaitLength(t, log, blocks)
	whole := int64(200 * len(bulk(0)))
	most := int64(0)
	for round := range 2 {
		for i := range uint64(blocks) {
			if round == 0 {
				b, err := log.Get(ctx, i)
				if err != nil || !bytes.Equal(b, bulk(int(i))) {
					t.Fatalf("block %d, round %d: %d bytes, %v", i, round, len(b), err)
				}
			} else {
				p := make([]byte, len(bulk(0)))
				if _, err := log.ReadAt(ctx, p, i*uint64(len(p))); err != nil || !bytes.Equal(p, bulk(int(i))) {
					t.Fatalf("block %d read at its offset: %v", i, err)
				}
			}
			// The cache works behind the reader, who here gives it its turn.
			if i%32 == 31 {
				settle(t, cache)
				most = max(most, room(t, rst)-whole)
			}
		}
	}
	if most > limit+limit/2+ahead {
		t.Errorf("what was only read took %d bytes, the limit is %d", most, limit)
	}
	if most < limit/4 {
		t.Errorf("what was only read took at most %d bytes: nothing was cached", most)
	}
	if n := followed[2].Core.HeldBlocks(); n != 200 {
		t.Errorf("of the followed multicore %d of 200 blocks are left", n)
	}
	if !cores[0].Core.Has(0) {
		t.Error("block 0 of main was cleared")
	}
	if !log.Has(blocks - 1) {
		t.Error("what was read last was cleared")
	}

	// What is left over from an earlier process counts too, and what is not
	// followed any more.
	if _, err := Unfollow(rst, kept.Key()); err != nil {
		t.Fatal(err)
	}
	f.SetDownload(false)
	cancel()
	<-done
	if err := NewCache(rst, limit, nil).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := room(t, rst); got > limit {
		t.Errorf("%d bytes are left, the limit is %d", got, limit)
	}
}

// settle waits until the cache has dealt with what was stored.
func settle(t *testing.T, c *Cache) {
	t.Helper()
	if err := c.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The least recently read goes first, also where it was stored last.
func TestCacheOrder(t *testing.T) {
	const blocks = 256 // 4 MiB
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
	own := large(t, wst, wsw, blocks)
	connect(t, wsw, rsw)
	cache := NewCache(rst, 2<<20, nil)
	r := openRemote(t, rst, rsw, own.Key())
	r.SetCache(cache)
	ctx := within(t)
	cores, err := r.Cores(ctx)
	if err != nil {
		t.Fatal(err)
	}
	log := cores[2].Core
	awaitLength(t, log, blocks)
	for i := range uint64(blocks) {
		if _, err := log.Get(ctx, i); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(32) { // once more
		if _, err := log.Get(ctx, i); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, cache)
	for i := range uint64(32) {
		if !log.Has(i) {
			t.Fatalf("block %d, which was read last, was cleared", i)
		}
	}
	if log.Has(64) || !log.Has(blocks-1) || log.HeldBlocks() > 128 {
		t.Fatalf("held: %v", log.Runs(0, blocks))
	}
}

// Of a followed multicore the newest blocks are kept, older ones are cleared as
// new ones come, and what is read of them is cache.
func TestKeep(t *testing.T) {
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
	own := large(t, wst, wsw, 200)
	connect(t, wsw, rsw)
	ctx := within(t)
	for _, k := range []Keep{{Last: 50}, {Bytes: 50*16<<10 + 20<<10}, {Last: 60, Bytes: 50*16<<10 + 20<<10}} {
		if err := Follow(rst, Followed{Key: own.Key(), Keep: k}); err != nil {
			t.Fatal(err)
		}
		r, err := OpenRemote(rst, rsw, own.Key())
		if err != nil {
			t.Fatal(err)
		}
		r.SetKeep(k)
		r.SetDownload(true)
		cores, err := r.Cores(ctx)
		if err != nil {
			t.Fatal(err)
		}
		log := cores[2].Core
		length := own.cores[2].Info().Length
		awaitLength(t, log, length)
		kept := func(length uint64) {
			t.Helper()
			for {
				changed := log.Changed()
				runs := log.Runs(0, length)
				if n := log.HeldBlocks(); len(runs) == 1 && runs[0].To == length && n >= 50 && n <= 51 && r.Complete(2) {
					return
				}
				select {
				case <-changed:
				case <-ctx.Done():
					t.Fatalf("%+v: held: %v of %d", k, runs, length)
				}
			}
		}
		kept(length)
		for i := range 20 {
			if err := own.Append(t.Context(), "core-3", [][]byte{bulk(i)}); err != nil {
				t.Fatal(err)
			}
		}
		length += 20
		awaitLength(t, log, length)
		kept(length)
		if _, err := log.Get(ctx, 3); err != nil { // it stays until there is too much cache
			t.Fatal(err)
		}
		if err := r.Trim(ctx); err != nil || !log.Has(3) {
			t.Fatalf("what was read was cleared: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		list, err := NewCache(rst, 1<<20, nil).survey(t.Context())
		if err != nil || len(list) != 1 || list[0].from != 3 || list[0].to != 4 {
			t.Fatalf("cache: %+v, %v", list, err)
		}
		c, err := rst.OpenKey(log.Key())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Clear(ctx, 0, hypercore.MaxBlock); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}
