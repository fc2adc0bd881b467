package replicate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// has adds a peer that has some blocks.
func (r *rig) has(name string, ranges ...extent) *peer {
	r.t.Helper()
	p := r.m.addPeer(name, true, [64]byte{}, r.now)
	if err := p.admit(1); err != nil {
		r.t.Fatal(err)
	}
	if err := r.m.bind(p, 1, r.c, true, r.now); err != nil {
		r.t.Fatal(err)
	}
	r.receive(p, wire.Sync{Length: r.log.head.Length, RemoteLength: r.log.head.Length, Uploading: true, Downloading: true})
	for _, e := range ranges {
		r.receive(p, wire.Range{Start: e.from, Length: e.to - e.from})
	}
	return p
}

// Blocks that fewer peers have are asked for first.
func TestRarestFirst(t *testing.T) {
	r := newRig(t, false)
	r.c.average = 100 << 10 // blocks are asked for one by one
	w := r.has("writer", extent{0, rigLength})
	r.has("first", extent{0, 1000}, extent{2000, 4000})
	r.has("second", extent{0, 1000}, extent{3000, 4000})
	r.a.download = true
	w.delivery.window = windowBytes
	r.m.reset(r.c, r.now)
	rank := func(i uint64) int {
		switch {
		case i < 1000 || i >= 3000:
			return 2
		case i >= 2000:
			return 1
		}
		return 0
	}
	var order []uint64
	for len(order) < 2500 {
		q, _ := r.sent(w)
		if len(q) == 0 {
			t.Fatalf("stuck after %d requests", len(order))
		}
		for _, x := range q {
			order = append(order, x.index)
			r.answer(w, x)
		}
	}
	// What the others were asked for meanwhile is not asked of the writer.
	for at := 1; at < len(order); at++ {
		if rank(order[at]) < rank(order[at-1]) {
			t.Fatalf("request %d is for block %d, the one before for %d", at, order[at], order[at-1])
		}
	}
	if slices.IsSorted(order[:500]) {
		t.Error("equals are asked for in order")
	}
}

// The same events and the same seed give the same requests, another seed others.
func TestSeedDecides(t *testing.T) {
	run := func(seed uint64) (order []uint64) {
		r := newRig(t, false)
		r.m = newMachine(seed)
		r.c = r.m.addCore(r.log.key.Discovery(), r.log.key, r.log)
		r.m.attach(r.c, &r.a, r.now)
		r.c.average = 1 << 10
		w := r.has("writer", extent{0, rigLength})
		b := r.has("reader", extent{3, 77})
		r.a.download = true
		r.m.reset(r.c, r.now)
		for len(r.log.held) < 1000 {
			for _, p := range []*peer{w, b} {
				q, _ := r.sent(p)
				for _, x := range q {
					order = append(order, x.index)
					if !x.over {
						r.answer(p, x)
					}
				}
			}
			r.pass(tickEvery)
		}
		return order
	}
	a, b, c := run(7), run(7), run(8)
	if !slices.Equal(a, b) {
		t.Error("the same seed gives other requests")
	}
	if slices.Equal(a, c) {
		t.Error("another seed gives the same requests")
	}
}

// Alone, and where all have everything, blocks are asked for in order.
func TestInOrderFromFullPeers(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	q, _ := r.sent(a)
	for i, x := range q {
		if x.index != uint64(i) {
			t.Fatalf("request %d is for block %d", i, x.index)
		}
	}
	b := r.peer("b")
	p, _ := r.sent(b)
	for i, x := range p {
		if x.index != uint64(len(q)+i) {
			t.Fatalf("request %d of the second is for block %d", i, x.index)
		}
	}
}

// The window of a peer becomes what it delivers in windowTime and two latencies,
// whatever it was before, and grows again with the rate.
func TestWindowFollowsTheRate(t *testing.T) {
	r := newRig(t, true)
	r.log.head.Roots = []merkle.Node{{Size: 10_000 * rigLength}}
	r.c.load()
	a := r.peer("a")
	serve := func(rate float64, d time.Duration) {
		for end := r.now.Add(d); r.now.Before(end); {
			r.sent(a)
			var next *request
			for _, x := range a.asked {
				if !x.over {
					next = x
					break
				}
			}
			if next == nil {
				return
			}
			r.now = r.now.Add(time.Duration(float64(next.cost) / rate * float64(time.Second)))
			r.answerOnly(a, next)
		}
	}
	for _, rate := range []float64{1e6, 20e6, 2e6} {
		serve(rate, 10*time.Second)
		want := rate * windowTime.Seconds()
		if got := float64(a.delivery.window); got < want*0.9 || got > 3*want+2*windowLeast {
			t.Errorf("at %.0f bytes a second the window is %.0f, want about %.0f: %+v, %d under way", rate, got, want, a.delivery, a.inflight)
		}
		if a.inflightSize > a.delivery.window+2*r.c.average && a.inflightSize > windowBytes/8 {
			t.Errorf("%d bytes under way in a window of %d", a.inflightSize, a.delivery.window)
		}
	}
}

// answerOnly answers a request and has its block lacking all the same.
func (r *rig) answerOnly(p *peer, q *request) {
	r.t.Helper()
	r.answer(p, q)
	delete(r.log.held, q.index)
	r.m.missed(r.c, extent{q.index, q.index + 1}, r.now)
}

// The last blocks of a slow peer are asked of one that has nothing else to do,
// and cancelled at the first when they come.
func TestEndgame(t *testing.T) {
	r := newRig(t, true)
	r.c.average = 64 << 10
	slow, fast := r.peer("slow"), r.peer("fast")
	slow.delivery.lag = 3 * time.Second
	asked := make(map[uint64]int)
	for len(r.log.held) < rigLength && r.now.Before(time.Unix(1_000_000, 0).Add(2*time.Second)) {
		q, _ := r.sent(fast)
		for _, x := range q {
			asked[x.index]++
		}
		s, _ := r.sent(slow)
		for _, x := range s {
			asked[x.index]++
		}
		for _, x := range slices.Clone(fast.asked) {
			if !x.over && x.ready {
				r.answer(fast, x)
			}
		}
		if fast.inflight == 0 {
			r.pass(tickEvery)
			if fast.hedges > maxHedges {
				t.Fatalf("%d blocks are asked of two", fast.hedges)
			}
		}
	}
	if len(r.log.held) < rigLength {
		t.Fatalf("%d of %d blocks within two seconds", len(r.log.held), rigLength)
	}
	twice := 0
	for _, n := range asked {
		if n > 1 {
			twice++
		}
	}
	if slow.inflight != 0 || twice == 0 || twice > 64 {
		t.Errorf("%d under way at the slow peer, %d blocks asked twice", slow.inflight, twice)
	}
}

// What a peer announces is fetched from it at once where it would be long in
// coming from another, and cancelled there.
func TestAnnouncedBlockOvertakes(t *testing.T) {
	r := newRig(t, true)
	r.c.average = 64 << 10
	b := r.has("reader")
	w := r.has("writer", extent{0, rigLength})
	q, _ := r.sent(w)
	w.delivery.lag = time.Second
	i := q[0].index
	r.receive(b, wire.Range{Start: i, Length: 1})
	p, _ := r.sent(b)
	if len(p) != 1 || p[0].index != i || !q[0].over {
		t.Fatalf("%d requests, the first one over: %v", len(p), q[0].over)
	}
	_, rest := r.sent(w)
	if !slices.Contains(rest, wire.Message(wire.Cancel{ID: q[0].id})) {
		t.Errorf("sent %v, want a cancel", rest)
	}
}

// A block that a peer skips moves within seconds, and the peer counts as one
// that lets requests lie.
func TestSkippedBlockMoves(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	q, _ := r.sent(a)
	for _, x := range q[1:] {
		r.answer(a, x)
	}
	b := r.peer("b")
	r.sent(b)
	r.chatter(int((skipAfter+time.Second)/tickEvery)+1, a)
	p, _ := r.sent(b)
	if !slices.ContainsFunc(p, func(x *request) bool { return x.index == q[0].index }) || a.late == 0 {
		t.Errorf("%d requests moved, late %d", len(p), a.late)
	}
}

// After a peer let requests lie it is asked for one thing at a time.
func TestProbeAfterRest(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	for range 240 {
		r.pass(tickEvery)
		r.m.heardFrom(a, a.received+1, r.now)
		q, _ := r.sent(a)
		if a.strikes > 0 && len(q) > 1 {
			t.Fatalf("%d requests at once to a peer that never answered", len(q))
		}
	}
	if a.strikes < 2 {
		t.Errorf("%d strikes in two minutes", a.strikes)
	}
}

// Blocks that a peer drops are not asked of it.
func TestDroppedBlocksAreNotAsked(t *testing.T) {
	r := newRig(t, false)
	a := r.has("a", extent{0, rigLength})
	r.has("b")
	r.receive(a, wire.Range{Drop: true, Start: 100, Length: rigLength - 200})
	r.a.download = true
	r.m.reset(r.c, r.now)
	for {
		q, _ := r.sent(a)
		if len(q) == 0 {
			break
		}
		for _, x := range q {
			if x.index >= 100 && x.index < rigLength-100 {
				t.Fatalf("asked for block %d", x.index)
			}
			r.answer(a, x)
		}
	}
	if len(r.log.held) != 200 {
		t.Errorf("%d blocks, want 200", len(r.log.held))
	}
}

// bitLog is a log of many blocks.
type bitLog struct {
	stub
	words []uint32
}

func (l *bitLog) Has(i uint64) bool { return l.words[i/32]&(1<<(i%32)) != 0 }
func (l *bitLog) Held(start uint64, words []uint32) {
	clear(words)
	if start/32 < uint64(len(l.words)) {
		copy(words, l.words[start/32:])
	}
}

// bigRig is a rig with a log of many blocks.
func bigRig(t testing.TB, length uint64) (*rig, *bitLog) {
	r := &rig{t: t, m: newMachine(1), now: time.Unix(1_000_000, 0), a: attachment{download: true}}
	l := &bitLog{words: make([]uint32, length/32+1)}
	l.key = hypercore.Key{1}
	l.head.Length = length
	r.log = &l.stub
	r.c = r.m.addCore(l.key.Discovery(), l.key, l)
	r.m.attach(r.c, &r.a, r.now)
	return r, l
}

// A log of more windows than are wanted at a time is asked about window by
// window, and what is held whole is asked about no more.
func TestWantWindows(t *testing.T) {
	const windows = surveyWindows + 20
	r, l := bigRig(t, windows*wantWindow)
	a := r.has("a")
	a.strikes = 1 // nothing is asked for
	seen, open := make(map[uint64]bool), make(map[uint64]bool)
	for round := 0; len(seen) < windows && round < 4*windows; round++ {
		_, rest := r.sent(a)
		for _, v := range rest {
			switch v := v.(type) {
			case wire.Want:
				seen[v.Start/wantWindow], open[v.Start/wantWindow] = true, true
			case wire.Unwant:
				delete(open, v.Start/wantWindow)
			}
		}
		if len(open) > surveyWindows {
			t.Fatalf("%d windows are wanted at a time", len(open))
		}
		n := uint64(round)
		for w := n * wantWindow / 32; w < min((n+1)*wantWindow/32, uint64(len(l.words)-1)); w++ {
			l.words[w] = ^uint32(0)
		}
		l.head.Contiguous = min((n+1)*wantWindow, l.head.Length)
		r.m.moved(r.c, hypercore.Event{Kind: hypercore.Stored, From: n * wantWindow, To: (n + 1) * wantWindow}, r.now)
		r.pass(tickEvery)
		r.m.heardFrom(a, a.received+1, r.now)
	}
	if len(seen) != windows {
		t.Errorf("asked about %d of %d windows", len(seen), windows)
	}
}

// BenchmarkPick measures the choice of a block, with its request and its answer
// in the books, of a writer and seven readers that have a third each.
func BenchmarkPick(b *testing.B) {
	for _, length := range []uint64{1_000_000, 10_000_000} {
		for _, readers := range []int{0, 7} {
			b.Run(fmt.Sprintf("%dM/%d_readers", length/1_000_000, readers), func(b *testing.B) {
				r, l := bigRig(b, length)
				w := r.has("writer", extent{0, length})
				for i := range uint64(readers) {
					p := r.has(fmt.Sprint(i), extent{1 + i*length/20, 1 + i*length/20 + length/3})
					p.strikes = 1
				}
				w.delivery.window = windowBytes
				ch := w.order[0]
				for b.Loop() {
					var i uint64
					var ok, looked bool
					if r.c.diverse() {
						i, ok, looked = r.m.nextRare(ch)
					} else {
						i, ok, looked = ch.nextInOrder()
					}
					if !ok && looked {
						clear(l.words)
						ch.missed(extent{0, length})
						continue
					}
					l.words[i/32] |= 1 << (i % 32)
				}
			})
		}
	}
}
