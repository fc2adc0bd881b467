package replicate

import "math/bits"

const (
	pageBits  = 1 << 15
	pageWords = pageBits / 32
)

// blockSet is what a peer says it has: a prefix, and single blocks behind it.
// Memory is bounded by budget, the pages left to all channels of the peer; what
// does not fit is not remembered, so it is only not asked for.
type blockSet struct {
	prefix uint64
	pages  map[uint64]*[pageWords]uint32
	budget *int
}

func (s *blockSet) has(i uint64) bool {
	if i < s.prefix {
		return true
	}
	p := s.pages[i/pageBits]
	return p != nil && p[i%pageBits/32]&(1<<(i%32)) != 0
}

// word gives the bits of the 32 blocks from start, a multiple of 32.
func (s *blockSet) word(start uint64) uint32 {
	if start+32 <= s.prefix {
		return ^uint32(0)
	}
	var w uint32
	if p := s.pages[start/pageBits]; p != nil {
		w = p[start%pageBits/32]
	}
	if start < s.prefix {
		w |= 1<<(s.prefix-start) - 1
	}
	return w
}

// add notes [from, to), as far as blocks beyond the prefix lie below limit. It
// reports the first block that is new.
func (s *blockSet) add(from, to, limit uint64) (first uint64, grown bool) {
	if from <= s.prefix {
		if to <= s.prefix {
			return 0, false
		}
		first = s.prefix // the block behind the prefix is never set
		s.prefix = to
		s.absorb()
		return first, true
	}
	return s.set(from, min(to, limit), nil)
}

// set sets bits beyond the prefix: all of [from, to), or those that words,
// whose first bit is block from, says; a bit of words that is clear is cleared.
func (s *blockSet) set(from, to uint64, words []uint32) (first uint64, grown bool) {
	for i := from; i < to; {
		n := i / pageBits
		end := min(to, (n+1)*pageBits)
		if s.pages[n] == nil && (end <= s.prefix || !s.grow(n)) {
			if i = end; words == nil && *s.budget <= 0 && end > s.prefix {
				break // no page behind this one can be made
			}
			continue
		}
		p := s.pages[n]
		for i < end {
			mask, next := wordMask(i, end)
			w := mask
			if words != nil {
				w &= words[(i-from)/32] // from and i are multiples of 32
			}
			at := i % pageBits / 32
			if fresh := w &^ p[at]; fresh != 0 && !grown {
				first, grown = i&^31+uint64(bits.TrailingZeros32(fresh)), true
			}
			p[at] = p[at]&^mask | w
			i = next
		}
	}
	if grown {
		s.absorb()
	}
	return first, grown
}

// wordMask gives the bits of [i, end) in the word that holds i, and where the
// next word starts.
func wordMask(i, end uint64) (mask uint32, next uint64) {
	next = min(i&^31+32, end)
	return uint32((uint64(1)<<(next-i) - 1) << (i % 32)), next
}

// grow makes room for a page, if the peer's budget has any.
func (s *blockSet) grow(n uint64) bool {
	if *s.budget <= 0 {
		return false
	}
	if s.pages == nil {
		s.pages = make(map[uint64]*[pageWords]uint32)
	}
	*s.budget--
	s.pages[n] = new([pageWords]uint32)
	return true
}

// absorb moves the prefix over blocks that lie right behind it.
func (s *blockSet) absorb() {
	if len(s.pages) == 0 {
		return
	}
	for s.has(s.prefix) {
		if s.prefix%32 == 0 && s.word(s.prefix) == ^uint32(0) {
			s.prefix += 32
		} else {
			s.prefix++
		}
	}
	for n := range s.pages {
		if (n+1)*pageBits <= s.prefix {
			s.free(n)
		}
	}
}

func (s *blockSet) free(n uint64) {
	delete(s.pages, n)
	*s.budget++
}

// remove forgets [from, to); what lay behind it in the prefix is kept below limit.
func (s *blockSet) remove(from, to, limit uint64) {
	if old := s.prefix; from < old {
		s.prefix = from
		if behind := min(old, limit); to < behind {
			s.set(to, behind, nil)
		}
	}
	for n, p := range s.pages {
		lo, hi := max(from, n*pageBits), min(to, (n+1)*pageBits)
		for i := lo; i < hi; {
			mask, next := wordMask(i, hi)
			p[i%pageBits/32] &^= mask
			i = next
		}
	}
}

// overwrite takes a stretch of bits that starts at a multiple of 32.
func (s *blockSet) overwrite(start uint64, words []uint32, limit uint64) (first uint64, grown bool) {
	to := min(start+32*uint64(len(words)), limit)
	if start >= to {
		return 0, false
	}
	if start < s.prefix {
		for i, w := range words {
			at := start + 32*uint64(i)
			if at >= s.prefix || at >= to {
				break
			}
			if cut := s.prefix - at; cut < 32 {
				w |= ^uint32(0) << cut
			}
			if w != ^uint32(0) {
				s.remove(at, min(at+32, s.prefix), limit)
				break
			}
		}
	}
	return s.set(start, to, words)
}

// clear forgets everything.
func (s *blockSet) clear() {
	for n := range s.pages {
		s.free(n)
	}
	s.prefix = 0
}
