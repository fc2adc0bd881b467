package replicate

import (
	"fmt"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
)

// TestCounts: both ends of a copy count the same blocks, and keep the bytes of
// a stream that has ended.
func TestCounts(t *testing.T) {
	const blocks = 50
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", sized(blocks, 1000)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
	l := connect(t, w, r)
	until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == blocks })
	l.cut()
	sent, got := w.swarm.Counts(), r.swarm.Counts()
	if sent.ServedBlocks != blocks || sent.ServedBytes != blocks*1000 || sent.FetchedBlocks != 0 {
		t.Errorf("the writer: %+v", sent)
	}
	if got.FetchedBlocks != blocks || got.FetchedBytes != blocks*1000 || got.ServedBlocks != 0 || got.BadProofs != 0 {
		t.Errorf("the reader: %+v", got)
	}
	if sent.SentBytes < blocks*1000 || got.ReceivedBytes < blocks*1000 {
		t.Errorf("bytes on the stream that was: %+v, %+v", sent, got)
	}
}

func TestCountOutcomes(t *testing.T) {
	block := work{proof: &merkle.Proof{Block: &merkle.BlockProof{Value: make([]byte, 7)}}}
	node := work{proof: &merkle.Proof{Hash: &merkle.HashProof{}}}
	s := New(Options{})
	s.counters.took([]work{block, node, block, block, node}, []error{nil, nil, hypercore.ErrStale,
		fmt.Errorf("%w: no", hypercore.ErrBadProof), fmt.Errorf("%w: no", hypercore.ErrBadProof)})
	want := Counts{FetchedBlocks: 1, FetchedBytes: 7, BadProofs: 2}
	if got := s.Counts(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
