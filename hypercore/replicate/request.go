package replicate

import (
	"slices"
	"time"

	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// kind is what a request asks for: one thing each, but for what carry adds.
type kind uint8

const (
	forBlock kind = iota
	forNode
	forSeek
	forUpgrade
	forManifest
	forFork // the head of a higher fork
	forPath // nodes of it
)

// request is one request of ours under way.
type request struct {
	id       uint64
	ch       *channel
	fork     uint64
	kind     kind
	index    uint64             // block, node of the tree, or byte
	hash     merkle.HashRequest // that a node or seek went out with
	upgrade  merkle.UpgradeRequest
	manifest bool
	carries  bool   // the block index comes along with the upgrade
	fetch    *fetch // who waits for it; nil for a download

	cost            int // bytes expected, about
	sent            time.Time
	left            time.Time // as sent, but never moved
	deliveredBefore uint64    // delivery.delivered then
	crowded         bool      // the window was full, or nearly
	alone           bool      // little was under way
	hedge           bool      // another peer was asked before
	twin            *request  // for the same block, of another peer

	ready    bool   // completed and on its way
	erased   uint64 // Info.Erased when that began
	onWire   bool   // counted in peer.onWire
	applying bool   // its answer is being checked
	over     bool

	// Guarded by ch.coming.
	brings []uint64 // nodes
	leans  bool     // on what others bring
	ended  bool
}

// ask sends a request on a channel. The caller has seen to it that there is room.
func (m *machine) ask(ch *channel, r *request, now time.Time) {
	p, c := ch.peer, ch.core
	ch.lastID++
	r.id, r.ch, r.sent = ch.lastID, ch, now
	if r.kind != forFork && r.kind != forPath {
		r.fork = c.fork
	}
	if p.inflight == 0 {
		p.answered = now
	}
	if ch.requests == nil {
		ch.requests = make(map[uint64]*request)
	}
	ch.requests[r.id] = r
	if len(p.asked) > 4*windowRequests && len(p.asked) > 2*p.inflight {
		p.asked = slices.DeleteFunc(p.asked, func(r *request) bool { return r.over })
	}
	p.asked = append(p.asked, r)
	switch r.kind {
	case forBlock:
		if c.inflight == nil {
			c.inflight = make(map[uint64]*request)
		}
		c.inflight[r.index] = r
		r.cost = c.average
	default:
		r.cost = 1 << 10
	}
	p.inflight++
	p.inflightSize += r.cost
	r.left, r.deliveredBefore = now, p.delivery.delivered
	r.crowded = 2*p.inflightSize >= p.delivery.window || 2*p.inflight >= windowRequests
	r.alone = p.inflightSize <= windowLeast+r.cost
	m.push(p, outgoing{channel: ch.local, log: c.log, request: r}, 0)
}

// release ends a request in the books; what it asked for may still be wanted.
func (m *machine) release(r *request) {
	if r.over {
		return
	}
	r.over = true
	ch := r.ch
	c := ch.core
	ch.coming.end(r)
	if delete(ch.requests, r.id); len(ch.requests) == 0 {
		ch.requests = nil // most channels are idle most of the time
	}
	ch.peer.inflight--
	if r.onWire {
		ch.peer.onWire--
	}
	ch.peer.inflightSize -= r.cost
	if r.hedge {
		ch.peer.hedges--
	}
	if r.kind == forBlock && c.inflight[r.index] == r {
		if delete(c.inflight, r.index); len(c.inflight) == 0 {
			c.inflight = nil
		}
	}
	if c.upgrade == r {
		c.upgrade = nil
	}
	if g := c.reorg; g != nil && g.request == r {
		g.request = nil
	}
	if r.fetch != nil && r.fetch.request == r {
		r.fetch.request = nil
	}
	r.part()
}

// cancel tells the peer that a request is not wanted from it any more.
func (m *machine) cancel(r *request) {
	if r.over {
		return
	}
	m.release(r)
	r.ch.lateLeft++
	m.tell(r.ch, wire.Cancel{ID: r.id})
}

// again sees to it that what an unanswered request asked for is asked elsewhere.
func (m *machine) again(r *request, now time.Time) {
	c := r.ch.core
	switch {
	case r.fetch != nil:
		if !r.fetch.over {
			m.assign(c, r.fetch, now)
		}
	case r.kind == forBlock:
		if c.inflight[r.index] == nil {
			m.missed(c, extent{r.index, r.index + 1}, now)
		}
	case r.kind == forFork || r.kind == forPath:
		m.tryReorganise(c, now)
	default:
		m.tryUpgrade(c, now)
	}
}
