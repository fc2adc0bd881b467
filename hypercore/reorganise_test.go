package hypercore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"syscall"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// reorganise takes the higher fork of one core into another, with all the nodes
// that it asks for.
func reorganise(from, to *Core) error {
	r, err := beginReorganise(from, to)
	if err != nil {
		return err
	}
	for steps := 0; ; steps++ {
		q, more, err := r.Next()
		if err != nil {
			return err
		}
		if !more {
			return r.Install()
		}
		p, err := from.Prove(merkle.Request{Fork: from.Head().Fork, Hash: &q})
		if err != nil {
			return err
		}
		if err := r.Add(p); err != nil {
			return err
		}
		if steps > 64 {
			return errors.New("it goes on asking")
		}
	}
}

func beginReorganise(from, to *Core) (*Reorganisation, error) {
	h := from.Head()
	p, err := from.Prove(merkle.Request{Fork: h.Fork, Manifest: true, Upgrade: &merkle.UpgradeRequest{Length: h.Length}})
	if err != nil {
		return nil, err
	}
	return to.Reorganise(p)
}

// truncatedLog is a writer that wrote old blocks, went back to length and has
// `to` now, the first of the new ones being what it was where same is set.
func truncatedLog(t testing.TB, old, length, to uint64, same bool) (c *Core, block func(uint64) []byte) {
	t.Helper()
	block = func(i uint64) []byte {
		if i < length || same && i == length {
			return blockOf(i)
		}
		return late(i + 1)
	}
	c = own(t, newFlusher(t), 1)
	fill(t, c, old)
	mustFlush(t, c)
	if old == length { // a fork must be made of something
		fill(t, c, old+1)
	}
	if err := c.Truncate(context.Background(), length); err != nil {
		t.Fatal(err)
	}
	refill(t, c, to, block)
	mustFlush(t, c)
	return c, block
}

// TestReorganise: a reader of each old length that holds any subset of the blocks
// follows a writer to each common prefix and new length. It keeps what it holds
// of the prefix, and no more than is the same; the rest it can fetch, from the
// writer and for others.
func TestReorganise(t *testing.T) {
	const most = 6
	for old := uint64(1); old <= most; old++ {
		before := own(t, newFlusher(t), 1)
		fill(t, before, old)
		mustFlush(t, before)
		for length := range old + 1 {
			for to := max(length, 1); to <= most+1; to++ {
				writer, block := truncatedLog(t, old, length, to, false)
				for held := range uint64(1) << old {
					reorganiseOne(t, before, writer, block, held, old, length, to)
				}
			}
		}
	}
}

// TestReorganiseLonger is the same up to length 8, with fewer subsets.
func TestReorganiseLonger(t *testing.T) {
	const old = 8
	before := own(t, newFlusher(t), 1)
	fill(t, before, old)
	mustFlush(t, before)
	for length := range uint64(old + 1) {
		for to := max(length, 1); to <= old+1; to++ {
			writer, block := truncatedLog(t, old, length, to, false)
			for _, held := range []uint64{0, 0xff, 0x7f, 0x0f, 0xf0, 0x55, 0x80, 0x42, 0x3c} {
				reorganiseOne(t, before, writer, block, held, old, length, to)
			}
		}
	}
}

func reorganiseOne(t *testing.T, before, writer *Core, block func(uint64) []byte, held, old, length, to uint64) {
	t.Helper()
	name := fmt.Sprintf("%d blocks %b, cut to %d, grown to %d", old, held, length, to)
	f := newFlusher(t)
	c := replica(t, f, 1)
	transfer(t, before, c)
	for i := range old {
		if held&(1<<i) != 0 {
			transfer(t, before, c, i)
		}
	}
	var events []Event
	cancel := c.Subscribe(func(e Event) { events = append(events, e) })
	if err := reorganise(writer, c); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	cancel()
	if h := c.Head(); h.Fork != 1 || h.Length != to || h.Hash() != writer.Head().Hash() {
		t.Fatalf("%s: head %+v", name, h)
	}
	check := func() {
		t.Helper()
		for i := range to {
			want := i < length && held&(1<<i) != 0
			if c.Has(i) != want {
				t.Fatalf("%s: block %d is held: %v", name, i, !want)
			}
			if got, err := c.Block(i); want && (err != nil || !bytes.Equal(got, block(i))) {
				t.Fatalf("%s: block %d: %q, %v, want %q", name, i, got, err, block(i))
			}
		}
	}
	check()
	kept := uint64(bits.Len64(held & (1<<length - 1)))
	if len(events) != 2 || events[0].Kind != Truncated || events[0].To != old || events[0].From < kept || events[0].From > min(length, to) ||
		events[1] != (Event{Upgraded, events[0].From, to}) {
		t.Fatalf("%s: events %v", name, events)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = replica(t, f, 1)
	check()
	for i := range to {
		transfer(t, writer, c, i)
	}
	checkLog(t, c, to, block)
	verified(t, c, block)
}

// TestReorganiseSameBlocks: blocks that were appended again as they had been stay.
func TestReorganiseSameBlocks(t *testing.T) {
	before := own(t, newFlusher(t), 1)
	fill(t, before, 9)
	mustFlush(t, before)
	writer, block := truncatedLog(t, 9, 4, 9, true)
	c := replica(t, newFlusher(t), 1)
	transfer(t, before, c, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	if err := reorganise(writer, c); err != nil {
		t.Fatal(err)
	}
	if n := c.Info().Contiguous; n != 5 {
		t.Fatalf("%d blocks stayed, want 5", n)
	}
	transfer(t, writer, c, 5, 6, 7, 8)
	checkLog(t, c, 9, block)
}

// TestReorganiseWithoutNodes: who gets no nodes of the new fork keeps what its
// roots confirm.
func TestReorganiseWithoutNodes(t *testing.T) {
	before := own(t, newFlusher(t), 1)
	fill(t, before, 8)
	mustFlush(t, before)
	writer, block := truncatedLog(t, 8, 6, 7, false)
	c := replica(t, newFlusher(t), 1)
	transfer(t, before, c, 0, 1, 2, 3, 4, 5, 6, 7)
	r, err := beginReorganise(writer, c)
	if err != nil {
		t.Fatal(err)
	}
	checkLog(t, c, 8, blockOf)
	if err := r.Install(); err != nil {
		t.Fatal(err)
	}
	if n := c.Info().Contiguous; n != 6 {
		t.Fatalf("%d blocks stayed, want 6: roots 3 and 9 are the same", n)
	}
	if err := r.Install(); !errors.Is(err, ErrStale) {
		t.Fatalf("a second time: %v", err)
	}
	transfer(t, writer, c, 6)
	checkLog(t, c, 7, block)
}

// TestForgedFork: nothing that is not signed for its fork changes a core.
func TestForgedFork(t *testing.T) {
	before := own(t, newFlusher(t), 1)
	fill(t, before, 5)
	mustFlush(t, before)
	writer, _ := truncatedLog(t, 5, 2, 6, false)
	c := replica(t, newFlusher(t), 1)
	transfer(t, before, c, 0, 1, 2, 3, 4)
	p, err := writer.Prove(merkle.Request{Fork: 1, Upgrade: &merkle.UpgradeRequest{Length: 6}})
	if err != nil {
		t.Fatal(err)
	}
	old, err := before.Prove(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: 5}})
	if err != nil {
		t.Fatal(err)
	}
	alien := own(t, newFlusher(t), 2)
	fill(t, alien, 6)
	mustFlush(t, alien)
	theirs, err := alien.Prove(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: 6}, Manifest: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() merkle.Proof{
		"a higher fork": func() merkle.Proof { q := *p; q.Fork = 2; return q },
		"the old tree":  func() merkle.Proof { q := *old; q.Fork = 1; return q },
		"another core":  func() merkle.Proof { q := *theirs; q.Fork = 1; return q },
		"a part of it":  func() merkle.Proof { q := *p; q.Upgrade = nil; return q },
		"not from 0":    func() merkle.Proof { q := *p; u := *p.Upgrade; u.Start = 1; q.Upgrade = &u; return q },
		"another tree": func() merkle.Proof {
			q := *p
			u := *old.Upgrade
			u.Signature = p.Upgrade.Signature
			q.Upgrade = &u
			return q
		},
		"with a block too": func() merkle.Proof { q := *p; q.Block = &merkle.BlockProof{}; return q },
	} {
		q := damage()
		if _, err := c.Reorganise(&q); !errors.Is(err, ErrBadProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Reorganise(old); !errors.Is(err, ErrStale) {
		t.Errorf("our own fork: %v", err)
	}
	r, err := c.Reorganise(p)
	if err != nil {
		t.Fatal(err)
	}
	q, more, err := r.Next()
	if err != nil || !more {
		t.Fatal(more, err)
	}
	answer, err := writer.Prove(merkle.Request{Fork: 1, Hash: &q})
	if err != nil {
		t.Fatal(err)
	}
	for i := range answer.Hash.Nodes {
		bad := *answer
		bad.Hash = &merkle.HashProof{Index: answer.Hash.Index, Nodes: append([]merkle.Node{}, answer.Hash.Nodes...)}
		bad.Hash.Nodes[i].Hash[0] ^= 1
		if err := r.Add(&bad); !errors.Is(err, ErrBadProof) {
			t.Errorf("node %d damaged: %v", i, err)
		}
	}
	checkLog(t, c, 5, blockOf)
}

// TestReorganiseCrash kills a reader at each of the steps: it is in the old fork
// or in the new one, and holds nothing wrong.
func TestReorganiseCrash(t *testing.T) {
	const old = 7
	before := own(t, newFlusher(t), 1)
	fill(t, before, old)
	mustFlush(t, before)
	for length := range uint64(old) {
		writer, block := truncatedLog(t, old, length, old+1, false)
		for step := int64(1); ; step++ {
			faults := &storagetest.Faults{FS: storage.MemoryFS()}
			st := &counting{Store: storage.MemoryOn(faults)}
			f := flusherOf(t, st)
			c := replica(t, f, 1)
			transfer(t, before, c, 0, 1, 2, 4, 6)
			mustFlush(t, c)
			transfer(t, before, c, 3, 5)
			var ops atomic.Int64
			die := func() error {
				if ops.Add(1) < step {
					return nil
				}
				return syscall.EIO
			}
			faults.Hook(func(storagetest.Op, string) error { return die() })
			st.before.Store(&die)
			err := reorganise(writer, c)
			faults.Hook(nil)
			st.before.Store(nil)
			c.Close()
			c = replica(t, f, 1)
			h := c.Head()
			is := block
			switch {
			case err == nil && h.Fork != 1, h.Fork == 1 && h.Length != old+1, h.Fork == 0 && h.Length != old:
				t.Fatalf("step %d: %v, then fork %d, length %d", step, err, h.Fork, h.Length)
			case h.Fork == 0:
				is = blockOf
			}
			for i := range h.Length {
				if got, err := c.Block(i); c.Has(i) && (err != nil || !bytes.Equal(got, is(i))) {
					t.Fatalf("cut to %d, step %d: block %d: %q, %v, want %q", length, step, i, got, err, is(i))
				}
			}
			if h.Fork == 0 {
				if err := reorganise(writer, c); err != nil {
					t.Fatal(err)
				}
			}
			for i := range uint64(old + 1) {
				transfer(t, writer, c, i)
			}
			checkLog(t, c, old+1, block)
			if err == nil {
				break
			}
		}
	}
}

// TestAdoptFork: a writer restored from a backup takes the higher fork that its
// key has signed elsewhere, and moves what it appended behind it.
func TestAdoptFork(t *testing.T) {
	const old = 7
	for backup := range uint64(old + 1) {
		for length := range uint64(old) {
			for tail := range uint64(3) {
				writer, block := truncatedLog(t, old, length, length+2, false)
				to := length + 2
				f := newFlusher(t)
				c := restored(t, f, backup, tail)
				mustFlush(t, c)
				if err := reorganise(writer, c); err != nil {
					t.Fatalf("backup %d, cut to %d, tail %d: %v", backup, length, tail, err)
				}
				is := func(i uint64) []byte {
					if i < to {
						return block(i)
					}
					return late(i - to)
				}
				for range 2 {
					if info := c.Info(); info.Length != to+tail || info.Durable != to || info.Fork != 1 || !info.Held {
						t.Fatalf("backup %d, cut to %d, tail %d: %+v", backup, length, tail, info)
					}
					for i := range to + tail {
						want := i < min(backup, length) || i >= to
						if got, err := c.Block(i); want != c.Has(i) || want && (err != nil || !bytes.Equal(got, is(i))) {
							t.Fatalf("backup %d, cut to %d, tail %d: block %d: %q, %v, want %q", backup, length, tail, i, got, err, is(i))
						}
					}
					c.Close()
					c = own(t, f, 1)
				}
				for i := range to {
					transfer(t, writer, c, i)
				}
				if err := c.Release(); err != nil {
					t.Fatal(err)
				}
				mustFlush(t, c)
				checkLog(t, c, to+tail, is)
				verified(t, c, is)
			}
		}
	}
}
