package hypercore

import (
	"errors"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// TestInheritedNodes has a replica find, at length 0, any of the nodes of a log
// of five blocks, as a power cut may leave them. Whatever it fetches then it can
// prove to others, be it told to fetch too little.
func TestInheritedNodes(t *testing.T) {
	const length = 5
	source := own(t, newFlusher(t), 1)
	fill(t, source, length)
	mustFlush(t, source)
	var nodes []merkle.Node
	for index := range uint64(2*length - 1) {
		if n, ok, err := source.files.Node(index); err != nil {
			t.Fatal(err)
		} else if ok {
			nodes = append(nodes, n)
		}
	}
	for subset := range 1 << len(nodes) {
		var left []merkle.Node
		for i, n := range nodes {
			if subset>>i&1 == 1 {
				left = append(left, n)
			}
		}
		for first := range uint64(length) {
			for _, lazy := range []bool{false, true} {
				st := storage.Memory()
				if err := st.Files(storage.ID(source.id)).WriteNodes(left); err != nil {
					t.Fatal(err)
				}
				f := NewFlusher(st, nil)
				r, err := Open(f, Options{Key: testKey(1)})
				if err != nil {
					t.Fatal(err)
				}
				transfer(t, source, r)
				fetchInherited(t, source, r, first, lazy)
				found, err := r.Verify(t.Context(), VerifyOptions{})
				if err != nil || found.Damaged > 0 {
					t.Fatalf("nodes %b, block %d: %+v, %v", subset, first, found, err)
				}
				other := replica(t, newFlusher(t), 1)
				transfer(t, source, other)
				for i := range uint64(length) {
					if r.Has(i) {
						if err := fetchBlock(r, other, i); err != nil {
							t.Fatalf("nodes %b, block %d: %v", subset, i, err)
						}
					}
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// fetchInherited fetches the block first and the one behind it together. A lazy
// peer gives no nodes; what it gives is not taken where that is not enough.
func fetchInherited(t *testing.T, from, to *Core, first uint64, lazy bool) {
	t.Helper()
	var proofs []*merkle.Proof
	for _, i := range []uint64{first, (first + 1) % 5} {
		nodes, err := to.Missing(2 * i)
		if err != nil {
			t.Fatal(err)
		}
		if lazy {
			nodes = 0
		}
		p, err := from.Prove(merkle.Request{Block: &merkle.BlockRequest{Index: i, Nodes: nodes}})
		if err != nil {
			t.Fatal(err)
		}
		proofs = append(proofs, p)
	}
	for i, err := range to.ApplyAll(proofs) {
		if lazy && (errors.Is(err, ErrStale) || errors.Is(err, ErrBadProof)) {
			continue
		}
		if err != nil {
			t.Fatalf("block %d: %v", proofs[i].Block.Index, err)
		}
	}
}
