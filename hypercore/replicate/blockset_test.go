package replicate

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// blockSet against a plain map, over a few pages.
func TestBlockSet(t *testing.T) {
	const size = 3*pageBits + 77
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		budget := 100
		s := blockSet{budget: &budget}
		want := make([]bool, size)
		spot := func() uint64 {
			if rnd.IntN(2) == 0 {
				return s.prefix + rnd.Uint64N(70)
			}
			return rnd.Uint64N(size)
		}
		for step := range 100 {
			from := min(spot(), size-1)
			to := from + 1
			if rnd.IntN(3) == 0 {
				to = min(from+rnd.Uint64N(1+uint64(1)<<rnd.IntN(17)), size)
			}
			switch rnd.IntN(4) {
			case 0:
				s.remove(from, to, size)
				for i := from; i < to; i++ {
					want[i] = false
				}
			case 1:
				from &^= 31
				words := make([]uint32, 1+rnd.IntN(40))
				for i := range words {
					words[i] = rnd.Uint32() | rnd.Uint32() | rnd.Uint32()
				}
				s.overwrite(from, words, size)
				for i := from; i < min(size, from+32*uint64(len(words))); i++ {
					want[i] = words[(i-from)/32]&(1<<(i%32)) != 0
				}
			default:
				first, grown := s.add(from, to, size)
				fresh := false
				for i := from; i < to; i++ {
					if !want[i] && !fresh {
						if fresh = true; !grown || first != i {
							t.Fatalf("seed %d step %d: add [%d,%d) reports %d %v, want %d", seed, step, from, to, first, grown, i)
						}
					}
					want[i] = true
				}
				if fresh != grown {
					t.Fatalf("seed %d step %d: add [%d,%d) reports growth %v", seed, step, from, to, grown)
				}
			}
			if some := slices.Contains(want[from:to], true); s.any(from, to) != some {
				t.Fatalf("seed %d step %d: any of [%d,%d) is %v", seed, step, from, to, !some)
			}
			for i := range uint64(size) {
				if step%25 != 24 {
					break // all of it only now and then
				}
				if s.has(i) != want[i] || s.word(i&^31)&(1<<(i%32)) != 0 != want[i] {
					t.Fatalf("seed %d step %d: block %d: got %v, want %v", seed, step, i, s.has(i), want[i])
				}
			}
			if s.has(s.prefix) {
				t.Fatalf("seed %d step %d: prefix %d is too short", seed, step, s.prefix)
			}
		}
		s.clear()
		if budget != 100 {
			t.Errorf("seed %d: %d pages were not given back", seed, 100-budget)
		}
	}
}

// Pages that are told as a whole take no memory and no work by the word.
func TestBlockSetWholePages(t *testing.T) {
	budget := maxPages
	s := blockSet{budget: &budget}
	for range 3 {
		s.add(pageBits/2, 1<<50, 1<<50)
		for n, p := range s.pages {
			if whole := p == fullPage; whole != (n > 0) {
				t.Fatalf("page %d: whole %v", n, whole)
			}
		}
		s.remove(5*pageBits+7, 5*pageBits+8, 1<<50)
		if s.has(5*pageBits+7) || !s.has(5*pageBits+6) || !s.has(6*pageBits+7) {
			t.Fatal("a drop within a page touches others")
		}
		s.remove(pageBits, 1<<50, 1<<50)
		if len(s.pages) != 1 || budget != maxPages-1 {
			t.Fatalf("%d pages, %d left", len(s.pages), budget)
		}
	}
}

// A peer that announces the world costs a bounded number of pages.
func TestBlockSetIsBounded(t *testing.T) {
	budget := maxPages
	s := blockSet{budget: &budget}
	for i := range uint64(10_000) {
		s.add(1+i*pageBits*7, 2+i*pageBits*7, 1<<50)
	}
	s.add(1, 1<<53, 1<<53)
	if len(s.pages) > maxPages || budget < 0 {
		t.Errorf("%d pages, %d left", len(s.pages), budget)
	}
	s.add(0, 1<<53, 1<<33)
	if len(s.pages) != 0 || budget != maxPages || !s.has(1<<52) {
		t.Errorf("%d pages, %d left", len(s.pages), budget)
	}
	s.remove(5, 1<<53, 1<<53)
	if s.has(5) || !s.has(4) {
		t.Error("a drop is not followed")
	}
}
