package replicate

import (
	"math/rand/v2"
	"testing"

	"multicore/hypercore"
)

// A selection in its compiled form says of each block what its fields say.
func TestSelection(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const length = 200
	for range 2000 {
		s := Selection{Newest: []uint64{0, None, 1, uint64(r.IntN(length)), length, length + 5}[r.IntN(6)]}
		for range r.IntN(5) {
			from := uint64(r.IntN(length))
			s.Except = append(s.Except, Range{from, from + uint64(r.IntN(50))})
		}
		l := s.compile()
		selected := func(i uint64) bool {
			for _, e := range s.Except {
				if i >= e.From && i < e.To {
					return false
				}
			}
			return s.Newest == 0 || s.Newest != None && i+s.Newest >= length
		}
		if l == nil {
			for i := range uint64(length) {
				if !selected(i) {
					t.Fatalf("%v: is all", s)
				}
			}
			continue
		}
		next := l.next(0, length)
		for i := range uint64(length) {
			want := selected(i)
			if got := l.word(i&^31, length)&(1<<(i%32)) != 0; got != want {
				t.Fatalf("%v: block %d: %v", s, i, got)
			}
			if i == next && !want || i < next && want {
				t.Fatalf("%v: next gave %d", s, next)
			}
			if i == next {
				next = l.next(i+1, length)
			}
		}
	}
}

// Of a log of which the newest blocks are downloaded, and not those that were
// cleared, the rest is fetched only where it is read; the window moves with the
// end.
func TestSelectedDownload(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("log", numbered(100)...)
	w.swarm.Attach(core, AttachOptions{})
	o := AttachOptions{Download: true, Selection: Selection{Newest: 20, Except: []Range{{90, 95}}}}
	c, a := r.replica(core.Key(), o)
	connect(t, w, r)
	least := uint64(100)
	has := func(want func(i uint64) bool) {
		t.Helper()
		until(t, c, "what is selected is here", func(hypercore.Info) bool {
			for i := range c.Info().Length {
				if want(i) && !c.Has(i) {
					return false
				}
			}
			return c.Info().Length >= least
		})
		for i := range c.Info().Length {
			if !want(i) && c.Has(i) && (least == 100 || i != 100) { // that one may have come along with the longer head
				t.Errorf("block %d is here", i)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	selected := func(i uint64) bool { return i >= 80 && (i < 90 || i >= 95) }
	has(selected)
	if _, err := c.Get(t.Context(), 92); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	w.add(core, numbered(30)...)
	least = 130
	has(func(i uint64) bool { return selected(i) && (i < 100 || i >= 110) || i == 92 || i == 3 })

	// Cleared, and left out: it stays away, until it is to be downloaded again.
	a.SetSelection(Selection{Except: []Range{{0, 130}}})
	if err := c.Flush(t.Context()); err != nil { // what is not durable is not cleared
		t.Fatal(err)
	}
	if _, err := c.Clear(t.Context(), 0, 130); err != nil {
		t.Fatal(err)
	}
	if !r.swarm.HeldByPeers(c.DiscoveryKey(), 0, 130) || r.swarm.HeldByPeers(c.DiscoveryKey(), 0, 131) {
		t.Fatal("the writer holds all")
	}
	if w.swarm.HeldByPeers(c.DiscoveryKey(), 0, 130) {
		t.Fatal("the reader holds nothing")
	}
	if _, err := c.Get(t.Context(), 64); err != nil {
		t.Fatal(err)
	}
	has(func(i uint64) bool { return i == 64 })
	a.SetSelection(Selection{})
	has(func(uint64) bool { return true })
}
