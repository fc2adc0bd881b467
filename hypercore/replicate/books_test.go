package replicate

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// A queue of requests that is never empty does not grow with what went through.
func TestServeQueueIsBounded(t *testing.T) {
	r := newRig(t, false)
	p := r.peer("a")
	for i := range uint64(100_000) {
		r.receive(p, wire.Request{ID: i + 1, Request: merkle.Request{Block: &merkle.BlockRequest{}}})
		if i > 0 && r.m.nextServed(p).id != i {
			t.Fatal("out of order")
		}
	}
	if n := cap(p.serving[1].list); n > 1024 {
		t.Errorf("room for %d requests where one waits", n)
	}
}

// Reads that end without a peer leave nothing behind.
func TestWaitingIsBounded(t *testing.T) {
	r := newRig(t, false)
	kept := r.m.fetch(r.c, want{forBlock, 1}, r.now)
	for i := range uint64(10_000) {
		r.m.leave(r.c, r.m.fetch(r.c, want{forBlock, 2 + i%1000}, r.now), r.now)
	}
	if n := len(r.c.waiting); n > 128 {
		t.Errorf("%d entries for one read", n)
	}
	if q, _ := r.sent(r.peer("a")); len(q) != 1 || q[0].fetch != kept {
		t.Errorf("%d requests, want the read that is left", len(q))
	}
}

// A core that is detached before the peer answered our open: its open meets our
// close and gets no answer, and the core can be opened again.
func TestOpenCrossesClose(t *testing.T) {
	r := newRig(t, false)
	s := New(Options{})
	s.machine = r.m
	p := r.m.addPeer("a", true, [64]byte{}, r.now)
	r.m.detach(r.c, &r.a, nil, r.now)
	r.sent(p)
	h := wire.Handshake{Capability: hypercore.Capability(r.log.key, p.hash[:], false)}
	id := r.log.key.Discovery()
	c := &conn{swarm: s, peer: p, kicked: make(chan struct{}, 1)}
	if err := c.opened(wire.Open{Channel: 1, Protocol: wire.Protocol, ID: id[:], Handshake: h.Append(nil)}); err != nil {
		t.Fatal(err)
	}
	if _, rest := r.sent(p); len(rest) != 0 {
		t.Errorf("sent %v, want nothing", rest)
	}
	again := r.m.addCore(id, r.log.key, r.log)
	r.m.attach(again, &r.a, time.Now())
	_, rest := r.sent(p)
	if len(rest) != 1 || rest[0].Type() != wire.TypeOpen {
		t.Errorf("sent %v, want an open", rest)
	}
}

// Blocks are announced also where the longer head was seen before its event.
func TestDurableIsAnnounced(t *testing.T) {
	r := newRig(t, false)
	r.log.own = true
	p := r.peer("a")
	r.sent(p)
	r.log.head.Length, r.log.head.Contiguous = rigLength+1, rigLength+1
	r.m.reload(r.c, r.now)
	r.sent(p)
	r.m.moved(r.c, hypercore.Event{Kind: hypercore.Durable, From: rigLength, To: rigLength + 1}, r.now)
	_, rest := r.sent(p)
	found := false
	for _, v := range rest {
		x, ok := v.(wire.Range)
		found = found || ok && x.Start+x.Length == rigLength+1
	}
	if !found {
		t.Errorf("sent %v, want a range", rest)
	}
}

// A proof that was to end at a node which was erased since is not its peer's
// fault; one that never had a node to end at is.
func TestErasedNodeIsNoFault(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	missing := fmt.Errorf("%w: %w", merkle.ErrBadProof, &merkle.MissingNodeError{Index: 9})
	for _, erased := range []bool{true, false} {
		q, _ := r.sent(a)
		if len(q) == 0 {
			t.Fatal("nothing is asked")
		}
		w := r.receive(a, wire.Data{ID: q[0].id, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: q[0].index}}})
		if erased {
			r.log.erased++
		}
		if err := r.m.applied(w.request, missing, r.now); errors.Is(err, ErrMisbehaved) == erased {
			t.Errorf("erased %v: %v", erased, err)
		}
	}
}
