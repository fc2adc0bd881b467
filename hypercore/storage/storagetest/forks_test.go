package storagetest_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// TestTruncateCrashes: a writer appends, flushes and truncates, dying anywhere on
// the way. It is in the fork before or after; in both it has what it must have,
// never a block of the other, and never signs two heads of one length and fork.
func TestTruncateCrashes(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { truncateCrashes(t, rand.New(rand.NewPCG(seed, 4))) })
	}
}

// truncator is what is known of a core that truncates.
type truncator struct {
	log, pending [][]byte
	durable      int
	fork         uint64
	cut          int // length of a truncation that failed, -1 for none
	seen         map[[2]uint64]merkle.Hash
}

func (w *truncator) note(t *testing.T, c *hypercore.Core) {
	t.Helper()
	h := c.Head()
	at := [2]uint64{h.Fork, h.Length}
	if hash, ok := w.seen[at]; ok && hash != h.Hash() {
		t.Fatalf("two heads of fork %d and length %d", h.Fork, h.Length)
	}
	w.seen[at] = h.Hash()
	if h.Length > 0 || h.Fork > 0 {
		check(t, c.Manifest().Verify(h.Tree, h.Signature))
	}
}

func (w *truncator) reopened(t *testing.T, c *hypercore.Core, stays bool) {
	t.Helper()
	info := c.Info()
	if w.cut >= 0 && info.Fork == w.fork+1 {
		w.log, w.pending, w.durable = w.log[:w.cut], nil, w.cut
		w.fork++
	}
	w.cut = -1
	least, all := w.durable, append(w.log[:len(w.log):len(w.log)], w.pending...)
	if stays {
		least = len(w.log)
	}
	if got := int(info.Length); info.Fork != w.fork || got < least || got > len(all) {
		t.Fatalf("fork %d of length %d after a crash, want fork %d of %d to %d", info.Fork, got, w.fork, least, len(all))
	}
	for i := range info.Length {
		if b, err := c.Block(i); err != nil || !bytes.Equal(b, all[i]) {
			t.Fatalf("block %d after a crash: got %d bytes, %v, want %d", i, len(b), err, len(all[i]))
		}
	}
	w.log, w.pending, w.durable = all[:info.Length], nil, min(w.durable, int(info.Length))
	w.note(t, c)
}

func truncateCrashes(t *testing.T, r *rand.Rand) {
	const lives, steps = 10, 20
	ctx := t.Context()
	m := storagetest.NewMachine()
	w := &truncator{cut: -1, seen: make(map[[2]uint64]merkle.Hash)}
	p := pair(1)
	stays := true
	for life := range lives {
		st := m.Boot()
		f := hypercore.NewFlusher(st, nil)
		c, err := hypercore.Open(f, hypercore.Options{Key: key(1), KeyPair: &p})
		check(t, err)
		w.reopened(t, c, stays)
		last := life == lives-1
		if !last && r.IntN(4) > 0 {
			m.KillAfter(1 + r.IntN(120))
		}
		for range steps {
			alive := true
			switch r.IntN(5) {
			case 0:
				if alive = c.Flush(ctx) == nil; alive {
					w.durable = len(w.log)
				}
			case 1:
				n := r.IntN(len(w.log) + 1)
				if r.IntN(2) == 0 { // the same blocks may come again at another place
					n = max(0, len(w.log)-1-r.IntN(3))
				}
				err := c.Truncate(ctx, uint64(n))
				switch {
				case err != nil:
					w.cut, alive = n, false
				case n < len(w.log):
					w.log, w.durable = w.log[:n], n
					w.fork++
				}
			default:
				blocks := randomBlocks(r)
				if len(w.log) > 0 && r.IntN(2) == 0 {
					blocks = [][]byte{w.log[r.IntN(len(w.log))]}
				}
				if _, err := c.Append(ctx, blocks...); err != nil {
					w.pending, alive = blocks, false
				} else {
					w.log = append(w.log[:len(w.log):len(w.log)], blocks...)
				}
			}
			if !alive {
				break
			}
			w.note(t, c)
		}
		if last {
			replica, err := hypercore.Open(hypercore.NewFlusher(storage.Memory(), nil), hypercore.Options{Key: key(1)})
			check(t, err)
			check(t, c.Flush(ctx))
			if h := c.Head(); h.Length > 0 {
				if h.Fork > 0 {
					check(t, follow(c, replica))
				}
				fetchAll(t, c, replica)
			}
			break
		}
		stays = crash(m, r)
		f.Close()
		st.Close()
	}
}

// follow takes the higher fork of a core into another.
func follow(from, to *hypercore.Core) error {
	h := from.Head()
	p, err := from.Prove(merkle.Request{Fork: h.Fork, Manifest: true, Upgrade: &merkle.UpgradeRequest{Length: h.Length}})
	if err != nil {
		return err
	}
	g, err := to.Reorganise(p)
	if err != nil {
		return err
	}
	for {
		q, more, err := g.Next()
		if err != nil {
			return err
		}
		if !more {
			return g.Install()
		}
		p, err = from.Prove(merkle.Request{Fork: h.Fork, Hash: &q})
		if errors.Is(err, hypercore.ErrNotHeld) {
			return g.Install() // what stays is what is known to be shared
		}
		if err != nil {
			return err
		}
		if err := g.Add(p); err != nil {
			return err
		}
	}
}

// TestReorganiseCrashes: a replica follows a writer that truncates, dying
// anywhere on the way. What it says it holds is what the writer wrote in that
// fork, it never goes back to a fork that it left, and it can fetch the rest.
func TestReorganiseCrashes(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { reorganiseCrashes(t, rand.New(rand.NewPCG(seed, 5))) })
	}
}

func reorganiseCrashes(t *testing.T, r *rand.Rand) {
	const lives, steps = 8, 40
	ctx := t.Context()
	far := hypercore.NewFlusher(storage.Memory(), nil)
	p := pair(1)
	writer, err := hypercore.Open(far, hypercore.Options{Key: key(1), KeyPair: &p})
	check(t, err)
	var forks [][][]byte // what each fork came to be
	var log [][]byte
	m := storagetest.NewMachine()
	var least, most uint64 // forks that the replica may be in
	for life := range lives {
		st := m.Boot()
		f := hypercore.NewFlusher(st, nil)
		c, err := hypercore.Open(f, hypercore.Options{Key: key(1)})
		check(t, err)
		fork := c.Info().Fork
		if fork < least || fork > most {
			t.Fatalf("fork %d after a crash, want %d to %d", fork, least, most)
		}
		least = fork
		want := log
		if fork < uint64(len(forks)) {
			want = forks[fork]
		}
		for i := range c.Info().Length {
			if got, err := c.Block(i); c.Has(i) && (err != nil || !bytes.Equal(got, want[i])) {
				t.Fatalf("fork %d, block %d: got %d bytes, %v, want %d", fork, i, len(got), err, len(want[i]))
			}
		}
		last := life == lives-1
		if !last && r.IntN(4) > 0 {
			m.KillAfter(1 + r.IntN(200))
		}
		for range steps {
			if r.IntN(6) == 0 && len(log) > 0 {
				n := r.IntN(len(log))
				check(t, writer.Truncate(ctx, uint64(n)))
				forks, log = append(forks, log), log[:n:n]
			}
			blocks := randomBlocks(r)
			_, err := writer.Append(ctx, blocks...)
			check(t, err)
			check(t, writer.Flush(ctx))
			log = append(log[:len(log):len(log)], blocks...)
			alive := true
			h := writer.Head()
			if c.Head().Fork < h.Fork && r.IntN(3) == 0 {
				most = h.Fork
				if alive = apply(t, follow(writer, c)); alive {
					least = h.Fork
				}
			}
			if alive && c.Head().Fork == h.Fork {
				if r.IntN(2) == 0 {
					alive = apply(t, upgrade(writer, c))
				}
				if n := c.Head().Length; alive && n > 0 {
					alive = apply(t, fetch(writer, c, uint64(r.Int64N(int64(n)))))
				}
			}
			if !alive || r.IntN(8) == 0 && c.Flush(ctx) != nil {
				break
			}
		}
		if last {
			if h := writer.Head(); c.Head().Fork < h.Fork {
				check(t, follow(writer, c))
			}
			fetchAll(t, writer, c)
		}
		crash(m, r)
		f.Close()
		st.Close()
	}
}

// TestConflictCrashes: who answered ErrConflict once is frozen for good.
func TestConflictCrashes(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 6))
		ctx := t.Context()
		p := pair(1)
		twin, err := hypercore.Open(hypercore.NewFlusher(storage.Memory(), nil), hypercore.Options{Key: key(1), KeyPair: &p})
		check(t, err)
		_, err = twin.Append(ctx, []byte("another"))
		check(t, err)
		check(t, twin.Flush(ctx))
		proof, err := twin.Prove(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: 1}})
		check(t, err)

		m := storagetest.NewMachine()
		st := m.Boot()
		f := hypercore.NewFlusher(st, nil)
		c, err := hypercore.Open(f, hypercore.Options{Key: key(1), KeyPair: &p})
		check(t, err)
		_, err = c.Append(ctx, randomBlocks(r)...)
		check(t, err)
		check(t, c.Flush(ctx))
		if err := c.CheckConflict(proof); !errors.Is(err, hypercore.ErrConflict) {
			t.Fatal(err)
		}
		crash(m, r)
		f.Close()
		st.Close()
		c, err = hypercore.Open(hypercore.NewFlusher(m.Boot(), nil), hypercore.Options{Key: key(1), KeyPair: &p})
		check(t, err)
		if !c.Info().Conflict {
			t.Fatalf("seed %d: not frozen after a crash", seed)
		}
	}
}
