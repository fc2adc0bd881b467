package replicate

import (
	"slices"
	"time"
)

// relieve moves requests away from a peer that does not answer them, or that is
// slow while others have nothing to do.
func (m *machine) relieve(p *peer, now time.Time) {
	silence, flows := now.Sub(p.answered), now.Sub(p.moved) <= stallAfter
	stalled := silence > stallAfter && !flows || silence > silentAfter && !(flows && p.mayAnswer())
	asked := p.asked[:0]
	var late, moved, slow []*request
	for _, r := range p.asked {
		if r.over {
			continue
		}
		asked = append(asked, r)
		age := now.Sub(r.sent)
		switch {
		case r.applying:
		case r.ready && (stalled && age > stallAfter || age > giveUpAfter && p.newest.After(r.sent)):
			late = append(late, r)
		case r.kind == forBlock && r.twin == nil && (r.fetch != nil || age <= silentAfter):
			slow = append(slow, r)
		case age > moveAfter && (r.kind != forBlock || r.fetch != nil || age > silentAfter) && m.elsewhere(r, now) != nil:
			moved = append(moved, r)
		}
	}
	clear(p.asked[len(asked):])
	p.asked = asked
	moved = slices.DeleteFunc(moved, func(r *request) bool {
		return r.kind == forBlock && r.fetch == nil && r.twin == nil && !m.move(r, now)
	})
	if len(late)+len(moved) > 0 {
		m.failed(p, now)
	}
	if len(late) > 0 {
		m.note("peer is slow, its requests move to others", "peer", p.name, "requests", len(late))
		m.rest(p, now)
	} else if !p.restUntil.IsZero() && !p.resting(now) {
		m.wakeUp(p, now)
	}
	for _, r := range append(late, moved...) {
		if !r.over {
			m.cancel(r)
			m.again(r, now)
		}
	}
	tries := hedgeTries
	for _, r := range slow {
		if tries == 0 {
			break
		}
		if !r.over && !m.hedge(r, now) {
			tries--
		}
	}
}

// failed notes that a peer let requests lie, once a second at most.
func (m *machine) failed(p *peer, now time.Time) {
	if p.late > 0 && now.Sub(p.failedAt) < time.Second {
		return
	}
	p.failedAt = now
	p.late++
	p.lateAt = p.delivery.answers
	p.delivery.shrink()
}

// forgetLate lets a peer that has answered much since be as good as others.
func (p *peer) forgetLate() {
	if p.late > 0 && p.delivery.answers-p.lateAt >= lateFor {
		p.late--
		p.lateAt = p.delivery.answers
	}
}

// hedge asks a second peer for a block, where that one has time and is likely to
// be quicker: the last blocks of a download must not wait for the slowest peer.
// The first to answer ends the other request. A peer that lets a request lie
// for skipAfter while it answers others has failed, and what is skipped does
// not wait for a peer with nothing else to do. False: there is nobody to ask.
func (m *machine) hedge(r *request, now time.Time) bool {
	p := r.ch.peer
	age, left := now.Sub(r.sent), r.remaining(now)
	if left < hedgeAfter {
		return true
	}
	skipped := p.delivery.lag > 0 && age > max(skipAfter, 4*p.delivery.lag)
	best := r.ch.core.quickest(r, skipped || r.fetch != nil, now)
	if best == nil || left < hedgeAfter+4*best.peer.delivery.lag || !skipped && best.peer.hedges >= maxHedges {
		return false
	}
	if skipped {
		m.failed(p, now)
	}
	m.double(r, best, now)
	return true
}

// quickest finds who else could be asked for a block, nil if nobody has room.
func (c *core) quickest(r *request, urgent bool, now time.Time) (best *channel) {
	for _, ch := range c.channels {
		p := ch.peer
		if p == r.ch.peer || p.late > r.ch.peer.late && !r.isLong(now) || !p.room(urgent) || !ch.gives(r.index, now) ||
			r.fetch != nil && r.fetch.denied(ch) {
			continue
		}
		if best == nil || p.wait() < best.peer.wait() {
			best = ch
		}
	}
	return best
}

// gives says whether a block can be asked for on a channel.
func (ch *channel) gives(i uint64, now time.Time) bool {
	if !ch.usable(now) || ch.behind || i >= min(ch.core.length, ch.them.length) || !ch.blocks.has(i) {
		return false
	}
	_, denied := ch.denied[i]
	return !denied
}

// double asks for a block on a second channel. The new request is the one in
// the books; the old one takes its place again if it fails.
func (m *machine) double(r *request, ch *channel, now time.Time) {
	second := &request{kind: forBlock, index: r.index, fetch: r.fetch, twin: r}
	if f := r.fetch; f != nil {
		r.fetch, f.request = nil, second
	}
	r.twin = second
	ch.peer.hedges++
	second.hedge = true
	m.ask(ch, second, now)
}

// outrun cancels a request for a block that came from another peer.
func (m *machine) outrun(r *request, now time.Time) {
	if r == nil || r.over || r.applying {
		return
	}
	p := r.ch.peer
	if now.Sub(r.sent) > max(skipAfter, 4*p.delivery.lag) {
		m.failed(p, now)
	}
	m.cancel(r)
	m.fill(p, now)
}

// part ends the tie of a request that is over with its twin, which takes over
// what waits for it.
func (r *request) part() {
	other := r.twin
	if other == nil {
		return
	}
	r.twin, other.twin = nil, nil
	c := r.ch.core
	if c.inflight[r.index] == nil {
		if c.inflight == nil {
			c.inflight = make(map[uint64]*request)
		}
		c.inflight[r.index] = other
	}
	if f := r.fetch; f != nil && other.fetch == nil && !f.over {
		r.fetch, other.fetch, f.request = nil, f, other
	}
}

// overtake asks a peer, at the moment at which it says that it has a block, for
// it where it is under way from a peer with a long queue, and cancels it there:
// in a swarm whose writer is slow, what one reader got the others take from it.
func (m *machine) overtake(ch *channel, e extent, now time.Time) {
	c, p := ch.core, ch.peer
	if e.to-e.from > maxOvertake || len(c.inflight) == 0 || p.strikes > 0 {
		return
	}
	for i := e.from; i < e.to; i++ {
		r := c.inflight[i]
		if r == nil || r.ch.peer == p || r.applying || r.twin != nil || p.late > r.ch.peer.late ||
			r.remaining(now) < overtakeAfter+4*p.wait() || !p.room(r.fetch != nil) || !ch.gives(i, now) {
			continue
		}
		f := r.fetch
		slow := r.ch.peer
		m.cancel(r)
		m.ask(ch, &request{kind: forBlock, index: i, fetch: f}, now)
		if f != nil {
			f.request = c.inflight[i]
		}
		m.fill(slow, now)
	}
}
