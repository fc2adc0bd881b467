package replicate

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"multicore/hypercore/merkle"
)

// scanWords bounds how far one search for a block to download looks.
const scanWords = 1 << 15

// assign asks the most reliable of the peers that have it for what somebody
// waits for, of equals the one that will answer first; or lists it as waiting.
func (m *machine) assign(c *core, f *fetch, now time.Time) {
	if f.over || f.request != nil {
		return
	}
	if c.broken != nil {
		m.finish(c, f, c.broken)
		return
	}
	var best *channel
	full := false
	for _, ch := range c.channels {
		if !ch.serves(f, now) {
			continue
		}
		if !ch.peer.room(true) {
			full = true
		} else if best == nil || cmp.Or(cmp.Compare(ch.peer.late, best.peer.late),
			cmp.Compare(ch.peer.wait(), best.peer.wait()), cmp.Compare(ch.peer.inflight, best.peer.inflight)) < 0 {
			best = ch
		}
	}
	if best != nil {
		m.askFor(best, f, now)
		return
	}
	if !f.listed {
		f.listed = true
		if len(c.waiting) >= 64 && len(c.waiting) >= 2*len(c.fetches) { // most are over
			c.waiting = slices.DeleteFunc(c.waiting, func(f *fetch) bool {
				f.listed = !f.over
				return f.over
			})
		}
		c.waiting = append(c.waiting, f)
	}
	for _, ch := range c.channels {
		if full {
			ch.read()
		}
		if f.want.kind == forBlock && ch.usable(now) && f.want.index < ch.them.length && !ch.blocks.has(f.want.index) {
			m.want(ch, f.want.index)
		}
	}
}

// askFor asks a peer for what somebody waits for.
func (m *machine) askFor(ch *channel, f *fetch, now time.Time) {
	r := &request{kind: f.want.kind, index: f.want.index, fetch: f}
	f.request = r
	m.ask(ch, r, now)
}

// serves says whether a peer can be asked for f.
func (ch *channel) serves(f *fetch, now time.Time) bool {
	if !ch.usable(now) || f.denied(ch) {
		return false
	}
	end := min(ch.core.length, ch.them.length)
	switch f.want.kind {
	case forBlock:
		return f.want.index < end && ch.blocks.has(f.want.index) && !ch.refused(f.want.index)
	case forNode:
		_, hi := merkle.Span(f.want.index)
		return hi/2 < end
	default:
		return end > 0 && ch.seeks
	}
}

// eager looks for work for a peer after something changed on a channel.
func (m *machine) eager(ch *channel, now time.Time) {
	if ch.state != open {
		return
	}
	ch.read()
	if ch.core.downloads() && !ch.isHungry {
		ch.isHungry = true
		ch.peer.hungry = append(ch.peer.hungry, ch)
	}
	m.fill(ch.peer, now)
}

// read lists the channel as one that may serve waiting fetches.
func (ch *channel) read() {
	if len(ch.core.waiting) > 0 && !ch.isReader {
		ch.isReader = true
		ch.peer.readers = append(ch.peer.readers, ch)
	}
}

// fill asks a peer for as much as its window takes: what somebody waits for
// first, then downloads, in turns between cores.
func (m *machine) fill(p *peer, now time.Time) {
	if p.gone || p.resting(now) {
		return
	}
	for len(p.readers) > 0 && p.room(true) {
		ch := p.readers[0]
		if ch.state == open && !m.readFrom(ch, now) {
			break
		}
		ch.isReader = false
		p.readers = p.readers[1:]
	}
	if p.inflight > windowRequests*3/4 {
		return // wait, so that many requests share a frame
	}
	for len(p.hungry) > 0 && p.room(false) {
		ch := p.hungry[0]
		p.hungry = p.hungry[1:]
		more := false
		if ch.state == open && ch.core.downloads() && ch.core.reads() && ch.usable(now) && !ch.behind {
			more = m.downloadFrom(ch, now)
		}
		if !more {
			ch.isHungry = false
			continue
		}
		p.hungry = append(p.hungry, ch)
	}
}

// readFrom asks for the waiting fetches that a peer can serve. False: no room.
func (m *machine) readFrom(ch *channel, now time.Time) bool {
	c := ch.core
	keep := c.waiting[:0]
	room := true
	for _, f := range c.waiting {
		switch {
		case f.over || f.request != nil:
			f.listed = false
		case !ch.serves(f, now):
			keep = append(keep, f)
			if f.want.kind == forBlock && ch.usable(now) && f.want.index < ch.them.length && !ch.blocks.has(f.want.index) {
				m.want(ch, f.want.index)
			}
		case !ch.peer.room(true):
			keep = append(keep, f)
			room = false
		default:
			f.listed = false
			m.askFor(ch, f, now)
		}
	}
	clear(c.waiting[len(keep):])
	c.waiting = keep
	return room
}

// downloadFrom asks for a few blocks of a core in turn. False: it has no more.
// What somebody is about to read goes first. A swarm is asked for the rarest
// blocks, but peers that have everything in order: that suits disks and needs
// the fewest nodes.
func (m *machine) downloadFrom(ch *channel, now time.Time) bool {
	rare := ch.core.diverse()
	for range 32 {
		if !ch.peer.room(false) {
			return true
		}
		i, ok, looked := ch.nextAhead()
		switch {
		case ok:
		case !ch.core.download:
			return false
		case rare:
			i, ok, looked = m.nextRare(ch)
		default:
			i, ok, looked = ch.nextInOrder()
		}
		if !ok {
			return !looked
		}
		m.ask(ch, &request{kind: forBlock, index: i}, now)
	}
	return true
}

// nextInOrder finds the next block that is not held, not under way, and that
// the peer has. looked is false where the search stopped before the end.
func (ch *channel) nextInOrder() (block uint64, ok, looked bool) {
	c, end := ch.core, ch.end()
	ch.cursor = max(ch.cursor, min(c.contiguous, end))
	var held [64]uint32
	for scanned, n := 0, 1; ch.cursor < end; n = len(held) {
		if scanned > scanWords {
			return 0, false, false
		}
		if n > 1 {
			ch.cursor = min(ch.blocks.next(c.desiredFrom(ch.cursor)), end)
		}
		start := ch.cursor &^ 31
		words := held[:min(uint64(n), (end-start+31)/32)]
		c.log.Held(start, words)
		scanned += len(words)
		for w, have := range words {
			at := start + 32*uint64(w)
			miss := ch.lacking(at, have, end)
			if at < ch.cursor {
				miss &= ^uint32(0) << (ch.cursor - at)
			}
			for ; miss != 0; miss &= miss - 1 {
				i := at + uint64(bits.TrailingZeros32(miss))
				if !ch.refused(i) && c.inflight[i] == nil {
					ch.cursor = i + 1
					return i, true, true
				}
			}
			ch.cursor = min(at+32, end)
		}
	}
	return 0, false, true
}
