package replicate

import (
	"errors"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// chatter lets time pass while peers go on sending, and a goes on answering
// reads of its own.
func (r *rig) chatter(ticks int, answering *peer) {
	for range ticks {
		for _, p := range r.m.peers {
			r.m.heardFrom(p, p.received+progress, r.now)
		}
		answering.answered = r.now
		r.pass(tickEvery)
	}
}

// A peer that answers everything but one read holds it up only so long as a
// read may take, and then others are asked first.
func TestReadMovesFromPeerThatSkipsIt(t *testing.T) {
	r := newRig(t, false)
	a := r.peer("a")
	f := r.m.fetch(r.c, want{forBlock, 5}, r.now)
	first, _ := r.sent(a)
	b := r.peer("b")
	r.chatter(int(moveAfter/tickEvery)+1, a)
	moved, _ := r.sent(b)
	if len(first) != 1 || len(moved) != 1 || moved[0].fetch != f {
		t.Fatalf("%d requests, %d moved; want one each", len(first), len(moved))
	}
	r.chatter(int(moveAfter/tickEvery)+1, b)
	if back, _ := r.sent(a); len(back) != 0 {
		t.Error("moved back to the peer that let it lie")
	}
	r.answer(b, moved[0])
	b.inflight++ // busier than a
	r.m.fetch(r.c, want{forBlock, 6}, r.now)
	if q, _ := r.sent(b); len(q) != 1 {
		t.Error("the next read went to the peer that was late")
	}
	b.inflight--
}

// A peer that offers a longer head and does not hand it over does not keep
// others from doing so.
func TestUpgradeMovesFromPeerThatSkipsIt(t *testing.T) {
	r := newRig(t, false)
	a, b := r.peer("a"), r.peer("b")
	r.receive(a, wire.Sync{Length: 1 << 40, RemoteLength: rigLength, CanUpgrade: true, Uploading: true})
	r.receive(b, wire.Sync{Length: rigLength + 1, RemoteLength: rigLength, CanUpgrade: true, Uploading: true})
	if q, _ := r.sent(a); len(q) != 1 {
		t.Fatalf("%d requests", len(q))
	}
	r.chatter(int(moveAfter/tickEvery)+1, a)
	q, _ := r.sent(b)
	if len(q) != 1 || q[0].kind != forUpgrade {
		t.Fatalf("%d requests moved, want the upgrade", len(q))
	}
	r.answerUpgrade(b, q[0])
	r.receive(a, wire.Sync{Length: 1 << 40, RemoteLength: rigLength + 1, CanUpgrade: true, Uploading: true})
	r.sent(a)
	r.chatter(int(moveAfter/tickEvery)+1, a)
	r.receive(b, wire.Sync{Length: rigLength + 2, RemoteLength: rigLength + 1, CanUpgrade: true, Uploading: true})
	r.chatter(2, a)
	if q, _ = r.sent(b); len(q) != 1 {
		t.Errorf("%d requests, want the second upgrade", len(q))
	}
}

// answerUpgrade gives a longer head to the machine as if it had verified.
func (r *rig) answerUpgrade(p *peer, q *request) {
	r.t.Helper()
	u := &merkle.UpgradeProof{Start: q.upgrade.Start, Length: q.upgrade.Length}
	if w := r.receive(p, wire.Data{ID: q.id, Proof: merkle.Proof{Upgrade: u}}); w.request != q {
		r.t.Fatal("the upgrade is not taken")
	}
	r.log.head.Length = u.Start + u.Length
	if err := r.m.applied(q, nil, r.now); err != nil {
		r.t.Fatal(err)
	}
}

// A peer that offers a longer head but takes no note of ours, so that it cannot
// be asked for it, holds up nobody who waits for the newest length.
func TestRefreshEndsDespiteEmptyOffer(t *testing.T) {
	r := newRig(t, false)
	a := r.peer("a")
	r.receive(a, wire.Sync{Length: 1 << 40, RemoteLength: 7, CanUpgrade: true, Uploading: true})
	r.pass(2 * stallAfter)
	f := r.m.addRefresh(r.c, r.now)
	ended := func() bool {
		select {
		case <-f.done:
			return true
		default:
			return false
		}
	}
	if ended() {
		t.Fatal("did not wait for the longer head at all")
	}
	r.pass(2 * stallAfter)
	if !ended() || f.err != nil {
		t.Fatal("waits on")
	}
}

// What a peer's tree was too short to prove is asked of it again once the
// missing part of the path came from elsewhere.
func TestShortPeerIsAskedAgain(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	f := r.m.fetch(r.c, want{forBlock, 5}, r.now)
	for {
		q, _ := r.sent(a)
		if len(q) == 0 {
			break
		}
		for _, x := range q {
			r.m.beyond(x, r.now)
		}
	}
	r.pass(stallAfter)
	if q, _ := r.sent(a); len(q) != 0 {
		t.Fatalf("%d requests although nothing changed", len(q))
	}
	b := r.peer("b")
	q, _ := r.sent(b)
	var other *request
	for _, x := range q {
		if x.index != 5 {
			other = x
		}
	}
	if other == nil {
		t.Fatal("no download from the second peer")
	}
	r.answer(b, other)
	r.m.removePeer(b, r.now)
	r.pass(2 * tickEvery)
	q, _ = r.sent(a)
	again := false
	for _, x := range q {
		again = again || x.fetch == f
	}
	if !again || len(q) < 2 {
		t.Errorf("%d requests, the read among them: %v", len(q), again)
	}
}

// A disk that was full is tried again, and a read says what was wrong with it.
func TestDiskThatWasFull(t *testing.T) {
	full := errors.New("no space")
	r := newRig(t, true)
	a := r.peer("a")
	q, _ := r.sent(a)
	r.receive(a, wire.Data{ID: q[0].id, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: q[0].index}}})
	if err := r.m.applied(q[0], full, r.now); err != nil {
		t.Fatal(err)
	}
	if f := r.m.fetch(r.c, want{forBlock, rigLength - 1}, r.now); !f.over || !errors.Is(f.err, full) {
		t.Errorf("a read: over %v, %v; want %v", f.over, f.err, full)
	}
	for _, x := range q[1:] {
		r.m.cancel(x)
	}
	r.chatter(2, a)
	if q, _ := r.sent(a); len(q) != 0 {
		t.Fatalf("%d requests at once", len(q))
	}
	r.chatter(int(diskPause/tickEvery)+1, a)
	if q, _ := r.sent(a); len(q) == 0 || q[0].index != 0 {
		t.Errorf("%d requests after a pause", len(q))
	}
	r.m.removePeer(a, r.now)
	r.c.broken = nil
	read, refresh := r.m.fetch(r.c, want{forBlock, rigLength - 2}, r.now), r.m.addRefresh(r.c, r.now)
	if read.over {
		t.Fatal("did not wait for a peer")
	}
	r.m.moved(r.c, hypercore.Event{Kind: hypercore.Failed}, r.now)
	if <-refresh.done; !read.over || !errors.Is(read.err, hypercore.ErrFailed) || !errors.Is(refresh.err, hypercore.ErrFailed) {
		t.Errorf("waits when the core failed: over %v, %v; %v", read.over, read.err, refresh.err)
	}
	a = r.peer("a")
	r.chatter(int(diskPause/tickEvery)+1, a)
	if f := r.m.fetch(r.c, want{forBlock, rigLength - 1}, r.now); !errors.Is(f.err, hypercore.ErrFailed) {
		t.Errorf("a read of a failed core: %v", f.err)
	}
}

// A peer that offers the highest fork of all and does not hand it over does not
// keep others from handing over theirs.
func TestForkMovesFromPeerThatSkipsIt(t *testing.T) {
	r := newRig(t, false)
	a, b := r.peer("a"), r.peer("b")
	r.receive(a, wire.Sync{Fork: 1 << 40, Length: 5, Uploading: true})
	r.receive(b, wire.Sync{Fork: 1, Length: 5, Uploading: true})
	if q, _ := r.sent(a); len(q) != 1 || q[0].kind != forFork {
		t.Fatalf("%d requests", len(q))
	}
	r.chatter(int(moveAfter/tickEvery)+1, a)
	if q, _ := r.sent(b); len(q) != 1 || q[0].kind != forFork || q[0].over {
		t.Errorf("%d requests moved, want that of the fork", len(q))
	}
}

// A peer that never failed, because it seems to be about to answer for ever, does
// not keep what others have that did fail once.
func TestLateForLongMovesToOthersThatWereLate(t *testing.T) {
	for _, kind := range []kind{forBlock, forNode} {
		r := newRig(t, false)
		a := r.peer("a")
		r.m.fetch(r.c, want{kind, 6}, r.now)
		first, _ := r.sent(a)
		b := r.peer("b")
		b.late = 1
		moved := 0
		for range 3 {
			r.chatter(int(giveUpAfter/tickEvery)+2, a)
			q, _ := r.sent(b)
			moved += len(q)
			r.sent(a)
		}
		if len(first) != 1 || moved == 0 {
			t.Errorf("kind %d: %d requests, %d moved; want one each", kind, len(first), moved)
		}
	}
}

// A peer that is not heard to take anything is dropped when too much waits for
// it, whatever it says itself.
func TestPeerThatDoesNotRead(t *testing.T) {
	r := newRig(t, false)
	a := r.peer("a")
	for i := uint64(0); a.queued <= maxControl; i++ {
		r.m.cleared(r.c, i, i+1)
	}
	r.pass(tickEvery)
	if len(r.m.drops) != 1 || r.m.drops[0].peer != a || !errors.Is(r.m.drops[0].err, ErrMisbehaved) {
		t.Errorf("drops %v", r.m.drops)
	}
}
