package replicate

import "math/bits"

const (
	pageBits  = 1 << 15
	pageWords = pageBits / 32
)

// blockSet is what a peer says it has: a prefix, and single blocks behind it.
// Memory is bounded by budget, the pages left to all channels of the peer; what
// does not fit is not remembered, so it is only not asked for. A message about
// many blocks costs about as much as there are pages, not as there are words.
type blockSet struct {
	prefix uint64
	pages  map[uint64]*page
	budget *int
}

type page [pageWords]uint32

// fullPage stands for each page that was set as a whole; it is never written to.
var fullPage = func() *page {
	p := new(page)
	for i := range p {
		p[i] = ^uint32(0)
	}
	return p
}()

// own gives page n to write to.
func (s *blockSet) own(n uint64) *page {
	p := s.pages[n]
	if p == fullPage {
		c := *p
		p = &c
		s.pages[n] = p
	}
	return p
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

// nextPage gives the first page from n on of which something is set.
func (s *blockSet) nextPage(n uint64) (next uint64, ok bool) {
	if n*pageBits < s.prefix || s.pages[n] != nil {
		return n, true
	}
	for k := range s.pages {
		if k > n && (!ok || k < next) {
			next, ok = k, true
		}
	}
	return next, ok
}

// next gives a block from i on before which nothing is set: i, or the start of a
// page.
func (s *blockSet) next(i uint64) uint64 {
	n, ok := s.nextPage(i / pageBits)
	if !ok {
		return ^uint64(0)
	}
	return max(i, n*pageBits)
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
		whole := words == nil && end-i == pageBits
		old := s.pages[n]
		if old == nil && (end <= s.prefix || !s.grow(n, whole)) {
			if i = end; words == nil && *s.budget <= 0 && end > s.prefix {
				break // no page behind this one can be made
			}
			continue
		}
		if whole {
			if at := old.firstClear(); at < pageBits && !grown {
				first, grown = i+at, true
			}
			s.pages[n] = fullPage
			i = end
			continue
		}
		p := s.own(n)
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

// firstClear gives the first bit that is not set.
func (p *page) firstClear() uint64 {
	switch p {
	case nil:
		return 0
	case fullPage:
		return pageBits
	}
	for at, w := range p {
		if w != ^uint32(0) {
			return 32*uint64(at) + uint64(bits.TrailingZeros32(^w))
		}
	}
	return pageBits
}

// wordMask gives the bits of [i, end) in the word that holds i, and where the
// next word starts.
func wordMask(i, end uint64) (mask uint32, next uint64) {
	next = min(i&^31+32, end)
	return uint32((uint64(1)<<(next-i) - 1) << (i % 32)), next
}

// any says whether a block of [from, to) is set.
func (s *blockSet) any(from, to uint64) bool {
	if from >= to {
		return false
	}
	if from < s.prefix {
		return true
	}
	for n, p := range s.pages {
		for i := max(from, n*pageBits); i < min(to, (n+1)*pageBits); {
			mask, next := wordMask(i, min(to, (n+1)*pageBits))
			if p[i%pageBits/32]&mask != 0 {
				return true
			}
			i = next
		}
	}
	return false
}

// grow makes room for a page, if the peer's budget has any.
func (s *blockSet) grow(n uint64, full bool) bool {
	if *s.budget <= 0 {
		return false
	}
	if s.pages == nil {
		s.pages = make(map[uint64]*page)
	}
	*s.budget--
	if s.pages[n] = fullPage; !full {
		s.pages[n] = new(page)
	}
	return true
}

// absorb moves the prefix over blocks that lie right behind it.
func (s *blockSet) absorb() {
	if len(s.pages) == 0 {
		return
	}
	for s.has(s.prefix) {
		switch {
		case s.prefix%pageBits == 0 && s.pages[s.prefix/pageBits] == fullPage:
			s.prefix += pageBits
		case s.prefix%32 == 0 && s.word(s.prefix) == ^uint32(0):
			s.prefix += 32
		default:
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
	for n := range s.pages {
		lo, hi := max(from, n*pageBits), min(to, (n+1)*pageBits)
		switch {
		case lo >= hi:
			continue
		case hi-lo == pageBits:
			s.free(n)
			continue
		}
		p := s.own(n)
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
