package multicore

import (
	"context"
	"slices"
	"testing"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
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

// Missing is what is to be downloaded and that no peer has, and nothing of what was
// cleared here or is older than what is kept.
func TestMissing(t *testing.T) {
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
	own := large(t, wst, wsw, 100)
	for _, lost := range []replicate.Range{{From: 3, To: 4}, {From: 50, To: 60}, {From: 99, To: 100}} {
		if _, err := own.cores[2].Clear(t.Context(), lost.From, lost.To); err != nil {
			t.Fatal(err)
		}
	}
	connect(t, wsw, rsw)
	r := openRemote(t, rst, rsw, own.Key())
	if r.Downloads() {
		t.Error("it is downloaded before anybody said so")
	}
	if err := Follow(rst, Followed{Key: r.Key()}); err != nil {
		t.Fatal(err)
	}
	r.SetDownload(true)
	cores, err := r.Cores(within(t))
	if err != nil {
		t.Fatal(err)
	}
	log := cores[2].Core
	await(t, log, "what the writer has", func() bool { return log.HeldBlocks() == 88 })
	check := func(what string, most int, want uint64, ranges ...replicate.Range) {
		t.Helper()
		got, n := r.Missing(2, most)
		if n != want || !slices.Equal(got, ranges) || r.Complete(2) != (n == 0) {
			t.Errorf("%s: %d blocks are missing, %v; want %d, %v", what, n, got, want, ranges)
		}
	}
	check("all", 9, 12, replicate.Range{From: 3, To: 4}, replicate.Range{From: 50, To: 60}, replicate.Range{From: 99, To: 100})
	check("the first one", 1, 12, replicate.Range{From: 3, To: 4})
	check("how many", 0, 12)
	if _, err := r.Clear(t.Context(), 2, 2, 55); err != nil {
		t.Fatal(err)
	}
	check("cleared", 9, 6, replicate.Range{From: 55, To: 60}, replicate.Range{From: 99, To: 100})
	r.SetKeep(Keep{Last: 42})
	check("the newest", 9, 3, replicate.Range{From: 58, To: 60}, replicate.Range{From: 99, To: 100})
}
