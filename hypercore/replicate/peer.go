package replicate

import (
	"maps"
	"slices"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/wire"
)

// peer is one stream and what runs over it.
type peer struct {
	name      string
	initiator bool
	hash      [64]byte

	channels map[hypercore.DiscoveryKey]*channel
	order    []*channel          // the open ones
	locals   map[uint64]*channel // by our id
	bound    map[uint64]*channel // by the peer's id
	highest  uint64              // largest id the peer used
	ours     localIDs

	proved   map[hypercore.DiscoveryKey]struct{} // cores whose key it knows
	refused  map[hypercore.DiscoveryKey]struct{} // our opens that it rejected
	reopens  map[hypercore.DiscoveryKey]reopening
	refusals bucket // of opens, ours of its

	// Towards the peer, in the order in which it leaves.
	control []outgoing
	queued  int // bytes of control, about
	due     []*channel
	serving [2]serveQueue // what a user waits for, the rest
	waiting int           // live entries of serving
	invalid int
	wants   int
	pages   int // left to the block sets of all channels

	// What we asked of it.
	asked        []*request // in order; some may be over
	inflight     int
	inflightSize int
	readers      []*channel // may have something for a waiting fetch
	hungry       []*channel // may have something to download
	short        []*channel // have short set, or had

	received  uint64    // bytes read off the stream, at the last tick
	looked    time.Time // the last tick
	stirred   time.Time // the tick at which received was last larger than before
	askedAt   time.Time // the first request after that left
	heard     time.Time // a whole frame, or as many of them as are a sign of life
	heardAt   uint64    // bytes by then
	moved     time.Time // when they were last many,
	movedAt   uint64    // and how many
	answered  time.Time // last answer, or first request after none
	atAnswer  uint64    // bytes by the tick after it
	anew      bool      // answered since the last tick
	newest    time.Time // the latest that an answered request was sent
	onWire    int       // requests that were sent and are not answered
	restUntil time.Time // slow: nothing is asked before
	strikes   uint
	late      int // times that it let requests lie, lately
	failedAt  time.Time
	lateAt    uint64 // delivery.answers at the last change of it
	hedges    int    // requests under way that another peer was asked before
	delivery  delivery

	awake bool
	gone  bool
}

// localIDs numbers our channels: an id freed before, or the next one (spec 11).
type localIDs struct {
	last uint64
	free []uint64
}

func (l *localIDs) take() uint64 {
	if n := len(l.free); n > 0 {
		id := l.free[n-1]
		l.free = l.free[:n-1]
		return id
	}
	l.last++
	return l.last
}

func (l *localIDs) give(id uint64) { l.free = append(l.free, id) }

// bucket is a token bucket that starts full.
type bucket struct {
	used int
	at   time.Time
}

func (b *bucket) take(most int, every time.Duration, now time.Time) bool {
	if n := int(now.Sub(b.at) / every); n > 0 {
		b.used = max(0, b.used-n)
		b.at = now
	}
	b.used++
	return b.used <= most
}

// addPeer takes a new stream and opens on it what may be opened at once.
func (m *machine) addPeer(name string, initiator bool, hash [64]byte, now time.Time) *peer {
	p := &peer{
		name: name, initiator: initiator, hash: hash,
		channels: make(map[hypercore.DiscoveryKey]*channel),
		locals:   make(map[uint64]*channel),
		bound:    make(map[uint64]*channel),
		proved:   make(map[hypercore.DiscoveryKey]struct{}),
		refused:  make(map[hypercore.DiscoveryKey]struct{}),
		reopens:  make(map[hypercore.DiscoveryKey]reopening),
		pages:    maxPages,
		delivery: delivery{window: windowFirst},
		heard:    now, answered: now, moved: now, looked: now, stirred: now,
		refusals: bucket{at: now},
	}
	m.peers = append(m.peers, p)
	m.changed = true
	for _, c := range m.order {
		m.offer(p, c)
	}
	return p
}

// removePeer forgets a stream that ended; what was asked of it moves on.
func (m *machine) removePeer(p *peer, now time.Time) {
	if p.gone {
		return
	}
	p.gone = true
	for i, q := range m.peers {
		if q == p {
			m.peers = append(m.peers[:i:i], m.peers[i+1:]...)
			break
		}
	}
	for _, ch := range append([]*channel(nil), p.order...) {
		c := ch.core
		m.unbind(ch, now)
		m.forget(c)
	}
	for _, id := range slices.Sorted(maps.Keys(p.locals)) {
		ch := p.locals[id]
		if c := ch.core; c != nil {
			delete(p.channels, ch.id)
			m.forget(c)
		}
	}
	p.control, p.due, p.serving = nil, nil, [2]serveQueue{}
	m.changed = true
}

// excuse takes the time since the last tick off what p is measured by: our own
// limit, or our disk, kept what it sends, which may be an answer, from coming.
func (m *machine) excuse(p *peer, now time.Time) {
	if !p.mayAnswer() {
		return
	}
	d := now.Sub(p.looked)
	p.answered, p.moved, p.heard = p.answered.Add(d), p.moved.Add(d), p.heard.Add(d)
	p.stirred, p.askedAt = p.stirred.Add(d), p.askedAt.Add(d)
	for _, r := range p.asked {
		r.sent = r.sent.Add(d)
	}
}

// heardFrom notes how many bytes came from p so far, whole frames or not.
func (m *machine) heardFrom(p *peer, total uint64, now time.Time) {
	if p.anew {
		p.anew, p.atAnswer = false, total
	}
	p.looked = now
	if total == p.received {
		return
	}
	p.stirred = now
	if total-p.movedAt >= progress {
		p.moved, p.movedAt = now, total
	}
	if total-p.heardAt >= progress { // single bytes in time could keep a stream for ever
		p.heard, p.heardAt = now, total
	}
	p.received = total
}

// heardWhole notes that a frame of p came whole: what it has to say, it has
// said, and what follows is another.
func (p *peer) heardWhole(total uint64, now time.Time) {
	p.heard, p.heardAt, p.movedAt = now, total, max(total, p.movedAt)
}

// overdue says that not a byte came of p for longer than a live peer stays silent,
// or since it was asked for something a while ago.
func (p *peer) overdue(now time.Time) bool {
	return now.Sub(p.stirred) > silence || p.askedAt.After(p.stirred) && now.Sub(p.askedAt) > dueAfter
}

// mayAnswer says whether what came since the last answer may be part of one,
// which may be as large as a frame.
func (p *peer) mayAnswer() bool { return p.received-p.atAnswer <= wire.MaxPlaintext }

// sending notes that requests leave: what the peer is to be measured by begins.
func (m *machine) sending(p *peer, list []outgoing, now time.Time) {
	for _, o := range list {
		if r := o.request; r != nil && !r.over && !r.onWire {
			if p.onWire == 0 {
				p.answered, p.anew = now, true
			}
			if !p.askedAt.After(p.stirred) {
				p.askedAt = now
			}
			r.onWire, r.sent = true, now
			r.left, r.deliveredBefore = now, p.delivery.delivered
			p.onWire++
		}
	}
}

// resting says that p was slow and is asked nothing until the rest is over.
func (p *peer) resting(now time.Time) bool { return now.Before(p.restUntil) }

// move gives a block of a download to another peer, if one has room for it: one
// that sends no more than it must to look alive must not hold it for long.
func (m *machine) move(r *request, now time.Time) bool {
	ch := m.elsewhere(r, now)
	if ch != nil {
		m.cancel(r)
		m.ask(ch, &request{kind: forBlock, index: r.index}, now)
	}
	return ch != nil
}

// isLong says that a request lies for so long that any other peer is better.
func (r *request) isLong(now time.Time) bool { return now.Sub(r.sent) > giveUpAfter }

// elsewhere finds a peer that was late no more often than the one that was
// asked, or any where that takes too long, and that can do it: a peer that
// answers all but one request must not hold that one for long.
func (m *machine) elsewhere(r *request, now time.Time) *channel {
	for _, ch := range r.ch.core.channels {
		if ch.peer == r.ch.peer || ch.peer.late > r.ch.peer.late && !r.isLong(now) || r.twin != nil && r.twin.ch.peer == ch.peer {
			continue
		}
		switch {
		case r.kind == forFork:
			if ch.leads(now) {
				return ch
			}
		case r.kind == forUpgrade:
			if ch.upgrades(now) && ch.them.acked == ch.core.length {
				return ch
			}
		case r.fetch != nil:
			if ch.serves(r.fetch, now) && ch.peer.room(true) {
				return ch
			}
		case r.kind == forBlock:
			if ch.gives(r.index, now) && ch.peer.room(false) {
				return ch
			}
		}
	}
	return nil
}

// retry lets a peer be asked again for what its tree was too short to prove,
// since more of the path may be stored by now.
func (m *machine) retry(p *peer, now time.Time) {
	list := p.short
	p.short = nil
	for _, ch := range list {
		switch {
		case !ch.short || ch.state != open:
		case ch.core.proofs == ch.shortAt:
			p.short = append(p.short, ch)
		default:
			ch.short, ch.behind = false, false
			ch.forgive()
			m.eager(ch, now)
		}
	}
}

// rest asks nothing of a peer for a while, longer each time until it answers.
func (m *machine) rest(p *peer, now time.Time) {
	p.restUntil = now.Add(min(restFirst<<min(p.strikes, 8), restMost))
	p.strikes++
}

// wakeUp ends a rest.
func (m *machine) wakeUp(p *peer, now time.Time) {
	p.restUntil = time.Time{}
	for _, ch := range p.order {
		m.tryReorganise(ch.core, now)
		m.tryUpgrade(ch.core, now)
		m.eager(ch, now)
	}
}
