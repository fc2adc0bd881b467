package multicore

import (
	"context"
	"testing"

	"multicore/corestore"
	"multicore/hypercore"
)

// limited follows own in st with a limit, and gives its core-3 once n blocks of
// that are held and the limit was seen to.
func limited(t *testing.T, st *corestore.Store, r *Remote, k Keep, n uint64) *hypercore.Core {
	t.Helper()
	if err := Follow(st, Followed{Key: r.Key(), Keep: k}); err != nil {
		t.Fatal(err)
	}
	r.SetKeep(k)
	r.SetDownload(true)
	cores, err := r.Cores(within(t))
	if err != nil {
		t.Fatal(err)
	}
	log := cores[2].Core
	if err := log.Update(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := r.Trim(within(t)); err != nil {
		t.Fatal(err)
	}
	await(t, log, "what is to be kept", func() bool {
		return log.HeldBlocks() >= n && r.Complete(2)
	})
	return log
}

// spares sweeps a full cache, which must leave n blocks alone.
func spares(t *testing.T, st *corestore.Store, log *hypercore.Core, n uint64) {
	t.Helper()
	settle(t, NewCache(st, 64<<10, nil))
	if held := log.HeldBlocks(); held < n {
		t.Errorf("%d blocks are left of %d that are to be kept: %v", held, n, log.Runs(0, log.Info().Length))
	}
}

// A limit that is raised makes what it takes in no cache.
func TestKeepMore(t *testing.T) {
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
	own := large(t, wst, wsw, 200)
	connect(t, wsw, rsw)
	r := openRemote(t, rst, rsw, own.Key())
	limited(t, rst, r, Keep{Last: 10}, 10)
	spares(t, rst, limited(t, rst, r, Keep{Last: 100}, 100), 100)
}

// A limit that comes back after all was kept clears all that is too old, also
// where the process began anew meanwhile.
func TestKeepAgain(t *testing.T) {
	for _, anew := range []bool{false, true} {
		wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
		wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
		own := large(t, wst, wsw, 200)
		connect(t, wsw, rsw)
		r := openRemote(t, rst, rsw, own.Key())
		limited(t, rst, r, Keep{Last: 10}, 10)
		limited(t, rst, r, Keep{}, 200)
		if anew {
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r = openRemote(t, rst, rsw, own.Key())
		}
		log := limited(t, rst, r, Keep{Last: 10}, 10)
		if held := log.HeldBlocks(); held != 10 {
			t.Errorf("anew %t: %d blocks are held, want the newest 10", anew, held)
		}
	}
}

// What was cleared, or too old, before the writer truncated its log says nothing
// of the blocks that came into its place.
func TestKeepTruncated(t *testing.T) {
	for _, k := range []Keep{{}, {Last: 60}} {
		wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
		wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
		own := large(t, wst, wsw, 200)
		connect(t, wsw, rsw)
		r := openRemote(t, rst, rsw, own.Key())
		log := limited(t, rst, r, k, 60)
		if _, err := r.Clear(t.Context(), 2, 150, 200); err != nil {
			t.Fatal(err)
		}
		writer := own.cores[2].Core
		if err := writer.Truncate(t.Context(), 50); err != nil {
			t.Fatal(err)
		}
		for i := range 150 {
			if err := own.Append(context.Background(), "core-3", [][]byte{bulk(1000 + i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := own.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		await(t, log, "the other fork", func() bool { i := log.Info(); return i.Fork > 0 && i.Length == 200 })
		want := uint64(200)
		if k.Last > 0 {
			want = k.Last
		}
		spares(t, rst, limited(t, rst, r, k, want), want)
	}
}

// What was fetched ahead of a reader and then cleared is not fetched again, also
// where a block before it, that no peer has, keeps the reader from coming there.
func TestClearAhead(t *testing.T) {
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
	own := large(t, wst, wsw, 40)
	if _, err := own.cores[2].Clear(t.Context(), 5, 6); err != nil {
		t.Fatal(err)
	}
	connect(t, wsw, rsw)
	r := openRemote(t, rst, rsw, own.Key())
	cores, err := r.Cores(within(t))
	if err != nil {
		t.Fatal(err)
	}
	log := cores[2].Core
	awaitLength(t, log, 40)
	for _, i := range []uint64{39, 0, 1, 2, 3} { // the first has the peer tell what it has
		if _, err := log.Get(within(t), i); err != nil {
			t.Fatal(err)
		}
	}
	await(t, log, "what is read soon", func() bool { return log.Has(6) && log.Has(7) })
	if _, err := r.Clear(t.Context(), 2, 6, 8); err != nil {
		t.Fatal(err)
	}
	for i := range 8 { // each makes the reader ask
		if err := own.Append(t.Context(), "core-3", [][]byte{bulk(40 + i)}); err != nil {
			t.Fatal(err)
		}
		if err := own.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		awaitLength(t, log, uint64(41+i))
	}
	if log.Has(6) || log.Has(7) {
		t.Errorf("blocks that were cleared are held again: %v", log.Runs(0, 40))
	}
}
