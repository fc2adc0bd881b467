package replicate

import (
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/wire"
)

// store has blocks that were just stored, or clear just cleared.
func (r *rig) store(from, to uint64) {
	for i := from; i < to; i++ {
		r.log.held[i] = true
	}
	r.m.moved(r.c, hypercore.Event{Kind: hypercore.Stored, From: from, To: to}, r.now)
}

func (r *rig) clear(from, to uint64) {
	for i := from; i < to; i++ {
		delete(r.log.held, i)
	}
	r.m.moved(r.c, hypercore.Event{Kind: hypercore.Cleared, From: from, To: to}, r.now)
}

// announced plays what a peer hears, and gives what it believes that we hold.
func (r *rig) announced(p *peer) *blockSet {
	pages := maxPages
	heard := &blockSet{budget: &pages}
	_, rest := r.sent(p)
	for _, m := range rest {
		switch v := m.(type) {
		case wire.Range:
			if v.Drop {
				heard.remove(v.Start, v.Start+v.Length, rigLength)
			} else {
				heard.add(v.Start, v.Start+v.Length, rigLength)
			}
		case wire.Bitfield:
			heard.overwrite(v.Start, v.Words, rigLength)
		}
	}
	return heard
}

// What is cleared or cut off before it was announced is not announced any more,
// be it little or much: a peer that asks for what we announce must get it.
func TestNewsAreWhatIsHeld(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"one of two": func(r *rig) { r.store(100, 104); r.clear(101, 103) },
		"all":        func(r *rig) { r.store(100, 101); r.clear(100, 101) },
		"of many": func(r *rig) {
			for i := range uint64(2 * maxNews) {
				r.store(2*i+1, 2*i+2)
			}
			r.clear(0, 64)
		},
		"many, truncated": func(r *rig) {
			for i := range uint64(maxNews - 1) {
				r.store(3000+2*i, 3001+2*i)
			}
			r.store(2800, 2801)
			r.store(2700, 2701)
			r.log.head.Fork, r.log.head.Length = 1, 2900
			for i := range r.log.held {
				if i >= 2900 {
					delete(r.log.held, i)
				}
			}
			r.m.moved(r.c, hypercore.Event{Kind: hypercore.Truncated, From: 2900, To: rigLength}, r.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, false)
			p := r.m.addPeer("a", true, [64]byte{}, r.now)
			if err := p.admit(1); err != nil {
				t.Fatal(err)
			}
			if err := r.m.bind(p, 1, r.c, true, r.now); err != nil {
				t.Fatal(err)
			}
			change(r)
			heard := r.announced(p)
			for i := range uint64(rigLength) {
				if heard.has(i) != r.log.held[i] {
					t.Fatalf("block %d: announced %v, held %v", i, heard.has(i), r.log.held[i])
				}
			}
		})
	}
}
