package replicate

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/wire"
)

// A channel is one core on one stream (spec 11, 12):
//
//	          our open                 their open
//	(none) ------------> opening -------------------> open ---> (gone)
//	   |                    | we close                 ^  either closes
//	   |                    v                          |
//	   |                 closing --> (gone), when their open or reject came
//	   +------------------ their open, ours sent ------+
//
// Nothing but our open is sent before theirs came with a valid capability.
type channel struct {
	id     hypercore.DiscoveryKey
	core   *core // nil while closing
	peer   *peer
	state  channelState
	at     int // in peer.order
	local  uint64
	remote uint64

	them   them
	blocks blockSet
	denied map[uint64]struct{} // blocks it announced and answered with noData
	opened time.Time
	seeks  bool // it answers seeks

	requests              map[uint64]*request // by id; what we asked
	coming                coming              // nodes that downloads will bring
	lastID                uint64
	lateLeft              int // answers to cancelled requests that may still come
	pushes                int
	wanted                []wanted // windows we sent a want for, the oldest first
	surveyed              uint64   // what the peer has before it is not asked for again
	cursor                uint64   // every block before it was looked at, where blocks are downloaded in order
	plan                  *plan    // where they are not
	behind                bool     // too short to prove what we lack, until it or our tree grows
	short                 bool     // it was too short for something,
	shortAt               uint64   // when core.proofs was this
	noUpgrade, noManifest bool     // asked and not given, until its state or ours changes
	noFork                bool     // the same for a higher fork
	probe                 *probe   // its head was asked for, to be compared with ours; nil where it was not

	probing  bool      // in machine.doubts
	agreed   uint64    // up to this length of our fork its log is ours
	compared time.Time // when its head was last asked for to see that

	answers map[uint64]*served // by id; what it asked
	wanting []window           // stretches it wants to hear about

	what     due
	listed   bool     // in peer.due
	news     []extent // blocks to announce
	isReader bool     // in peer.readers
	isHungry bool     // in peer.hungry
}

type channelState int

const (
	opening channelState = iota
	open
	closing
	gone
)

// them is a peer's last sync.
type them struct {
	synced       bool
	fork, length uint64
	acked        uint64 // our length as it knows it, 0 if forks differ
	canUpgrade   bool
	uploading    bool
	downloading  bool
	hasManifest  bool
}

// reopening is a core that a peer closed although it had more to give.
type reopening struct {
	count int
	at    time.Time // zero: not now
}

// offer opens c towards p, if it may and p did not refuse it.
func (m *machine) offer(p *peer, c *core) {
	if p.channels[c.id] != nil || !c.opensTo(p) || len(p.channels) >= maxChannels {
		return
	}
	if _, no := p.refused[c.id]; no {
		return
	}
	m.newChannel(p, c)
}

// newChannel sends our open.
func (m *machine) newChannel(p *peer, c *core) *channel {
	ch := &channel{
		id: c.id, core: c, peer: p, local: p.ours.take(),
		blocks: blockSet{budget: &p.pages},
	}
	p.channels[c.id] = ch
	p.locals[ch.local] = ch
	delete(p.refused, c.id)
	m.push(p, outgoing{channel: ch.local, opens: c}, 0)
	return ch
}

// admit checks the id of an open against the rule of spec 11: freed before, or
// the next one.
func (p *peer) admit(id uint64) error {
	switch {
	case id == p.highest+1:
		p.highest = id
	case id == 0 || id > p.highest+1:
		return blame("open of channel %d, highest so far %d", id, p.highest)
	case p.bound[id] != nil:
		return blame("open of channel %d, which is open", id)
	}
	return nil
}

// refuse rejects an open: of a core we do not have, or with a capability that
// does not show knowledge of its key. Both look the same.
func (m *machine) refuse(p *peer, id uint64, now time.Time) error {
	if !p.refusals.take(maxRefusals, refillEvery, now) {
		return blame("too many opens of unknown cores")
	}
	m.control(p, wire.Reject{Channel: id}, 0)
	return nil
}

// crossed takes an open that met our close of the same core: both are over, and
// no answer is due (spec 11), whatever we know of the core by now.
func (m *machine) crossed(p *peer, id hypercore.DiscoveryKey) bool {
	ch := p.channels[id]
	if ch == nil || ch.state != closing {
		return false
	}
	m.drop(ch)
	if c := m.cores[id]; c != nil {
		m.offer(p, c)
	}
	return true
}

// bind joins the peer's open with ours. Its capability was checked.
func (m *machine) bind(p *peer, id uint64, c *core, seeks bool, now time.Time) error {
	ch := p.channels[c.id]
	switch {
	case ch == nil:
		if len(p.channels) >= maxChannels {
			return blame("more than %d channels", maxChannels)
		}
		ch = m.newChannel(p, c)
	case ch.state == open:
		return m.refuse(p, id, now)
	}
	ch.state, ch.remote, ch.opened, ch.seeks = open, id, now, seeks
	p.bound[id] = ch
	c.channels = append(c.channels, ch)
	ch.at = len(p.order)
	p.order = append(p.order, ch)
	p.proved[c.id] = struct{}{}
	m.reached[c.id] = struct{}{}
	m.changed = true
	m.dirty(ch, dueSync|dueRange)
	for _, d := range m.dependents[c.id] {
		m.offer(p, d)
	}
	return nil
}

// rejected takes the peer's reject of our open.
func (m *machine) rejected(p *peer, local uint64) {
	ch := p.locals[local]
	if ch == nil || ch.state == open {
		return
	}
	again := ch.state == closing
	m.drop(ch)
	c := m.cores[ch.id]
	switch {
	case c == nil:
	case again:
		m.offer(p, c)
	default:
		p.refused[ch.id] = struct{}{}
		m.forget(c)
	}
}

// closed takes the peer's close.
func (m *machine) closed(p *peer, remote uint64, now time.Time) {
	ch := p.bound[remote]
	if ch == nil {
		return
	}
	c, last := ch.core, ch.them
	m.unbind(ch, now)
	if len(c.attached) > 0 && last.uploading && !last.downloading {
		r := p.reopens[c.id]
		if r.count < maxReopens {
			r.at = now.Add(time.Second << r.count)
			r.count++
			p.reopens[c.id] = r
		}
	}
	m.forget(c)
}

// reopen opens again what a peer closed for want of interest.
func (m *machine) reopen(p *peer, now time.Time) {
	var ids []hypercore.DiscoveryKey
	for id, r := range p.reopens {
		if !r.at.IsZero() && !now.Before(r.at) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b hypercore.DiscoveryKey) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		p.reopens[id] = reopening{count: p.reopens[id].count}
		if c := m.cores[id]; c != nil {
			m.offer(p, c)
		}
	}
}

// closeChannel ends a channel from our side.
func (m *machine) closeChannel(ch *channel, now time.Time) {
	p := ch.peer
	ch.probe = nil // nobody will answer
	m.control(p, wire.Close{Channel: ch.local}, 0)
	if ch.state == opening {
		ch.state, ch.core = closing, nil
		return
	}
	m.unbind(ch, now)
}

// unbind ends a channel at once; requests under way move on.
func (m *machine) unbind(ch *channel, now time.Time) {
	p, c := ch.peer, ch.core
	was := ch.state
	m.drop(ch)
	if was != open {
		return
	}
	delete(p.bound, ch.remote)
	c.channels = without(c.channels, ch)
	last := p.order[len(p.order)-1]
	p.order[ch.at], last.at = last, ch.at
	p.order[len(p.order)-1] = nil
	p.order = p.order[:len(p.order)-1]
	p.wants -= len(ch.wanting)
	for _, s := range ch.answers {
		s.over = true
		p.waiting--
	}
	ch.answers, ch.wanting, ch.news = nil, nil, nil
	ch.blocks.clear()
	for _, x := range c.channels {
		if x.plan != nil { // what the peer had gets rarer
			x.plan.again()
		}
	}
	m.changed = true
	for _, r := range ch.underWay() {
		m.release(r)
		m.again(r, now)
	}
	m.tryUpgrade(c, now)
	m.checkRefresh(c, now)
}

// underWay gives what we asked on a channel and is not answered, in order.
func (ch *channel) underWay() []*request {
	return slices.SortedFunc(maps.Values(ch.requests), func(a, b *request) int { return cmp.Compare(a.id, b.id) })
}

// drop frees our id of a channel.
func (m *machine) drop(ch *channel) {
	p := ch.peer
	delete(p.channels, ch.id)
	delete(p.locals, ch.local)
	p.ours.give(ch.local)
	ch.state = gone
}

func without[T comparable](list []T, x T) []T {
	for i, y := range list {
		if y == x {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}
