package hypercore

import (
	"bytes"
	"errors"
	"testing"

	"multicore/hypercore/merkle"
)

// TestDamagedInnerNode: a block is given up with the nodes that were erased
// above it, so that fetching what is missing makes the whole tree good again.
func TestDamagedInnerNode(t *testing.T) {
	const length = 16
	source := own(t, newFlusher(t), 1)
	fill(t, source, length)
	mustFlush(t, source)
	for n := range uint64(8 * 15) {
		index, step := n/8*2+1, n%8+1 // each inner node, and replicas that hold few blocks or all
		r := replica(t, newFlusher(t), 1)
		transfer(t, source, r)
		for i := step - 1; i < length; i += step {
			transfer(t, source, r, i)
		}
		damaged, ok, err := r.files.Node(index)
		if err != nil {
			t.Fatal(err)
		}
		if !ok || index == length-1 {
			continue // the root is in memory
		}
		damaged.Hash[0] ^= 1
		if err := r.files.WriteNodes([]merkle.Node{damaged}); err != nil {
			t.Fatal(err)
		}
		p, err := source.Prove(merkle.Request{Hash: &merkle.HashRequest{Index: index}})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Apply(p); !errors.Is(err, ErrStale) {
			t.Fatalf("node %d: %v", index, err)
		}
		lost := 0
		for i := step - 1; i < length; i += step {
			if r.Has(i) {
				continue
			}
			lost++
			if err := fetchBlock(source, r, i); err != nil {
				t.Fatalf("node %d: block %d: %v", index, i, err)
			}
		}
		if lost < 1 || lost > 2 {
			t.Errorf("node %d, one block of %d held: %d are to be fetched again", index, step, lost)
		}
		for i := step - 1; i < length; i += step {
			if _, err := r.Prove(merkle.Request{Block: &merkle.BlockRequest{Index: i, Nodes: 4}}); err != nil {
				t.Errorf("node %d, one block of %d held: block %d cannot be given: %v", index, step, i, err)
			}
			if got, err := r.Block(i); err != nil || !bytes.Equal(got, blockOf(i)) {
				t.Errorf("node %d: block %d: %q, %v", index, i, got, err)
			}
		}
	}
}
