package replicate

import (
	"math/bits"
	"slices"
	"time"
)

// span is a stretch of blocks that is to be downloaded.
type span struct {
	extent
	next uint64 // all before it is held
	done chan struct{}
	err  error
}

// downloads says whether there may be something to download.
func (c *core) downloads() bool { return c.download || len(c.aheads) > 0 }

// desired gives the blocks of a word that are to be downloaded.
func (c *core) desired(at uint64) uint32 {
	var w uint32
	if c.whole {
		if c.limits == nil {
			return ^uint32(0)
		}
		for _, l := range c.limits {
			w |= l.word(at, c.length)
		}
	}
	for _, s := range c.spans {
		if lo, hi := max(s.from, at), min(s.to, at+32); lo < hi {
			mask, _ := wordMask(lo, hi)
			w |= mask
		}
	}
	return w
}

// desiredFrom gives a block from i on before which nothing is to be downloaded.
func (c *core) desiredFrom(i uint64) uint64 {
	next := ^uint64(0)
	if c.whole {
		if c.limits == nil {
			return i
		}
		for _, l := range c.limits {
			next = min(next, l.next(i, c.length))
		}
	}
	for _, s := range c.spans {
		if s.to > i {
			next = min(next, max(i, s.next))
		}
	}
	return next
}

// wishes says whether a block is to be downloaded, or read soon.
func (c *core) wishes(i uint64) bool {
	has := func(s *span) bool { return s.from <= i && i < s.to }
	return c.desired(i&^31)&(1<<(i%32)) != 0 || slices.ContainsFunc(c.spans, has) || slices.ContainsFunc(c.aheads, has)
}

// addSpan downloads [from, to), as soon as there are such blocks.
func (m *machine) addSpan(c *core, from, to uint64, now time.Time) *span {
	s := &span{extent: extent{from, to}, next: from, done: make(chan struct{})}
	if c.holds(s) {
		close(s.done)
		return s
	}
	c.spans = append(c.spans, s)
	m.wished(c, s.extent, now)
	return s
}

// leaveSpan ends the interest in a span. What was asked for its sake is
// cancelled.
func (m *machine) leaveSpan(c *core, s *span, now time.Time) {
	if n := len(c.spans); n == 0 || len(without(c.spans, s)) == n {
		return
	}
	c.spans = c.spans[:len(c.spans)-1]
	m.reset(c, now)
	m.unwish(c, s.extent, now)
}

// wished has the peers asked for blocks that were not to be downloaded before.
func (m *machine) wished(c *core, e extent, now time.Time) {
	c.download = c.whole || len(c.spans) > 0
	for _, ch := range c.channels {
		ch.missed(e)
		ch.surveyed = 0
		m.survey(ch)
		m.eager(ch, now)
	}
}

// unwish cancels the downloads of blocks that are not to be downloaded any more.
func (m *machine) unwish(c *core, e extent, now time.Time) {
	for _, ch := range c.channels {
		var drop []*request
		for _, r := range ch.peer.asked {
			if r.ch == ch && r.kind == forBlock && !r.over && !r.applying && r.fetch == nil &&
				r.index >= e.from && r.index < e.to && !c.wishes(r.index) {
				drop = append(drop, r)
			}
		}
		for _, r := range drop {
			m.cancel(r)
		}
		if len(drop) > 0 {
			m.fill(ch.peer, now)
		}
	}
}

// holds says whether all of a span is held, and notes how far it is.
func (c *core) holds(s *span) bool {
	var held [64]uint32
	if s.next < c.contiguous {
		s.next = c.contiguous
	}
	for s.next < min(s.to, c.length) {
		at := s.next &^ 31
		c.log.Held(at, held[:])
		for _, w := range held {
			w |= 1<<(s.next-at) - 1
			if w != ^uint32(0) {
				s.next = at + uint64(bits.TrailingZeros32(^w))
				return s.next >= s.to
			}
			at += 32
			s.next = at
		}
	}
	return s.next >= s.to
}

// progress ends the spans that are complete with the blocks [from, to).
func (m *machine) progress(c *core, from, to uint64, now time.Time) {
	for _, list := range [2]*[]*span{&c.spans, &c.aheads} {
		before := len(*list)
		*list = slices.DeleteFunc(*list, func(s *span) bool {
			if s.next < from || s.next >= to || !c.holds(s) {
				return false
			}
			close(s.done)
			return true
		})
		if len(*list) < before && list == &c.spans {
			m.reset(c, now)
		}
	}
}

// restartSpans looks at all blocks of the spans again: the log was cut.
func (c *core) restartSpans() {
	for _, s := range slices.Concat(c.spans, c.aheads) {
		s.next = s.from
	}
}

// endSpans ends all of them.
func (c *core) endSpans(err error) {
	for _, s := range slices.Concat(c.spans, c.aheads) {
		s.err = err
		close(s.done)
	}
	c.spans, c.aheads = nil, nil
}

// addAhead asks for blocks that somebody is about to read.
func (m *machine) addAhead(c *core, from, to uint64, now time.Time) *span {
	s := &span{extent: extent{from, min(to, c.length)}, next: from, done: make(chan struct{})}
	if c.holds(s) || c.broken != nil {
		close(s.done)
		return s
	}
	c.aheads = append(c.aheads, s)
	for _, ch := range c.channels {
		m.survey(ch)
		m.eager(ch, now)
	}
	return s
}

// leaveAhead drops what was asked for a reader that goes elsewhere.
func (m *machine) leaveAhead(c *core, s *span, now time.Time) {
	before := len(c.aheads)
	if c.aheads = without(c.aheads, s); len(c.aheads) < before {
		m.unwish(c, s.extent, now)
	}
}

// forgoAhead ends the interest in stretches of which blocks were cleared that
// their reader may not have come to: it asks for those that it does come to.
func (m *machine) forgoAhead(c *core, e extent, now time.Time) {
	for _, s := range slices.Clone(c.aheads) {
		if max(s.next, e.from) < min(s.to, e.to) {
			m.leaveAhead(c, s, now)
		}
	}
}

// nextAhead finds a block that somebody is about to read, the next of each
// reader first.
func (ch *channel) nextAhead() (block uint64, ok, looked bool) {
	c, end := ch.core, ch.end()
	for _, s := range c.aheads {
		for i := s.next; i < min(s.to, end); i++ {
			if c.inflight[i] == nil && ch.blocks.has(i) && !c.log.Has(i) && !ch.refused(i) {
				return i, true, true
			}
		}
	}
	return 0, false, true
}
