package replicate

import (
	"errors"
	"slices"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// stub is a log without bytes: a length, and which blocks are held.
type stub struct {
	head     hypercore.Head
	key      hypercore.Key
	own      bool
	held     map[uint64]bool
	released int
	erased   uint64
}

func (s *stub) Key() hypercore.Key   { return s.key }
func (s *stub) Writable() bool       { return s.own }
func (s *stub) Info() hypercore.Info { return hypercore.Info{Erased: s.erased} }
func (s *stub) Head() hypercore.Head { return s.head }
func (s *stub) Has(i uint64) bool    { return s.own && i < s.head.Length || s.held[i] }
func (s *stub) Held(start uint64, words []uint32) {
	for w := range words {
		words[w] = 0
		for b := range uint64(32) {
			if s.Has(start + 32*uint64(w) + b) {
				words[w] |= 1 << b
			}
		}
	}
}
func (s *stub) ProveInto(merkle.Request, []byte) (*merkle.Proof, error) {
	return nil, hypercore.ErrNotHeld
}
func (s *stub) Prove(merkle.Request) (*merkle.Proof, error) { return nil, hypercore.ErrNotHeld }
func (s *stub) Missing(uint64) (uint64, error)              { return 0, nil }
func (s *stub) SeekPath(uint64) (merkle.HashRequest, bool, error) {
	return merkle.HashRequest{}, false, nil
}
func (s *stub) ApplyAll(list []*merkle.Proof) []error { return make([]error, len(list)) }
func (s *stub) Release() error                        { s.released++; return nil }
func (s *stub) Reorganise(*merkle.Proof) (*hypercore.Reorganisation, error) {
	return nil, hypercore.ErrBadProof
}
func (s *stub) CheckConflict(*merkle.Proof) error { return nil }
func (s *stub) Conflict() *hypercore.Conflict     { return nil }

// rig is a machine with a core that lacks all blocks, and peers that have them.
type rig struct {
	t   testing.TB
	m   *machine
	now time.Time
	c   *core
	log *stub
	a   attachment
}

const rigLength = 4000

func newRig(t testing.TB, download bool) *rig {
	r := &rig{t: t, m: newMachine(1), now: time.Unix(1_000_000, 0), a: attachment{download: download}}
	r.log = &stub{key: hypercore.Key{1}, held: make(map[uint64]bool)}
	r.log.head.Length = rigLength
	r.c = r.m.addCore(r.log.key.Discovery(), r.log.key, r.log)
	r.m.attach(r.c, &r.a, r.now)
	return r
}

// peer adds a peer that has every block.
func (r *rig) peer(name string) *peer {
	r.t.Helper()
	p := r.m.addPeer(name, true, [64]byte{}, r.now)
	if err := p.admit(1); err != nil {
		r.t.Fatal(err)
	}
	if err := r.m.bind(p, 1, r.c, true, r.now); err != nil {
		r.t.Fatal(err)
	}
	r.receive(p, wire.Range{Length: rigLength})
	r.receive(p, wire.Sync{Length: rigLength, RemoteLength: rigLength, Uploading: true})
	return p
}

func (r *rig) receive(p *peer, v wire.Message) work {
	r.t.Helper()
	w, err := r.m.receive(p, 1, v, r.now)
	if err != nil {
		r.t.Fatal(err)
	}
	return w
}

// sent takes what is to be sent to p.
func (r *rig) sent(p *peer) (requests []*request, rest []wire.Message) {
	for {
		list := r.m.next(p, flushAt)
		if len(list) == 0 {
			return requests, rest
		}
		for _, o := range list {
			if o.request != nil {
				requests = append(requests, o.request)
			} else if o.opens != nil {
				rest = append(rest, p.opening(o))
			} else {
				rest = append(rest, o.message)
			}
		}
	}
}

// answer gives a block to the machine as if it had verified.
func (r *rig) answer(p *peer, q *request) {
	r.t.Helper()
	w := r.receive(p, wire.Data{ID: q.id, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: q.index}}})
	if w.request != q {
		r.t.Fatalf("answer to request %d is not taken", q.id)
	}
	r.log.held[q.index] = true
	if err := r.m.applied(q, nil, r.now); err != nil {
		r.t.Fatal(err)
	}
	r.m.moved(r.c, hypercore.Event{Kind: hypercore.Stored, From: q.index, To: q.index + 1}, r.now)
}

func (r *rig) pass(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(tickEvery)
		r.m.tick(r.now)
	}
}

// A peer that never answers is relieved: its requests move to another.
func TestSilentPeerIsRelieved(t *testing.T) {
	r := newRig(t, false)
	a := r.peer("a")
	var waits []*fetch
	for i := range uint64(10) {
		waits = append(waits, r.m.fetch(r.c, want{forBlock, i}, r.now))
	}
	first, _ := r.sent(a)
	if len(first) != 10 {
		t.Fatalf("%d requests, want 10", len(first))
	}
	b := r.peer("b")
	if moved, _ := r.sent(b); len(moved) != 0 {
		t.Fatalf("%d requests moved at once", len(moved))
	}
	r.pass(tickEvery)
	moved, _ := r.sent(b)
	if len(moved) != 10 {
		t.Fatalf("%d requests moved, want 10", len(moved))
	}
	for _, q := range moved {
		r.answer(b, q)
	}
	_, rest := r.sent(a)
	cancels := 0
	for _, v := range rest {
		if _, ok := v.(wire.Cancel); ok {
			cancels++
		}
	}
	if cancels != 10 {
		t.Errorf("%d cancels, want 10", cancels)
	}
	for i, f := range waits {
		if !f.over || f.err != nil {
			t.Errorf("fetch %d: over %v, %v", i, f.over, f.err)
		}
	}
	// Late answers are no crime, further ones are.
	for _, q := range first {
		r.receive(a, wire.Data{ID: q.id})
	}
	if _, err := r.m.receive(a, 1, wire.Data{ID: first[0].id}, r.now); !errors.Is(err, ErrMisbehaved) {
		t.Errorf("an answer too many: %v", err)
	}
	if a.inflight != 0 || a.inflightSize != 0 || b.inflight != 0 || len(r.c.inflight) != 0 {
		t.Errorf("books: a %d, b %d, %d blocks", a.inflight, b.inflight, len(r.c.inflight))
	}
}

// Without another peer the slow one is asked again, ever more rarely.
func TestSlowPeerIsAskedAgain(t *testing.T) {
	r := newRig(t, false)
	a := r.peer("a")
	r.m.fetch(r.c, want{forBlock, 3}, r.now)
	asked := 0
	for range 120 {
		r.pass(time.Second)
		r.m.heardFrom(a, a.received+1, r.now)
		q, _ := r.sent(a)
		asked += len(q)
	}
	if asked < 3 || asked > 8 {
		t.Errorf("asked %d times in two minutes", asked)
	}
}

// A peer that announces blocks and has none is not asked in a loop.
func TestNoDataIsNoLoop(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	total := 0
	for range 100 {
		q, _ := r.sent(a)
		total += len(q)
		for _, x := range q {
			if !x.over {
				r.receive(a, wire.NoData{ID: x.id, Reason: wire.ReasonNotAvailable})
			}
		}
	}
	if total > 2*windowRequests {
		t.Errorf("%d requests without a pause", total)
	}
}

// noData sends a read to the next peer.
func TestNoDataMovesOn(t *testing.T) {
	r := newRig(t, false)
	a, b := r.peer("a"), r.peer("b")
	f := r.m.fetch(r.c, want{forBlock, 9}, r.now)
	qa, _ := r.sent(a)
	qb, _ := r.sent(b)
	if len(qa)+len(qb) != 1 {
		t.Fatalf("asked %d peers, want one", len(qa)+len(qb))
	}
	if len(qb) == 1 {
		a, b, qa = b, a, qb
	}
	r.receive(a, wire.NoData{ID: qa[0].id, Reason: wire.ReasonNotAvailable})
	if again, _ := r.sent(a); len(again) != 0 {
		t.Error("asked the same peer again")
	}
	qb, _ = r.sent(b)
	if len(qb) != 1 || f.over {
		t.Fatalf("asked the other %d times", len(qb))
	}
	r.answer(b, qb[0])
	if !f.over {
		t.Error("fetch goes on")
	}
}

// A whole download from two peers asks for each block once, within the windows,
// and what a vanished peer owed comes from the other.
func TestDownloadAsksOnce(t *testing.T) {
	r := newRig(t, true)
	a, b := r.peer("a"), r.peer("b")
	count := make(map[uint64]int)
	gone := false
	for len(r.log.held) < rigLength {
		progress := false
		for _, p := range []*peer{a, b} {
			if p.gone {
				continue
			}
			if p.inflight > windowRequests || p.inflightSize > windowBytes+r.c.average {
				t.Fatalf("window exceeded: %d requests, %d bytes", p.inflight, p.inflightSize)
			}
			q, _ := r.sent(p)
			for _, x := range q {
				count[x.index]++
			}
			if p == b && len(r.log.held) > rigLength/2 {
				r.m.removePeer(b, r.now)
				gone, progress = true, true
				continue
			}
			for _, x := range slices.Clone(p.asked) {
				if !x.over && x.ready {
					r.answer(p, x)
					progress = true
				}
			}
		}
		if !progress {
			t.Fatalf("stuck at %d blocks", len(r.log.held))
		}
	}
	twice := 0
	for _, n := range count {
		if n > 1 {
			twice++
		}
	}
	if !gone || len(count) != rigLength || twice > windowRequests {
		t.Errorf("%d blocks asked, %d of them twice; peer gone %v", len(count), twice, gone)
	}
}

// The last waiter that leaves cancels the request; others keep it.
func TestLeaveCancels(t *testing.T) {
	r := newRig(t, false)
	a := r.peer("a")
	f := r.m.fetch(r.c, want{forBlock, 5}, r.now)
	if g := r.m.fetch(r.c, want{forBlock, 5}, r.now); g != f {
		t.Fatal("two fetches for one block")
	}
	q, _ := r.sent(a)
	r.m.leave(r.c, f, r.now)
	if _, rest := r.sent(a); len(rest) != 0 || q[0].over {
		t.Fatal("cancelled while somebody waits")
	}
	r.m.leave(r.c, f, r.now)
	_, rest := r.sent(a)
	if len(rest) != 1 || rest[0] != (wire.Cancel{ID: q[0].id}) {
		t.Errorf("sent %v, want a cancel", rest)
	}
	if len(r.c.fetches) != 0 || a.inflight != 0 {
		t.Error("something is left in the books")
	}
}

// Reads go before downloads, also where the window is full.
func TestReadsFirst(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	r.sent(a)
	if a.room(false) {
		t.Fatal("window is not full")
	}
	r.m.fetch(r.c, want{forBlock, rigLength - 1}, r.now)
	q, _ := r.sent(a)
	if len(q) != 1 || q[0].index != rigLength-1 {
		t.Errorf("asked %d, want the read alone", len(q))
	}
}

// A peer from which nothing comes at all ends.
func TestIdlePeerEnds(t *testing.T) {
	r := newRig(t, false)
	p := r.peer("a")
	if idle := r.m.tick(r.now.Add(idleTimeout)); len(idle) != 0 {
		t.Error("ended too early")
	}
	if idle := r.m.tick(r.now.Add(idleTimeout + 1)); len(idle) != 1 || idle[0] != p {
		t.Error("goes on")
	}
}

// A burst of appends is one sync and one range for a peer that reads slowly.
func TestBurstIsCoalesced(t *testing.T) {
	r := newRig(t, false)
	r.log.own = true
	p := r.peer("a")
	r.sent(p)
	for i := range uint64(1000) {
		r.log.head.Length = rigLength + i + 1
		r.log.head.Contiguous = r.log.head.Length
		r.m.moved(r.c, hypercore.Event{Kind: hypercore.Durable, From: r.log.head.Length - 1, To: r.log.head.Length}, r.now)
	}
	_, rest := r.sent(p)
	if len(rest) != 2 {
		t.Fatalf("sent %v, want a sync and a range", rest)
	}
	if s := rest[0].(wire.Sync); s.Length != rigLength+1000 {
		t.Errorf("got %+v", s)
	}
	if x := rest[1].(wire.Range); x.Length != rigLength+1000 {
		t.Errorf("got %+v", x)
	}
}

// A higher fork is asked for once, from its beginning, however often it is said.
func TestHigherForkIsAskedForOnce(t *testing.T) {
	r := newRig(t, true)
	p := r.m.addPeer("a", true, [64]byte{}, r.now)
	p.admit(1)
	r.m.bind(p, 1, r.c, true, r.now)
	for range 10 {
		r.receive(p, wire.Sync{Fork: 3, Length: 5, CanUpgrade: true, Uploading: true, HasManifest: true})
	}
	r.receive(p, wire.Range{Length: rigLength})
	q, _ := r.sent(p)
	if len(q) != 1 || q[0].kind != forFork || q[0].fork != 3 || q[0].upgrade != (merkle.UpgradeRequest{Length: 5}) || !q[0].manifest {
		t.Fatalf("%d requests", len(q))
	}
	// Who has none after all is not asked again before it says something new.
	r.receive(p, wire.NoData{ID: q[0].id, Reason: wire.ReasonNotAvailable})
	r.receive(p, wire.Range{Length: rigLength})
	if q, _ := r.sent(p); len(q) != 0 {
		t.Fatalf("%d requests after noData", len(q))
	}
	r.receive(p, wire.Sync{Fork: 3, Length: 6, CanUpgrade: true, Uploading: true, HasManifest: true})
	if q, _ := r.sent(p); len(q) != 1 || q[0].upgrade.Length != 6 {
		t.Fatalf("%d requests after a new sync", len(q))
	}
}

// A lower fork, and one of length 0, are ignored.
func TestLowerForkIsIgnored(t *testing.T) {
	r := newRig(t, true)
	r.log.head.Fork = 2
	r.m.reload(r.c, r.now)
	p := r.m.addPeer("a", true, [64]byte{}, r.now)
	p.admit(1)
	r.m.bind(p, 1, r.c, true, r.now)
	r.receive(p, wire.Range{Length: 2 * rigLength})
	for _, s := range []wire.Sync{{Fork: 1, Length: 2 * rigLength}, {Fork: 3}} {
		s.CanUpgrade, s.Uploading = true, true
		r.receive(p, s)
		if q, _ := r.sent(p); len(q) != 0 {
			t.Fatalf("%d requests to fork %d of length %d", len(q), s.Fork, s.Length)
		}
	}
}
