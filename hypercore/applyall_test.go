package hypercore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// batchCase applies the same proofs one by one to one replica and at once to
// another, and wants the same errors and the same state. fresh makes a replica.
type batchCase struct {
	source *Core
	fresh  func() *Core
}

// proofs are those that a reader asks for who sent all requests before the
// first answer came, and leans on what is under way where lean says so.
func (b *batchCase) proofs(t *testing.T, blocks []uint64, lean bool) []*merkle.Proof {
	t.Helper()
	asked := b.fresh() // what a reader has once all answers before are stored
	var list []*merkle.Proof
	for _, i := range blocks {
		nodes, err := asked.Missing(2 * i)
		if err != nil {
			t.Fatal(err)
		}
		p, err := b.source.Prove(merkle.Request{Block: &merkle.BlockRequest{Index: i, Nodes: nodes}})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
		if lean {
			if err := asked.Apply(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	return list
}

func clones(list []*merkle.Proof) []*merkle.Proof {
	var out []*merkle.Proof
	for _, p := range list {
		q := *p
		if p.Block != nil {
			block := *p.Block
			block.Value, block.Nodes = bytes.Clone(block.Value), slices.Clone(block.Nodes)
			q.Block = &block
		}
		out = append(out, &q)
	}
	return out
}

func (b *batchCase) compare(t *testing.T, what string, list []*merkle.Proof) {
	t.Helper()
	single, batch := b.fresh(), b.fresh()
	var want []error
	for _, p := range clones(list) {
		want = append(want, single.Apply(p))
	}
	got := batch.ApplyAll(clones(list))
	for i := range list {
		for _, kind := range []error{ErrBadProof, ErrStale, ErrFork, merkle.ErrMissingNode} {
			if errors.Is(got[i], kind) != errors.Is(want[i], kind) || (got[i] == nil) != (want[i] == nil) {
				t.Fatalf("%s: proof %d: got %v, want %v", what, i, got[i], want[i])
			}
		}
	}
	if x, y := stateOf(t, batch), stateOf(t, single); x != y {
		t.Fatalf("%s: at once:\n%s\none by one:\n%s", what, x, y)
	}
}

// stateOf is all that a core has stored, and what it says of itself.
func stateOf(t *testing.T, c *Core) string {
	t.Helper()
	info := c.Info()
	info.Grown, info.Durable = c.Info().Grown.Truncate(1<<62), 0
	held := make([]uint32, 16)
	c.Held(0, held)
	size, nodes, err := c.files.Sizes()
	if err != nil {
		t.Fatal(err)
	}
	blocks := make([]byte, size)
	if _, err := c.files.ReadBlocks(blocks, 0); err != nil && size > 0 {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%+v %x %x\n", info, held, merkle.LeafHash(blocks))
	for i := range nodes {
		if n, ok, err := c.files.Node(i); ok || err != nil {
			out += fmt.Sprintf("%v %v\n", n, err)
		}
	}
	return out
}

func newBatchCase(t *testing.T, length uint64, block func(uint64) []byte, held ...uint64) *batchCase {
	t.Helper()
	st := storage.Memory()
	source := own(t, NewFlusher(st, nil), 1)
	for i := range length {
		if _, err := source.Append(t.Context(), block(i)); err != nil {
			t.Fatal(err)
		}
	}
	mustFlush(t, source)
	return &batchCase{source, func() *Core {
		r := replica(t, NewFlusher(storage.Memory(), nil), 1)
		transfer(t, source, r, held...)
		return r
	}}
}

// TestApplyAll: every series of up to three blocks of every small log, each
// proof of it damaged in every way in turn.
func TestApplyAll(t *testing.T) {
	t.Parallel()
	damages := map[string]func(p *merkle.Proof){
		"value": func(p *merkle.Proof) { p.Block.Value = append(p.Block.Value, 1) },
		"fork":  func(p *merkle.Proof) { p.Fork++ },
		"node": func(p *merkle.Proof) {
			if len(p.Block.Nodes) > 0 {
				p.Block.Nodes[0].Hash[1] ^= 1
			}
		},
		"manifest alone": func(p *merkle.Proof) { *p = merkle.Proof{Manifest: []byte{1}} },
		"hash":           func(p *merkle.Proof) { p.Hash, p.Block = &merkle.HashProof{Index: 0}, nil },
	}
	for length := uint64(1); length <= 5; length++ {
		for _, held := range [][]uint64{nil, {0}} {
			if held != nil && length > 4 {
				continue
			}
			b := newBatchCase(t, length, blockOf, held...)
			for series := range length * length * length {
				blocks := []uint64{series % length, series / length % length, series / length / length}
				for _, lean := range []bool{true, false} {
					list := b.proofs(t, blocks, lean)
					what := fmt.Sprintf("length %d, held %v, blocks %v, lean %v", length, held, blocks, lean)
					b.compare(t, what, list)
					if series%7 != 0 && length > 2 {
						continue // each damage in some of the many is enough
					}
					for name, damage := range damages {
						for i := range list {
							bad := clones(list)
							damage(bad[i])
							b.compare(t, fmt.Sprintf("%s, %s of proof %d", what, name, i), bad)
						}
					}
				}
			}
		}
	}
}

// TestApplyAllLarge: long series in and out of order, of blocks small and large
// and empty.
func TestApplyAllLarge(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	b := newBatchCase(t, 200, func(i uint64) []byte {
		return bytes.Repeat([]byte{byte(i)}, int([]uint64{0, 1, 100, 5000, 17 << 10}[i%5]+i))
	}, 3, 77, 78)
	for round := range 6 {
		var blocks []uint64
		for i := range uint64(200) {
			if r.IntN(4) > round%4 {
				blocks = append(blocks, i)
			}
		}
		if round%3 == 2 {
			r.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
		}
		b.compare(t, fmt.Sprint("round ", round), b.proofs(t, blocks, round%2 == 0))
	}
}

// TestApplyAllEvents: the blocks of a batch are told as stretches, after they
// can be read.
func TestApplyAllEvents(t *testing.T) {
	b := newBatchCase(t, 20, blockOf)
	c := b.fresh()
	var told []Event
	c.Subscribe(func(e Event) {
		for i := e.From; i < e.To; i++ {
			if got, err := c.Block(i); err != nil || !bytes.Equal(got, blockOf(i)) {
				t.Errorf("block %d: got %q, %v", i, got, err)
			}
		}
		told = append(told, e)
	})
	for i, err := range c.ApplyAll(b.proofs(t, []uint64{4, 5, 6, 9, 0, 1, 5, 2}, false)) {
		if err != nil {
			t.Errorf("proof %d: %v", i, err)
		}
	}
	want := []Event{{Kind: Stored, From: 4, To: 7}, {Kind: Stored, From: 9, To: 10}, {Kind: Stored, From: 0, To: 3}}
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// TestApplyAllFull: what the disk does not take is not held, and the errors are
// those of the disk.
func TestApplyAllFull(t *testing.T) {
	b := newBatchCase(t, 8, func(i uint64) []byte { return blockOf(i + 1) })
	list := b.proofs(t, []uint64{0, 1, 2, 3}, false)
	for _, part := range []string{"blocks", "tree"} {
		full := errors.New("full")
		r, deny := denying(t, part, full)
		transfer(t, b.source, r)
		*deny = true
		for i, err := range r.ApplyAll(clones(list)) {
			if !errors.Is(err, full) {
				t.Errorf("%s, proof %d: got %v, want the error of the disk", part, i, err)
			}
		}
		if r.Has(0) || r.Has(3) || r.Info().Contiguous > 0 {
			t.Errorf("%s: %+v", part, r.Info())
		}
		*deny = false
		for i, err := range r.ApplyAll(clones(list)) {
			if err != nil {
				t.Errorf("%s, proof %d again: %v", part, i, err)
			}
		}
		if r.Info().Contiguous != 4 {
			t.Errorf("%s: %+v", part, r.Info())
		}
	}
}

// denying is a replica whose writes to one of its files can be made to fail.
func denying(t *testing.T, part string, with error) (*Core, *bool) {
	t.Helper()
	deny := new(bool)
	fsys := &storagetest.Faults{FS: storage.MemoryFS()}
	fsys.Hook(func(op storagetest.Op, name string) error {
		if *deny && op == storagetest.Write && path.Base(name) == part {
			return with
		}
		return nil
	})
	return replica(t, NewFlusher(storage.MemoryOn(fsys), nil), 1), deny
}
