package replicate

import (
	"testing"
	"time"

	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// hedged has a block asked of two peers.
func (r *rig) hedged(block uint64) (f *fetch, peers [2]*peer, asked [2]*request) {
	r.t.Helper()
	peers = [2]*peer{r.peer("a"), r.peer("b")}
	f = r.m.fetch(r.c, want{forBlock, block}, r.now)
	r.pass(tickEvery)
	for i, p := range peers {
		q, _ := r.sent(p)
		if len(q) != 1 {
			r.t.Fatalf("peer %d was asked %d times, want once", i, len(q))
		}
		asked[i] = q[0]
	}
	return f, peers, asked
}

// A reader may go away while the answers of both peers are being checked, of one
// of them, or of none.
func TestLeaveHedged(t *testing.T) {
	for applying := range 4 {
		r := newRig(t, false)
		f, peers, asked := r.hedged(9)
		for i, p := range peers {
			if applying&(1<<i) != 0 {
				r.receive(p, wire.Data{ID: asked[i].id, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: 9}}})
			}
		}
		r.m.leave(r.c, f, r.now)
		for i, q := range asked {
			if checked := applying&(1<<i) != 0; q.over == checked {
				t.Errorf("%02b: request %d: over %v", applying, i, q.over)
			} else if err := r.m.applied(q, nil, r.now); checked && err != nil {
				t.Error(err)
			}
		}
		if len(r.c.inflight) != 0 || peers[0].inflight+peers[1].inflight != 0 || peers[0].hedges+peers[1].hedges != 0 {
			t.Errorf("%02b: books: %d blocks, %d and %d requests", applying, len(r.c.inflight), peers[0].inflight, peers[1].inflight)
		}
	}
}

// A peer that failed without end is no better than one that did not.
func TestWaitAfterFailures(t *testing.T) {
	r := newRig(t, false)
	a := r.peer("a")
	a.delivery.measured(&request{ch: a.channels[r.c.id], left: r.now.Add(-time.Second), cost: 1 << 10}, r.now)
	a.inflightSize = windowBytes
	before := a.wait()
	for range 200 {
		r.now = r.now.Add(time.Minute)
		r.m.failed(a, r.now)
		if w := a.wait(); w < before {
			t.Fatalf("wait is %v after %v", w, before)
		} else {
			before = w
		}
	}
}
