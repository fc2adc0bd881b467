package merkle

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// world is a log of which every tree, and a reader at every length, is at hand.
type world struct {
	blocks [][]byte
	trees  []Tree
	nodes  nodeMap
}

func newWorld(n int) *world {
	w := &world{blocks: testBlocks(n)}
	for i := range n + 1 {
		tree, nodes := refTree(w.blocks[:i])
		w.trees = append(w.trees, tree)
		w.nodes = nodes
	}
	return w
}

// reader is a sparse replica: its tree and the nodes it holds.
type reader struct {
	tree  Tree
	nodes nodeMap
}

// reader at a length holds the roots alone.
func (w *world) reader(length int) *reader {
	r := &reader{tree: w.trees[length], nodes: nodeMap{}}
	r.nodes.put(r.tree.Roots)
	return r
}

// prove answers r from the log of that length.
func (w *world) prove(length int, r Request) (*Proof, error) {
	p, err := Prove(w.trees[length], w.nodes, r)
	if err == nil && p.Block != nil {
		p.Block.Value = w.blocks[p.Block.Index]
	}
	return p, err
}

// signed accepts the trees of the log alone, as a signature would.
func (w *world) signed(t Tree) error {
	if t.Fork != 0 || t.Length >= uint64(len(w.trees)) || w.trees[t.Length].Hash() != t.Hash() {
		return errors.New("invalid signature")
	}
	return nil
}

func (w *world) check(r *reader, p *Proof) (*Change, error) {
	return Check(r.tree, r.nodes, p, w.signed)
}

// apply checks p and stores what it allows; whatever is stored must be true.
func (w *world) apply(t *testing.T, r *reader, p *Proof) *Change {
	t.Helper()
	before := fmt.Sprint(r.tree, r.nodes)
	c, err := w.check(r, p)
	if err != nil {
		t.Fatalf("honest proof refused: %v", err)
	}
	if fmt.Sprint(r.tree, r.nodes) != before {
		t.Fatal("Check changed its input")
	}
	seen := map[uint64]bool{}
	for _, n := range c.Nodes {
		if w.nodes[n.Index] != n {
			t.Fatalf("stored node %v, want %v", n, w.nodes[n.Index])
		}
		if seen[n.Index] {
			t.Fatalf("node %d is stored twice", n.Index)
		}
		seen[n.Index] = true
	}
	r.nodes.put(c.Nodes)
	r.tree = c.Tree
	for _, root := range r.tree.Roots {
		if r.nodes[root.Index] != root {
			t.Fatalf("root %v is not stored", root)
		}
	}
	return c
}

// Every upgrade, alone and with every block, from provers of every length.
func TestProveThenCheckUpgrades(t *testing.T) {
	const most = 32
	w := newWorld(most)
	for _, length := range []int{most, most - 1, 24, 17} {
		for from := 0; from < length; from++ {
			for to := from + 1; to <= length; to++ {
				u := &UpgradeRequest{Start: uint64(from), Length: uint64(to - from)}
				for block := -1; block < to; block++ {
					req := Request{Upgrade: u}
					rd := w.reader(from)
					if block >= 0 {
						missing, err := Missing(rd.tree, rd.nodes, uint64(2*block))
						if err != nil {
							t.Fatal(err)
						}
						req.Block = &BlockRequest{Index: uint64(block), Nodes: missing}
					}
					p, err := w.prove(length, req)
					if err != nil {
						t.Fatalf("length %d, %d to %d, block %d: %v", length, from, to, block, err)
					}
					c := w.apply(t, rd, p)
					if !c.Upgraded || rd.tree.Length != uint64(length) || (c.Block != nil) != (block >= 0) {
						t.Fatalf("length %d, %d to %d, block %d: %+v", length, from, to, block, c)
					}
				}
			}
		}
	}
}

// Every node of every tree, asked for by readers that hold the roots alone and
// by readers that hold one more block.
func TestProveThenCheckNodes(t *testing.T) {
	const most = 32
	w := newWorld(most)
	for length := 1; length <= most; length++ {
		for index := uint64(0); inside(index, uint64(length)) || index < uint64(2*length); index++ {
			if !inside(index, uint64(length)) {
				continue
			}
			for held := -1; held < length; held += 5 {
				rd := w.reader(length)
				if held >= 0 {
					w.fetchBlock(t, rd, length, held)
				}
				missing, err := Missing(rd.tree, rd.nodes, index)
				if err != nil {
					t.Fatal(err)
				}
				p, err := w.prove(length, Request{Hash: &HashRequest{Index: index, Nodes: missing}})
				if err != nil {
					t.Fatalf("length %d node %d: %v", length, index, err)
				}
				w.apply(t, rd, p)
				if rd.nodes[index] != w.nodes[index] {
					t.Fatalf("length %d node %d is not stored", length, index)
				}
			}
		}
	}
}

func (w *world) fetchBlock(t *testing.T, rd *reader, length, i int) {
	t.Helper()
	missing, err := Missing(rd.tree, rd.nodes, uint64(2*i))
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.prove(length, Request{Block: &BlockRequest{Index: uint64(i), Nodes: missing}})
	if err != nil {
		t.Fatal(err)
	}
	c := w.apply(t, rd, p)
	if c.Block == nil || !bytes.Equal(c.Block.Value, w.blocks[i]) {
		t.Fatalf("block %d: %+v", i, c.Block)
	}
}

// A reader with nothing but the roots finds each byte by hash requests that a
// seek travels with.
func TestSeek(t *testing.T) {
	const most = 21
	w := newWorld(most)
	for length := 1; length <= most; length++ {
		var offset uint64
		for i := range length {
			size := uint64(len(w.blocks[i]))
			for b := offset; b < offset+size; b++ {
				rd := w.reader(length)
				at, start, rounds := w.seek(t, rd, length, b)
				if at.Index != uint64(2*i) || start != offset {
					t.Fatalf("length %d byte %d: node %d at %d, want block %d at %d", length, b, at.Index, start, i, offset)
				}
				if rounds > 7 {
					t.Fatalf("length %d byte %d took %d rounds", length, b, rounds)
				}
			}
			offset += size
		}
		rd := w.reader(length)
		if _, _, _, err := Find(rd.tree, rd.nodes, offset, 0); !errors.Is(err, ErrInvalidRequest) {
			t.Fatalf("byte %d of %d: %v", offset, offset, err)
		}
	}
}

func (w *world) seek(t *testing.T, rd *reader, length int, b uint64) (Node, uint64, int) {
	t.Helper()
	for rounds := 0; ; rounds++ {
		at, start, found, err := Find(rd.tree, rd.nodes, b, 0)
		if err != nil {
			t.Fatal(err)
		}
		if found {
			return at, start, rounds
		}
		lo, _ := Span(at.Index)
		missing, err := Missing(rd.tree, rd.nodes, lo)
		if err != nil {
			t.Fatal(err)
		}
		if missing == 0 {
			t.Fatalf("byte %d: leaf %d below %d is stored", b, lo, at.Index)
		}
		p, err := w.prove(length, Request{
			Hash: &HashRequest{Index: lo, Nodes: missing},
			Seek: &SeekRequest{Bytes: b},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.apply(t, rd, p)
	}
}

func TestByteOffset(t *testing.T) {
	const most = 25
	w := newWorld(most)
	for length := range most + 1 {
		for index := uint64(0); index <= uint64(2*length); index++ {
			lo, hi := refSpan(index)
			var want uint64
			for _, b := range w.blocks[:lo/2] {
				want += uint64(len(b))
			}
			got, err := ByteOffset(w.trees[length], w.nodes, index)
			if hi >= uint64(2*length) && index != uint64(2*length) {
				if !errors.Is(err, ErrInvalidRequest) {
					t.Fatalf("length %d node %d: %v", length, index, err)
				}
				continue
			}
			if err != nil || got != want {
				t.Fatalf("length %d node %d: %d, %v, want %d", length, index, got, err, want)
			}
		}
	}
	rd := w.reader(8)
	var missing *MissingNodeError
	if _, err := ByteOffset(rd.tree, rd.nodes, 14); !errors.As(err, &missing) || missing.Index != 3 || !errors.Is(err, ErrMissingNode) {
		t.Fatalf("reader with roots alone: %v", err)
	}
	rd.nodes.put([]Node{w.nodes[11], w.nodes[9], w.nodes[13], w.nodes[14]}) // of two pairs the right one alone
	if got, err := ByteOffset(rd.tree, rd.nodes, 14); err != nil || got != sum(w.blocks[:7]) {
		t.Fatalf("from siblings: %d, %v", got, err)
	}
}

func sum(blocks [][]byte) (n uint64) {
	for _, b := range blocks {
		n += uint64(len(b))
	}
	return n
}
