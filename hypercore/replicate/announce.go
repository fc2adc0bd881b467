package replicate

import (
	"math/bits"
	"time"

	"multicore/hypercore/wire"
)

// extent is a stretch of blocks [from, to).
type extent struct{ from, to uint64 }

// window is a stretch that a peer wants to hear about.
type window struct {
	start, length uint64
	any           bool
	next          uint64 // blocks before it were told; start+length: all
}

const (
	maxNews       = 64   // stretches told one by one, else as a bitfield
	bitfieldWords = 1024 // words of one bitfield message
)

// announce tells peers of blocks that are held now.
func (m *machine) announce(c *core, from, to uint64) {
	for _, ch := range c.channels {
		if c.contiguous == c.length {
			ch.news = ch.news[:0]
			m.dirty(ch, dueRange)
			if ch.them.length < c.length { // now we can prove what it lacks
				m.dirty(ch, dueSync)
			}
		} else if to-from > 1 || ch.them.fork != c.fork || !ch.blocks.has(from) {
			ch.news = addExtent(ch.news, extent{from, to})
			m.dirty(ch, dueNews)
		}
	}
}

// cleared tells peers of blocks that are not held any more. What is still to be
// announced is put into words by what is held at that time.
func (m *machine) cleared(c *core, from, to uint64) {
	for _, ch := range c.channels {
		m.tell(ch, wire.Range{Drop: true, Start: from, Length: to - from})
		m.dirty(ch, dueSync)
	}
}

// addExtent joins e to a list, which stays short: beyond maxNews the last two
// are joined over the gap between them, and told as bits.
func addExtent(list []extent, e extent) []extent {
	if n := len(list); n > 0 {
		last := &list[n-1]
		if e.from <= last.to && last.from <= e.to || n >= maxNews {
			last.from, last.to = min(last.from, e.from), max(last.to, e.to)
			return list
		}
	}
	return append(list, e)
}

// ranged takes a range message.
func (m *machine) ranged(ch *channel, r wire.Range, now time.Time) {
	if r.Drop {
		ch.blocks.remove(r.Start, r.Start+r.Length, ch.limit())
		for _, x := range ch.core.channels {
			if x.plan != nil { // what is dropped gets rarer
				x.plan.again()
			}
		}
		return
	}
	first, grown := ch.blocks.add(r.Start, r.Start+r.Length, ch.limit())
	m.learned(ch, extent{r.Start, r.Start + r.Length}, first, grown, now)
}

// bitfield takes a bitfield message.
func (m *machine) bitfield(ch *channel, b wire.Bitfield, now time.Time) {
	to := b.Start + 32*uint64(len(b.Words))
	first, grown := ch.blocks.overwrite(b.Start, b.Words, ch.limit())
	m.learned(ch, extent{b.Start, to}, first, grown, now)
}

// limit is the block up to which single bits of the peer are remembered.
func (ch *channel) limit() uint64 {
	return max(ch.them.length, ch.core.length) + pageBits
}

func (m *machine) learned(ch *channel, e extent, first uint64, grown bool, now time.Time) {
	for i := range ch.denied {
		if i >= e.from && i < e.to && ch.blocks.has(i) {
			delete(ch.denied, i)
			first, grown = min(first, i), true
		}
	}
	if !grown {
		return
	}
	ch.missed(extent{first, e.to})
	ch.forgive()
	m.overtake(ch, extent{first, e.to}, now)
	m.eager(ch, now)
}

// wants takes a want. Lengths that the protocol does not know are ignored, and
// so is what is beyond the bounds.
func (m *machine) wants(ch *channel, w wire.Want) {
	if w.Length < wire.MinWant || w.Length > wire.WantWindow || bits.OnesCount64(w.Length) != 1 || w.Start%w.Length != 0 {
		return
	}
	anys := 0
	for i := range ch.wanting {
		if v := &ch.wanting[i]; v.start == w.Start && v.length == w.Length && v.any == w.Any {
			v.next = v.start
			m.dirty(ch, dueWants)
			return
		} else if v.any {
			anys++
		}
	}
	if len(ch.wanting) >= maxWindows || ch.peer.wants >= maxPeerWants || w.Any && anys >= maxAny {
		return
	}
	ch.peer.wants++
	ch.wanting = append(ch.wanting, window{start: w.Start, length: w.Length, any: w.Any, next: w.Start})
	m.dirty(ch, dueWants)
}

// unwants takes an unwant.
func (m *machine) unwants(ch *channel, w wire.Want) {
	for i, v := range ch.wanting {
		if v.start == w.Start && v.length == w.Length && v.any == w.Any {
			ch.wanting = append(ch.wanting[:i], ch.wanting[i+1:]...)
			ch.peer.wants--
			return
		}
	}
}

// bitfields puts what we hold in [from, to) into messages, at most about most
// bytes of them, and gives the block to go on from.
func (c *core) bitfields(from, to uint64, most int, emit func(wire.Message)) uint64 {
	from &^= 31
	to = min(to, c.length)
	for from < to && most > 0 {
		n := min((to-from+31)/32, bitfieldWords)
		words := make([]uint32, n)
		c.log.Held(from, words)
		if to-from < 32*n { // nothing beyond what peers may see
			words[n-1] &= 1<<((to-from)%32) - 1
		}
		last := len(words)
		for last > 0 && words[last-1] == 0 {
			last--
		}
		if last > 0 {
			emit(wire.Bitfield{Start: from, Words: words[:last]})
			most -= 4 * last
		}
		most -= 16
		from += 32 * n
	}
	return from
}

// firstHeld finds a block held in [from, to).
func (c *core) firstHeld(from, to uint64) (uint64, bool) {
	if from < c.contiguous {
		return from, true
	}
	var words [64]uint32
	to = min(to, c.length)
	for at := from &^ 31; at < to; at += 32 * uint64(len(words)) {
		c.log.Held(at, words[:])
		for i, w := range words {
			if w != 0 {
				first := at + 32*uint64(i) + uint64(bits.TrailingZeros32(w))
				return first, first < to
			}
		}
	}
	return 0, false
}
