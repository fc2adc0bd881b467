package storagetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// These tests run cores on a Machine that is killed and loses power over and
// over, and hold every later life to what an earlier one was told or saw. Rounds
// of the flusher run beside what the test does, as they do in a program; those of
// TestPowerCuts are many more, and paced.

func pair(i byte) hypercore.KeyPair { return hypercore.KeyPairFromSeed([32]byte{i}) }

func key(i byte) hypercore.Key { return hypercore.DefaultManifest(pair(i).Public).Key() }

// written is what is known of an own core from outside.
type written struct {
	log     [][]byte               // acknowledged, or found after a crash
	pending [][]byte               // behind it, of an append that failed
	durable uint64                 // length that a flush or Info answered for
	seen    map[uint64]merkle.Hash // signed heads that peers could have seen, by length
}

func (w *written) note(t *testing.T, c *hypercore.Core) {
	t.Helper()
	h := c.Head()
	if hash, ok := w.seen[h.Length]; ok && hash != h.Hash() {
		t.Fatalf("two heads of length %d", h.Length)
	}
	if h.Length > 0 {
		w.seen[h.Length] = h.Hash()
		if err := c.Manifest().Verify(h.Tree, h.Signature); err != nil {
			t.Fatalf("head of length %d: %v", h.Length, err)
		}
	}
	if h.Length < w.durable {
		t.Fatalf("head has length %d, and had %d", h.Length, w.durable)
	}
	w.durable = max(w.durable, h.Length)
}

// reopened compares a core that was opened after a crash. least is the shortest
// length that it may have.
func (w *written) reopened(t *testing.T, c *hypercore.Core, least uint64) {
	t.Helper()
	all := append(w.log[:len(w.log):len(w.log)], w.pending...)
	length := c.Info().Length
	if length < least || length > uint64(len(all)) {
		t.Fatalf("length %d after a crash, want %d to %d", length, least, len(all))
	}
	for i := range length {
		if b, err := c.Block(i); err != nil || !bytes.Equal(b, all[i]) {
			t.Fatalf("block %d after a crash: got %d bytes, %v, want %d", i, len(b), err, len(all[i]))
		}
	}
	w.log, w.pending = all[:length], nil
	w.note(t, c)
}

func randomBlocks(r *rand.Rand) [][]byte {
	blocks := make([][]byte, 1+r.IntN(6))
	for i := range blocks {
		blocks[i] = make([]byte, r.IntN([]int{3, 100, 3000}[r.IntN(3)]))
		for j := range blocks[i] {
			blocks[i][j] = byte(r.Uint32())
		}
	}
	return blocks
}

// crash ends a life; it says whether everything that was acknowledged stays.
func crash(m *storagetest.Machine, r *rand.Rand) (stays bool) {
	if r.IntN(2) == 0 {
		m.Kill()
		return true
	}
	m.PowerCut(r)
	return false
}

func TestWriterCrashes(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { writerCrashes(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func writerCrashes(t *testing.T, r *rand.Rand) {
	const cores, lives, steps = 3, 6, 25
	ctx := t.Context()
	m := storagetest.NewMachine()
	var logs [cores]*written
	for i := range logs {
		logs[i] = &written{seen: make(map[uint64]merkle.Hash)}
	}
	stays := true
	for range lives {
		st := m.Boot()
		f := hypercore.NewFlusher(st, nil)
		var open [cores]*hypercore.Core
		for i, w := range logs {
			p := pair(byte(i))
			c, err := hypercore.Open(f, hypercore.Options{Key: key(byte(i)), KeyPair: &p})
			if err != nil {
				t.Fatal(err)
			}
			least := w.durable
			if stays {
				least = uint64(len(w.log))
			}
			w.reopened(t, c, least)
			open[i] = c
		}
		if r.IntN(3) > 0 {
			m.KillAfter(1 + r.IntN(150))
		}
		for range steps {
			if !writerStep(t, ctx, r, f, open[:], logs[:]) {
				break
			}
		}
		for i, w := range logs {
			w.note(t, open[i])
		}
		stays = crash(m, r)
		f.Close()
		st.Close()
	}
}

// writerStep does something, and gives false once the process is dead.
func writerStep(t *testing.T, ctx context.Context, r *rand.Rand, f *hypercore.Flusher, open []*hypercore.Core, logs []*written) bool {
	i := r.IntN(len(open))
	switch r.IntN(8) {
	case 0:
		lengths := make([]uint64, len(logs))
		for j, w := range logs {
			lengths[j] = uint64(len(w.log))
		}
		if f.Flush(ctx) != nil {
			return false
		}
		for j, w := range logs {
			w.durable = max(w.durable, lengths[j])
			w.note(t, open[j])
		}
	case 1:
		if open[i].Flush(ctx) != nil {
			return false
		}
		logs[i].durable = uint64(len(logs[i].log))
	case 2:
		batches := make([]hypercore.Batch, len(open))
		for j := range batches {
			batches[j] = hypercore.Batch{Core: open[j], Blocks: randomBlocks(r)}
		}
		err := hypercore.AppendAll(ctx, batches)
		for j, b := range batches {
			if err != nil {
				logs[j].pending = b.Blocks
			} else {
				logs[j].log = append(logs[j].log, b.Blocks...)
			}
		}
		return err == nil
	default:
		blocks := randomBlocks(r)
		if _, err := open[i].Append(ctx, blocks...); err != nil {
			logs[i].pending = blocks
			return false
		}
		logs[i].log = append(logs[i].log, blocks...)
		logs[i].note(t, open[i])
	}
	return true
}

// TestReplicaCrashes: what a replica says it holds is what the writer wrote, and
// it can always fetch the rest.
func TestReplicaCrashes(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { replicaCrashes(t, rand.New(rand.NewPCG(seed, 2))) })
	}
}

func replicaCrashes(t *testing.T, r *rand.Rand) {
	const lives, steps = 6, 40
	ctx := t.Context()
	far := hypercore.NewFlusher(storage.Memory(), nil)
	p := pair(1)
	writer, err := hypercore.Open(far, hypercore.Options{Key: key(1), KeyPair: &p})
	if err != nil {
		t.Fatal(err)
	}
	m := storagetest.NewMachine()
	var durable uint64
	for life := range lives {
		st := m.Boot()
		f := hypercore.NewFlusher(st, nil)
		c, err := hypercore.Open(f, hypercore.Options{Key: key(1)})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Info().Length; got < durable {
			t.Fatalf("length %d after a crash, %d was durable", got, durable)
		}
		wantHeld(t, c, writer)
		last := life == lives-1
		if !last && r.IntN(3) > 0 {
			m.KillAfter(1 + r.IntN(200))
		}
		for range steps {
			if _, err := writer.Append(ctx, randomBlocks(r)...); err != nil {
				t.Fatal(err)
			}
			if r.IntN(3) == 0 {
				if err := writer.Flush(ctx); err != nil {
					t.Fatal(err)
				}
				if !apply(t, upgrade(writer, c)) {
					break
				}
			}
			if n := c.Head().Length; n > 0 && !apply(t, fetch(writer, c, uint64(r.Int64N(int64(n))))) {
				break
			}
			if r.IntN(10) == 0 && c.Flush(ctx) == nil {
				durable = c.Info().Length
			}
		}
		if last {
			fetchAll(t, writer, c)
		}
		durable = max(durable, c.Info().Durable)
		crash(m, r)
		f.Close()
		st.Close()
	}
}

// wantHeld compares the blocks that c holds. Where nodes were lost c may find
// only now that it cannot place a block, and gives it up: false.
func wantHeld(t *testing.T, c, writer *hypercore.Core) (all bool) {
	t.Helper()
	all = true
	for i := range c.Info().Length {
		if !c.Has(i) {
			continue
		}
		got, err := c.Block(i)
		if errors.Is(err, hypercore.ErrNotHeld) && !c.Has(i) {
			all = false
			continue
		}
		want, _ := writer.Block(i)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("block %d is held: got %d bytes, %v, want %d", i, len(got), err, len(want))
		}
	}
	return all
}

// fetchAll fetches every block; a replica may have to find out first that nodes
// of its own are damaged.
func fetchAll(t *testing.T, writer, c *hypercore.Core) {
	t.Helper()
	if err := writer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		err := upgrade(writer, c)
		for i := range writer.Head().Length {
			for tries := 0; err == nil && !c.Has(i); tries++ {
				err = fetch(writer, c, i)
				if errors.Is(err, hypercore.ErrStale) && tries < 50 {
					err = nil
				}
			}
		}
		if err != nil {
			t.Fatalf("fetch the rest: %v", err)
		}
		if wantHeld(t, c, writer) {
			if got, want := c.Info().Contiguous, writer.Head().Length; got != want {
				t.Fatalf("%d blocks are held, want %d", got, want)
			}
			return
		}
	}
	t.Fatal("the replica goes on finding damage")
}

// apply is false once the process is dead; a proof is never bad here.
func apply(t *testing.T, err error) bool {
	t.Helper()
	if errors.Is(err, hypercore.ErrBadProof) {
		t.Fatal(err)
	}
	return err == nil || errors.Is(err, hypercore.ErrStale)
}

func upgrade(from, to *hypercore.Core) error {
	head, have := from.Head(), to.Head()
	if head.Length <= have.Length {
		return nil
	}
	p, err := from.Prove(merkle.Request{Fork: head.Fork, Manifest: to.Manifest() == nil,
		Upgrade: &merkle.UpgradeRequest{Start: have.Length, Length: head.Length - have.Length}})
	if err != nil {
		return err
	}
	return to.Apply(p)
}

func fetch(from, to *hypercore.Core, i uint64) error {
	nodes, err := to.Missing(2 * i)
	if err != nil {
		return err
	}
	p, err := from.Prove(merkle.Request{Fork: to.Head().Fork, Block: &merkle.BlockRequest{Index: i, Nodes: nodes}})
	if err != nil {
		return err
	}
	return to.Apply(p)
}
