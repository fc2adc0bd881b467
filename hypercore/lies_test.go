package hypercore

import (
	"bytes"
	"testing"

	"multicore/hypercore/merkle"
)

// TestLieAboutSizes: how a peer says that two blocks share their bytes is
// believed until one of them is here. What was read by it until then must not
// lead to the bytes of another block.
func TestLieAboutSizes(t *testing.T) {
	source := own(t, newFlusher(t), 1)
	fill(t, source, 8)
	mustFlush(t, source)
	for i := uint64(0); i < 8; i += 2 {
		r := replica(t, newFlusher(t), 1)
		transfer(t, source, r)
		levels, err := r.Missing(2 * i)
		if err != nil {
			t.Fatal(err)
		}
		p, err := source.Prove(merkle.Request{Hash: &merkle.HashRequest{Index: 2 * i, Nodes: levels}})
		if err != nil {
			t.Fatal(err)
		}
		from, to := &p.Hash.Nodes[0], &p.Hash.Nodes[1]
		if from.Size == 0 {
			from, to = to, from
		}
		from.Size--
		to.Size++
		if err := r.Apply(p); err != nil {
			t.Fatal(err)
		}
		if _, size, err := r.LocalExtent(i); err != nil || size == uint64(len(blockOf(i))) {
			t.Fatalf("extent of block %d: %d bytes, %v: not misled", i, size, err)
		}
		if err := fetchBlock(source, r, i+1); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Block(i + 1); err != nil || !bytes.Equal(got, blockOf(i+1)) {
			t.Errorf("block %d: %q, %v, want %q", i+1, got, err, blockOf(i+1))
		}
	}
}
