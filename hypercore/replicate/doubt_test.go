package replicate

import (
	"errors"
	"fmt"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// doubted has a proof of a's fail, and gives the probe.
func (r *rig) doubted(a *peer) {
	r.t.Helper()
	q, _ := r.sent(a)
	w := r.receive(a, wire.Data{ID: q[0].id, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: q[0].index}}})
	bad := fmt.Errorf("%w: %w", hypercore.ErrBadProof, &merkle.MismatchError{})
	if err := r.m.applied(w.request, bad, r.now); err != nil {
		r.t.Fatal(err)
	}
	r.sent(a)
}

// An answer about another fork is no answer to a probe.
func TestProbeAnsweredWithAnotherFork(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	r.doubted(a)
	head := wire.Data{Proof: merkle.Proof{Fork: 7, Upgrade: &merkle.UpgradeProof{Length: 5}}}
	if _, err := r.m.receive(a, 1, head, r.now); !errors.Is(err, ErrMisbehaved) {
		t.Errorf("the peer goes on: %v", err)
	}
}

// Where our own log changed meanwhile there is nothing to blame a peer for, and
// it is asked again at once.
func TestDoubtAboutALogThatWasLeft(t *testing.T) {
	for name, leave := range map[string]func(*rig, *peer){
		"our nodes do not verify": func(r *rig, a *peer) {
			w := r.receive(a, wire.Data{Proof: merkle.Proof{Upgrade: &merkle.UpgradeProof{Length: rigLength}}})
			if err := r.m.checked(w.probed, hypercore.ErrStale, r.now); err != nil {
				t.Fatal(err)
			}
		},
		"our disk fails": func(r *rig, a *peer) {
			w := r.receive(a, wire.Data{Proof: merkle.Proof{Upgrade: &merkle.UpgradeProof{Length: rigLength}}})
			if err := r.m.checked(w.probed, errors.New("input/output error"), r.now); err != nil {
				t.Fatal(err)
			}
		},
		"truncated": func(r *rig, a *peer) {
			r.log.head.Fork++
			r.m.moved(r.c, hypercore.Event{Kind: hypercore.Truncated, From: rigLength, To: rigLength}, r.now)
			r.receive(a, wire.Sync{Fork: 1, Length: rigLength, Uploading: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true)
			a := r.peer("a")
			r.doubted(a)
			for _, q := range a.channels[r.c.id].underWay() {
				if !q.over {
					r.m.cancel(q)
				}
			}
			leave(r, a)
			if q, _ := r.sent(a); len(q) == 0 {
				t.Error("nothing is asked of it")
			}
			r.now = r.now.Add(2 * stallAfter)
			r.m.settleDoubts(r.now)
			if len(r.m.drops) != 0 {
				t.Errorf("drops %v", r.m.drops)
			}
		})
	}
}

// A probe that we end ourselves is nobody's fault.
func TestDetachWhileInDoubt(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	r.doubted(a)
	r.m.detach(r.c, &r.a, nil, r.now)
	r.m.settleDoubts(r.now)
	if len(r.m.drops) != 0 {
		t.Errorf("drops %v", r.m.drops)
	}
}

// Whoever waits for a range learns that the core will not be fetched any more.
func TestRangeOfACoreThatEnds(t *testing.T) {
	for kind, want := range map[hypercore.EventKind]error{
		hypercore.Conflicted: hypercore.ErrConflict, hypercore.Failed: hypercore.ErrFailed,
	} {
		r := newRig(t, false)
		r.peer("a")
		s := r.m.addSpan(r.c, 5, 9, r.now)
		r.m.moved(r.c, hypercore.Event{Kind: kind}, r.now)
		select {
		case <-s.done:
			if s.err != want {
				t.Errorf("%v, want %v", s.err, want)
			}
		default:
			t.Errorf("event %v: it goes on", kind)
		}
	}
}

// What was compared on a fork says nothing about the next one.
func TestCompareAfterTruncation(t *testing.T) {
	r := newRig(t, false)
	a := r.peer("a")
	ch := a.channels[r.c.id]
	ch.agree(rigLength)
	r.now = r.now.Add(2 * compareEvery)
	ch.probe = nil
	r.sent(a)
	r.log.head.Fork++
	r.m.moved(r.c, hypercore.Event{Kind: hypercore.Truncated, From: rigLength, To: rigLength}, r.now)
	r.receive(a, wire.Sync{Fork: 1, Length: 5, Uploading: true})
	_, rest := r.sent(a)
	for _, m := range rest {
		if q, ok := m.(wire.Request); ok && q.ID == 0 && q.Fork == 1 {
			return
		}
	}
	t.Errorf("sent %v, want a request for its head", rest)
}
