package storagetest_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// TestAdoptCrashes: a store made from a primary key appends, learns of the
// longer head that the key has signed elsewhere, and moves its own blocks behind
// it, dying anywhere on the way. Nothing that was acknowledged is lost, and the
// log that comes out verifies.
func TestAdoptCrashes(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { adoptCrashes(t, rand.New(rand.NewPCG(seed, 3))) })
	}
}

func adoptCrashes(t *testing.T, r *rand.Rand) {
	const lives = 8
	ctx := t.Context()
	p := pair(1)
	far := hypercore.NewFlusher(storage.Memory(), nil)
	before, err := hypercore.Open(far, hypercore.Options{Key: key(1), KeyPair: &p})
	check(t, err)
	for range 1 + r.IntN(10) {
		_, err := before.Append(ctx, randomBlocks(r)...)
		check(t, err)
	}
	check(t, before.Flush(ctx))

	m := storagetest.NewMachine()
	tail := new(tail)
	for life := range lives {
		st := m.Boot()
		f := hypercore.NewFlusher(st, nil)
		c, err := hypercore.Open(f, hypercore.Options{Key: key(1), KeyPair: &p, Hold: true})
		check(t, err)
		tail.reopened(t, c)
		last := life == lives-1
		if !last {
			m.KillAfter(1 + r.IntN(120))
		}
		for range r.IntN(6) {
			blocks := randomBlocks(r)
			if _, err := c.Append(ctx, blocks...); err != nil {
				tail.pending = blocks
				break
			}
			tail.log = append(tail.log, blocks...)
			if r.IntN(3) == 0 && c.Flush(ctx) == nil {
				tail.durable = len(tail.log)
			}
		}
		if last {
			check(t, upgrade(before, c))
			finishAdopted(t, before, c, tail)
			break
		}
		if len(tail.pending) == 0 && r.IntN(2) == 0 {
			apply(t, upgrade(before, c))
		}
		if stays := crash(m, r); !stays {
			tail.least = tail.durable
		} else {
			tail.least = len(tail.log)
		}
		f.Close()
		st.Close()
	}
}

// tail is what was appended behind a head that comes later.
type tail struct {
	log, pending   [][]byte // as in written
	durable, least int
}

func (w *tail) reopened(t *testing.T, c *hypercore.Core) {
	t.Helper()
	all := append(w.log[:len(w.log):len(w.log)], w.pending...)
	head := c.Head().Length
	got := int(c.Info().Length - head)
	if got < w.least || got > len(all) {
		t.Fatalf("%d blocks behind head %d after a crash, want %d to %d", got, head, w.least, len(all))
	}
	w.log, w.pending = all[:got], nil
	w.durable = min(w.durable, got)
	w.check(t, c)
}

func (w *tail) check(t *testing.T, c *hypercore.Core) {
	t.Helper()
	head := c.Head().Length
	for i, want := range w.log {
		if b, err := c.Block(head + uint64(i)); err != nil || !bytes.Equal(b, want) {
			t.Fatalf("block %d behind head %d: got %d bytes, %v, want %d", i, head, len(b), err, len(want))
		}
	}
}

// finishAdopted fetches what came from elsewhere, ends the hold and lets a new
// replica verify the whole.
func finishAdopted(t *testing.T, before, c *hypercore.Core, w *tail) {
	t.Helper()
	old := before.Head().Length
	if got := c.Head().Length; got != old {
		t.Fatalf("adopted length %d, want %d", got, old)
	}
	w.check(t, c)
	for i := range old {
		if !c.Has(i) {
			check(t, fetch(before, c, i))
		}
	}
	check(t, c.Release())
	check(t, c.Flush(t.Context()))
	if got, want := c.Head().Length, old+uint64(len(w.log)); got != want {
		t.Fatalf("%d blocks are signed, want %d", got, want)
	}
	replica, err := hypercore.Open(hypercore.NewFlusher(storage.Memory(), nil), hypercore.Options{Key: key(1)})
	check(t, err)
	fetchAll(t, c, replica)
	for i := range old {
		want, err := before.Block(i)
		check(t, err)
		if got, err := replica.Block(i); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("block %d: got %d bytes, %v, want %d", i, len(got), err, len(want))
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
