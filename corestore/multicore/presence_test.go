package multicore

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"multicore/hypercore/replicate"
)

// What is cleared bit by bit is remembered as a plain set would, and comes back
// from its record.
func TestPresence(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		p := presence{fork: r.Uint64N(3), floor: r.Uint64N(9)}
		var want [64]bool
		for range r.IntN(20) {
			from := r.Uint64N(64)
			to := from + r.Uint64N(64-from+1)
			p.clear(from, to)
			for i := from; i < to; i++ {
				want[i] = true
			}
		}
		check := func(p presence) {
			t.Helper()
			var got [64]bool
			last := replicate.Range{}
			for i, x := range p.cleared {
				if x.From >= x.To || i > 0 && x.From <= last.To {
					t.Fatalf("not apart: %v", p.cleared)
				}
				for i := x.From; i < x.To; i++ {
					got[i] = true
				}
				last = x
			}
			if got != want {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
		check(p)
		back, err := parsePresence(p.encode())
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Fatalf("%+v came back as %+v, %v", p, back, err)
		}
		length := r.Uint64N(70)
		p.cut(7, length)
		for i := length; i < 64; i++ {
			want[i] = false
		}
		check(p)
		if p.fork != 7 || p.floor > length {
			t.Fatalf("%+v after a cut to %d", p, length)
		}
	}
}

// What is remembered is bounded, and covers all that was cleared.
func TestPresenceIsBounded(t *testing.T) {
	var p presence
	for i := range uint64(5000) {
		p.clear(i*10, i*10+1+i%7)
	}
	if len(p.cleared) != maxCleared {
		t.Fatalf("%d stretches", len(p.cleared))
	}
	for i := range uint64(5000) {
		if !slices.ContainsFunc(p.cleared, func(r replicate.Range) bool { return r.From <= i*10 && i*10+1+i%7 <= r.To }) {
			t.Fatalf("stretch %d is forgotten", i)
		}
	}
}

func TestShare(t *testing.T) {
	for _, x := range []struct {
		total       uint64
		sizes, want []uint64
	}{
		{10, []uint64{1, 2, 3}, []uint64{1, 2, 3}},
		{10, []uint64{100, 2, 50}, []uint64{4, 2, 4}},
		{0, []uint64{5, 0}, []uint64{0, 0}},
		{7, []uint64{9}, []uint64{7}},
		{7, nil, []uint64{}},
	} {
		if got := share(x.total, x.sizes); !slices.Equal(got, x.want) {
			t.Errorf("%d over %v: %v, want %v", x.total, x.sizes, got, x.want)
		}
	}
}

func FuzzPresence(f *testing.F) {
	f.Add([]byte{1, 0, 0})
	f.Add([]byte{1, 1, 5, 0, 1, 3, 9})
	f.Add((&presence{fork: 3, floor: 1 << 40, cleared: []replicate.Range{{From: 1, To: 1 << 50}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePresence(b)
		if err != nil {
			return
		}
		back, err := parsePresence(p.encode())
		if err != nil || !bytes.Equal(back.encode(), p.encode()) {
			t.Fatalf("%+v came back as %+v, %v", p, back, err)
		}
	})
}
