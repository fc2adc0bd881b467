package replicate

import (
	"math/bits"
	"slices"

	"multicore/hypercore/wire"
)

// wanted is a window that we sent a want for.
type wanted struct {
	window uint64
	next   uint64 // the blocks of it before this one are held
}

// survey asks the peer what it has, where that is not known and matters: in all
// that is to be downloaded, so far as a want may be asked for, and the rest as
// windows are done with. Single reads ask for their own window.
func (m *machine) survey(ch *channel) {
	c := ch.core
	if !c.downloads() || !c.reads() || !ch.them.synced {
		return
	}
	m.unwantHeld(ch)
	end := ch.end()
	from := max(ch.blocks.prefix, c.contiguous, ch.surveyed)
	for at := c.desiredFrom(from); at < end; at = c.desiredFrom((at/wantWindow + 1) * wantWindow) {
		if len(ch.wanted) >= surveyWindows {
			m.surveyLater(c)
			return
		}
		m.want(ch, at)
	}
	for _, s := range c.aheads {
		for at := s.next; at < min(s.to, end); at = (at/wantWindow + 1) * wantWindow {
			if !ch.blocks.has(at) {
				m.want(ch, at)
			}
		}
	}
}

// surveyLater has tick look whether more wants can be sent.
func (m *machine) surveyLater(c *core) {
	if !c.surveying {
		c.surveying = true
		m.surveying = append(m.surveying, c)
	}
}

// surveyOn sends the wants for which there was no room. A peer that has nothing
// more to give of the windows asked for so far is asked about the next ones.
func (m *machine) surveyOn() {
	list := m.surveying
	m.surveying = nil
	for _, c := range list {
		c.surveying = false
		for _, ch := range c.channels {
			m.unwantHeld(ch)
			if len(ch.wanted) >= surveyWindows && !ch.isHungry && ch.peer.inflight == 0 {
				last := uint64(0)
				for _, w := range ch.wanted {
					last = max(last, w.window)
					m.unwant(ch, w.window)
				}
				ch.wanted = ch.wanted[:0]
				ch.surveyed = (last + 1) * wantWindow
			}
			m.survey(ch)
		}
	}
}

// want asks the peer once to tell what it has in the window of a block. Where it
// was asked about as many as it needs to bear with, that about the oldest ends.
func (m *machine) want(ch *channel, block uint64) {
	n := block / wantWindow
	if slices.ContainsFunc(ch.wanted, func(w wanted) bool { return w.window == n }) {
		return
	}
	if len(ch.wanted) >= maxWindows {
		m.unwant(ch, ch.wanted[0].window)
		ch.wanted = ch.wanted[1:]
	}
	ch.wanted = append(ch.wanted, wanted{n, n * wantWindow})
	m.tell(ch, wire.Want{Start: n * wantWindow, Length: wantWindow})
}

func (m *machine) unwant(ch *channel, window uint64) {
	m.tell(ch, wire.Unwant{Start: window * wantWindow, Length: wantWindow})
}

// unwantHeld ends the wants about windows that are held whole.
func (m *machine) unwantHeld(ch *channel) {
	c := ch.core
	var held [64]uint32
	keep := ch.wanted[:0]
	for _, w := range ch.wanted {
		end := (w.window + 1) * wantWindow
		w.next = max(w.next, min(c.contiguous, end))
		for missing := false; w.next < end && !missing; {
			c.log.Held(w.next&^31, held[:])
			at := w.next &^ 31
			for _, have := range held {
				if have |= 1<<(max(w.next, at)-at) - 1; have != ^uint32(0) {
					w.next, missing = at+uint64(bits.TrailingZeros32(^have)), true
					break
				}
				at += 32
				w.next = at
			}
		}
		if w.next >= end {
			m.unwant(ch, w.window)
			continue
		}
		keep = append(keep, w)
	}
	ch.wanted = keep
}
