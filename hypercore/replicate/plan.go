package replicate

import (
	"math/bits"
	"slices"
	"time"
)

const (
	// rarities is how many counts of peers are told apart; the last is for all
	// that have more.
	rarities = 8

	// runBytes is about how many bytes of neighbouring blocks are asked for
	// together, as far as they lie in one word of 32.
	runBytes = 64 << 10

	maxFresh = 64       // pages that a plan remembers to look at first
	maxRuns  = pageBits // entries of a plan beyond which it is made anew
	lookMost = 128      // pages that one search looks at
)

// plan is in which order a peer is asked for blocks in a swarm: those that few
// peers have come first, and of these any, so that the readers of one writer
// fetch different blocks and have something to give each other.
//
// It goes by pages of 32,768 blocks, from a page that was drawn on to the end
// and then from the first: a plan of all blocks of a large log would cost more
// than it gains. Each page is looked at once. What the peers announce later
// makes blocks less rare; that is seen when a block's turn comes, which then
// moves back among those as rare as it is. So a pick costs a few words of the
// bitfields, whatever the length.
type plan struct {
	fork, end uint64 // of the log, as far as the plan goes

	turn  uint64    // page at which the round began
	hands [2]uint64 // the next page of [turn, ...) and of [0, turn)
	fresh []uint64  // pages with news, which come before

	page uint64 // the one that is asked for; none if !made
	made bool
	run  uint64             // blocks of an entry
	rare [rarities][]uint16 // runs, by their first block in the page, of each rarity
	runs int                // in rare

	at   uint64 // what is left of the run whose turn it is:
	rest uint32 // bits of the word at
}

// reset begins anew.
func (p *plan) reset(fork, turn uint64) {
	*p = plan{fork: fork, turn: turn, hands: [2]uint64{turn, 0}}
}

// nextRare finds the next block of a channel's plan. looked is false where the
// search stopped before the end.
func (m *machine) nextRare(ch *channel) (block uint64, ok, looked bool) {
	c, end := ch.core, ch.end()
	p := ch.plan
	switch {
	case p == nil:
		p = new(plan)
		ch.plan = p
		p.reset(c.fork, m.random.Uint64N(end/pageBits+1))
	case p.fork != c.fork || end < p.end:
		p.reset(c.fork, m.random.Uint64N(end/pageBits+1))
	case end > p.end && p.end > 0:
		grown := extent{p.end, end}
		p.end = end
		p.add(ch, grown)
	}
	p.end = end
	for pages := 0; ; {
		for p.rest != 0 {
			i := p.at + uint64(bits.TrailingZeros32(p.rest))
			p.rest &= p.rest - 1
			if c.inflight[i] == nil && !ch.refused(i) {
				return i, true, true
			}
		}
		if m.nextRun(ch) {
			continue
		}
		if pages++; pages > lookMost {
			return 0, false, false
		}
		if !p.turnPage(ch) {
			return 0, false, true
		}
	}
}

// nextRun takes the rarest run of the page, any of several. False: none is left.
func (m *machine) nextRun(ch *channel) bool {
	c, p := ch.core, ch.plan
	for k := 0; k < rarities; {
		list := p.rare[k]
		if len(list) == 0 {
			k++
			continue
		}
		at := m.random.IntN(len(list))
		first := uint64(list[at])
		list[at] = list[len(list)-1]
		p.rare[k] = list[:len(list)-1]
		p.runs--
		word := p.page*pageBits + first&^31
		lacking := ch.free(word, ch.lackingIn(word, p.end)&runMask(first, p.run))
		if lacking == 0 {
			continue
		}
		now, which := c.rarest(word, lacking)
		if now <= k {
			p.at, p.rest = word, which
			if lacking &^= which; lacking == 0 {
				return true
			}
			now, _ = c.rarest(word, lacking)
		}
		// Peers got it since, or more of them have other blocks of the run.
		p.rare[now] = append(p.rare[now], uint16(first))
		p.runs++
		if p.rest != 0 {
			return true
		}
	}
	p.made = false
	return false
}

// runMask gives the bits of a run in its word.
func runMask(first, run uint64) uint32 {
	return uint32((uint64(1)<<run - 1) << (first % 32))
}

// turnPage goes to the next page in which there is something to ask for. False:
// there is none.
func (p *plan) turnPage(ch *channel) bool {
	for len(p.fresh) > 0 {
		n := p.fresh[len(p.fresh)-1]
		p.fresh = p.fresh[:len(p.fresh)-1]
		if p.make(ch, n) {
			return true
		}
	}
	for h := range p.hands {
		stop := (p.end + pageBits - 1) / pageBits
		if h == 1 {
			stop = min(stop, p.turn)
		}
		for p.hands[h] < stop {
			n := max(p.hands[h], ch.core.contiguous/pageBits)
			n = max(n, ch.core.desiredFrom(n*pageBits)/pageBits)
			n, ok := ch.blocks.nextPage(n)
			if !ok || n >= stop {
				p.hands[h] = stop
				break
			}
			p.hands[h] = n + 1
			if p.make(ch, n) {
				return true
			}
		}
	}
	return false
}

// make plans a page. False: there is nothing to ask for.
func (p *plan) make(ch *channel, n uint64) bool {
	c := ch.core
	p.page, p.made, p.runs = n, false, 0
	for k := range p.rare {
		p.rare[k] = p.rare[k][:0]
	}
	p.run = 1
	for p.run < 32 && int(2*p.run)*c.average <= runBytes {
		p.run *= 2
	}
	var held [64]uint32
	for start := n * pageBits; start < min((n+1)*pageBits, p.end); start += 32 * uint64(len(held)) {
		c.log.Held(start, held[:])
		for w, have := range held {
			at := start + 32*uint64(w)
			if lacking := ch.lacking(at, have, p.end); lacking != 0 {
				p.put(c, at, lacking)
			}
		}
	}
	p.made = p.runs > 0
	return p.made
}

// put adds the runs of a word, each to the list of its rarest blocks.
func (p *plan) put(c *core, at uint64, lacking uint32) {
	for first := at % pageBits; lacking != 0; first += p.run {
		mask := runMask(first, p.run)
		if run := lacking & mask; run != 0 {
			k, _ := c.rarest(at, run)
			p.rare[k] = append(p.rare[k], uint16(first))
			p.runs++
		}
		lacking &^= mask
	}
}

// add takes it that blocks may be asked for that could not be, or that lay
// behind what was looked at.
func (p *plan) add(ch *channel, e extent) {
	if e.to = min(e.to, ch.end()); e.from >= e.to {
		return
	}
	from, to := e.from/pageBits, (e.to-1)/pageBits
	if from == to && p.made && from == p.page && e.to-e.from <= 1024 && p.runs < maxRuns {
		for at := e.from &^ 31; at < e.to; at += 32 {
			if lacking := ch.lackingIn(at, p.end); lacking != 0 {
				p.put(ch.core, at, lacking)
			}
		}
		return
	}
	if to-from < 4 {
		for ; from <= to && len(p.fresh) < maxFresh; from++ {
			if from == p.page {
				p.made, p.rest = false, 0
			}
			if !slices.Contains(p.fresh, from) {
				p.fresh = append(p.fresh, from)
			}
		}
	}
	if from <= to {
		p.hands[0] = min(p.hands[0], max(from, p.turn))
		p.hands[1] = min(p.hands[1], from)
	}
}

// again has the page made anew, since blocks of it got rarer.
func (p *plan) again() {
	if p.made {
		p.made, p.rest = false, 0
		p.fresh = append(p.fresh, p.page)
	}
}

// end is where the blocks end that the peer can be asked for.
func (ch *channel) end() uint64 { return min(ch.core.length, ch.them.length) }

// lackingIn is lacking, where what we hold is not at hand.
func (ch *channel) lackingIn(at, end uint64) uint32 {
	var held [1]uint32
	ch.core.log.Held(at, held[:])
	return ch.lacking(at, held[0], end)
}

// lacking gives the blocks of the word at that are to be downloaded, that are
// not held, as held says, and that the peer has.
func (ch *channel) lacking(at uint64, held uint32, end uint64) uint32 {
	if at >= end {
		return 0
	}
	w := ^held & ch.blocks.word(at)
	if w == 0 {
		return 0
	}
	if end-at < 32 {
		w &= 1<<(end-at) - 1
	}
	return w & ch.core.desired(at)
}

// free takes off blocks of a word what is under way, and what the peer refused.
func (ch *channel) free(at uint64, lacking uint32) uint32 {
	for left := lacking; left != 0; left &= left - 1 {
		i := uint64(bits.TrailingZeros32(left))
		if ch.core.inflight[at+i] != nil || ch.refused(at+i) {
			lacking &^= 1 << i
		}
	}
	return lacking
}

// refused says whether the peer answered a request for a block with noData.
func (ch *channel) refused(i uint64) bool {
	_, denied := ch.denied[i]
	return denied
}

// rarest gives those of some blocks of a word that the fewest peers have, and
// which of the rarities they are of.
func (c *core) rarest(at uint64, of uint32) (rarity int, which uint32) {
	var have [rarities]uint32 // bits of blocks that more than k peers have
	for _, ch := range c.channels {
		w := ch.blocks.word(at) & of
		for k := rarities - 1; k > 0; k-- {
			have[k] |= have[k-1] & w
		}
		have[0] |= w
	}
	for k := range rarities - 1 {
		if which = of &^ have[k+1]; which != 0 {
			return k, which
		}
	}
	return rarities - 1, of
}

// diverse says whether the readers of a core gain from fetching different
// blocks: some peer lacks blocks.
func (c *core) diverse() bool {
	if len(c.channels) < 2 {
		return false
	}
	for _, ch := range c.channels {
		if ch.blocks.prefix < c.length {
			return true
		}
	}
	return false
}

// missed has blocks looked at again, on all channels.
func (m *machine) missed(c *core, e extent, now time.Time) {
	for _, ch := range c.channels {
		ch.missed(e)
		m.eager(ch, now)
	}
}

// missed takes it that blocks may be asked for on a channel that could not be.
func (ch *channel) missed(e extent) {
	ch.cursor = min(ch.cursor, e.from)
	if ch.plan != nil {
		ch.plan.add(ch, e)
	}
}
