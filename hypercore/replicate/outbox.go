package replicate

import (
	"math"

	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// outgoing is one message for a peer. The loops complete some of them from the
// log just before sending: the nodes that a request asks for, and whether a
// sync may promise an upgrade.
type outgoing struct {
	channel uint64 // our id; 0: control
	message wire.Message
	opens   *core // the message is our open of it
	request *request
	urgent  bool   // the request is not to wait behind downloads
	length  uint64 // of the peer that is asked
	log     log
	probe   *merkle.UpgradeRequest
	// evidence is what a frozen core shows of its head, as data with request id 0.
	evidence *merkle.Request
	size     int // bytes it counts for in peer.queued
}

// control queues a message of channel 0.
func (m *machine) control(p *peer, message wire.Message, size int) {
	m.push(p, outgoing{message: message}, size)
}

// tell queues a message on a channel.
func (m *machine) tell(ch *channel, message wire.Message) {
	m.push(ch.peer, outgoing{channel: ch.local, message: message}, 16)
}

func (m *machine) push(p *peer, o outgoing, size int) {
	if p.gone {
		return
	}
	o.size = size + 64
	p.control = append(p.control, o)
	p.queued += o.size
	m.wake(p)
}

// overrun says whether a peer lets too much queue up towards it.
func (p *peer) overrun() error {
	if p.queued > maxControl {
		return blame("does not read what it asks for: %d bytes wait", p.queued)
	}
	return nil
}

// next gives what is to be sent to p now, about most bytes of it, answers to
// requests aside. Nothing left: an empty list.
func (m *machine) next(p *peer, most int) []outgoing {
	if len(p.control) > 0 {
		list := p.control
		if len(list) > 1024 {
			list = list[:1024]
		}
		p.control = p.control[len(list):]
		if len(p.control) == 0 {
			p.control = nil
		}
		keep := list[:0]
		for _, o := range list {
			p.queued -= o.size
			if r := o.request; r != nil {
				if r.over {
					continue
				}
				r.ready, r.erased = true, r.ch.core.log.Info().Erased
				if r.kind == forUpgrade {
					m.carry(r)
				}
				o.urgent, o.length = r.fetch != nil || r.kind != forBlock, r.ch.them.length
			}
			keep = append(keep, o)
		}
		if len(keep) > 0 {
			return keep
		}
		return m.next(p, most)
	}
	var list []outgoing
	for len(p.due) > 0 && most > 0 {
		ch := p.due[0]
		p.due = p.due[1:]
		ch.listed = false
		if ch.state == open {
			list, most = m.express(ch, list, most)
		}
	}
	if len(p.due) == 0 {
		p.due = nil
	}
	return list
}

// express puts what a channel has to say into messages.
func (m *machine) express(ch *channel, list []outgoing, most int) ([]outgoing, int) {
	c, what := ch.core, ch.what
	ch.what = 0
	emit := func(message wire.Message) {
		list = append(list, outgoing{channel: ch.local, message: message})
		most -= 16
	}
	if what&dueSync != 0 {
		s, probe := ch.sync()
		list = append(list, outgoing{channel: ch.local, message: s, log: c.log, probe: probe})
		most -= 24
	}
	if what&dueRange != 0 && c.contiguous > 0 {
		emit(wire.Range{Length: c.contiguous})
	}
	if what&dueNews != 0 {
		for _, e := range ch.news {
			if c.holds(&span{extent: e, next: e.from}) { // gaps were joined over, or cleared
				emit(wire.Range{Start: e.from, Length: e.to - e.from})
			} else {
				c.bitfields(e.from, e.to, math.MaxInt, emit)
			}
		}
		ch.news = ch.news[:0]
	}
	if what&dueWants != 0 && !m.tellWanted(ch, &most, emit) {
		m.dirty(ch, dueWants)
	}
	return list, most
}

// tellWanted answers wants; it reports whether all are answered.
func (m *machine) tellWanted(ch *channel, most *int, emit func(wire.Message)) bool {
	c := ch.core
	for i := range ch.wanting {
		w := &ch.wanting[i]
		end := w.start + w.length
		if w.next >= end {
			continue
		}
		if *most <= 0 {
			return false
		}
		switch {
		case c.length == 0:
			w.next = end
		case c.contiguous == c.length:
			emit(wire.Range{Length: c.length})
			for j := range ch.wanting {
				ch.wanting[j].next = ch.wanting[j].start + ch.wanting[j].length
			}
			return true
		case w.any && c.contiguous > w.start:
			emit(wire.Range{Length: c.contiguous})
			w.next = end
		case w.any:
			if first, ok := c.firstHeld(w.start, end); ok {
				emit(wire.Range{Start: first, Length: 1})
			}
			w.next = end
		default:
			sent := 0
			w.next = c.bitfields(w.next, end, *most, func(message wire.Message) {
				emit(message)
				sent += 4 * len(message.(wire.Bitfield).Words)
			})
			*most -= sent
			if w.next >= min(end, c.length) {
				w.next = end
			}
		}
	}
	return true
}
