package replicate

import (
	"slices"

	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// served is a request of a peer that waits for its answer.
type served struct {
	ch      *channel
	channel uint64 // our id of it
	id      uint64
	request merkle.Request
	log     log
	over    bool
}

// serveQueue is a queue of requests of one priority.
type serveQueue struct{ list []*served }

func (q *serveQueue) push(s *served) { q.list = append(q.list, s) }

func (q *serveQueue) pop() *served {
	for len(q.list) > 0 {
		s := q.list[0]
		q.list[0] = nil
		q.list = q.list[1:]
		if !s.over {
			return s
		}
	}
	q.list = nil
	return nil
}

func (q *serveQueue) len() int { return len(q.list) }

// compact forgets what was cancelled.
func (q *serveQueue) compact() {
	q.list = slices.DeleteFunc(q.list, func(s *served) bool { return s.over })
}

// requested takes a request of the peer.
func (m *machine) requested(ch *channel, q wire.Request) error {
	p, c := ch.peer, ch.core
	m.cancelled(ch, q.ID) // the same id again replaces the first
	r := q.Request
	if r.Fork != c.fork {
		if !r.Manifest || !c.hasManifest {
			m.tell(ch, wire.NoData{ID: q.ID, Reason: wire.ReasonNotAvailable})
			return nil
		}
		r = merkle.Request{Fork: c.fork, Manifest: true}
	}
	if r.Upgrade != nil && q.ID != 0 {
		if length := r.Upgrade.Start + r.Upgrade.Length; length <= c.length {
			ch.agree(length) // it has what we tell it, or sees that it is not so
		}
	}
	rank := 1
	if q.Priority > 0 {
		rank = 0
	}
	if p.serving[0].len()+p.serving[1].len() >= maxQueued {
		p.serving[0].compact()
		p.serving[1].compact()
		if p.waiting >= maxQueued {
			return blame("%d requests wait for an answer", p.waiting)
		}
	}
	s := &served{ch: ch, channel: ch.local, id: q.ID, request: r, log: c.log}
	if ch.answers == nil {
		ch.answers = make(map[uint64]*served)
	}
	ch.answers[q.ID] = s
	p.serving[rank].push(s)
	p.waiting++
	m.wake(p)
	return nil
}

// cancelled takes a cancel of the peer.
func (m *machine) cancelled(ch *channel, id uint64) {
	if s := ch.answers[id]; s != nil {
		s.over = true
		ch.answered(id)
		ch.peer.waiting--
	}
}

// answered forgets a request; most channels have none most of the time.
func (ch *channel) answered(id uint64) {
	if delete(ch.answers, id); len(ch.answers) == 0 {
		ch.answers = nil
	}
}

// nextServed gives the request to be answered next; nil: none waits.
func (m *machine) nextServed(p *peer) *served {
	s := p.serving[0].pop()
	if s == nil {
		s = p.serving[1].pop()
	}
	if s == nil {
		return nil
	}
	s.over = true
	p.waiting--
	s.ch.answered(s.id)
	return s
}

// invalidAsked counts requests that no prover could answer.
func (m *machine) invalidAsked(p *peer) error {
	p.invalid++
	if p.invalid >= maxInvalid {
		return blame("%d requests that cannot be answered", p.invalid)
	}
	return nil
}
