package replicate

import (
	"testing"

	"multicore/hypercore/wire"
)

// Endless wants are answered from what is held, and kept within bounds.
func TestEndlessWants(t *testing.T) {
	r := newRig(t, false)
	for i := uint64(0); i < rigLength; i += 2 {
		r.log.held[i] = true
	}
	p := r.peer("a")
	r.sent(p)
	for i := range uint64(10_000) {
		r.receive(p, wire.Want{Start: i % 1000 * 32, Length: 32})
		r.receive(p, wire.Want{Start: 5, Length: 32})
		r.receive(p, wire.Want{Start: 1 << 50, Length: 1 << 40})
	}
	ch := p.bound[1]
	if len(ch.wanting) > maxWindows || p.wants != len(ch.wanting) {
		t.Errorf("%d windows kept, %d counted", len(ch.wanting), p.wants)
	}
	_, rest := r.sent(p)
	for _, v := range rest {
		b, ok := v.(wire.Bitfield)
		if !ok || len(b.Words) != 1 || b.Words[0]&0xaaaaaaaa != 0 {
			t.Fatalf("answered %v", v)
		}
	}
	if want := rigLength / 32; len(rest) != want {
		t.Errorf("%d bitfields, want %d", len(rest), want)
	}
}
