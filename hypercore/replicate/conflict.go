package replicate

import (
	"errors"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// Conflicts (spec 9). A proof that does not hold may come from an honest peer,
// where the core's key has signed two different logs. So before a peer is blamed
// it is asked for its head from the beginning, under request id 0:
//
//	signed, and another log than ours -> Core.CheckConflict freezes the core
//	anything else, or nothing in time -> the peer is dropped for the first proof
//
// A frozen core sends its own head to each peer of its fork, so that they see it
// too, and is replicated no more.

// probe is a proof that did not hold, while it is asked whose fault that is.
type probe struct {
	fault    error
	since    time.Time
	checking bool
}

// drop is a peer whose stream is to end.
type drop struct {
	peer *peer
	err  error
}

// doubtful says whether a proof may have failed because the peer's log is
// another than ours, and not because it is malformed.
func doubtful(err error) bool {
	var mismatch *merkle.MismatchError
	return errors.As(err, &mismatch) || errors.Is(err, hypercore.ErrInvalidSignature)
}

// doubt asks the peer for its head, if its log may be another than ours; else the
// peer is to blame: false.
func (m *machine) doubt(r *request, err error, fault error, now time.Time) bool {
	ch := r.ch
	c := ch.core
	if !doubtful(err) || r.fork != c.fork || ch.state != open || ch.them.fork != c.fork || ch.them.length == 0 || c.length == 0 {
		return false
	}
	if ch.probe == nil {
		ch.probe = &probe{fault: fault, since: now}
		m.doubts = append(m.doubts, ch)
		m.tell(ch, wire.Request{Priority: wire.PriorityHigh, Request: merkle.Request{
			Fork: c.fork, Upgrade: &merkle.UpgradeRequest{Length: min(c.length, ch.them.length)}}})
	}
	m.release(r)
	m.again(r, now)
	return true
}

// unasked takes data with request id 0: the answer to a probe, or a proof of a
// conflict that a peer found. ok is false where it is neither.
func (m *machine) unasked(ch *channel, d wire.Data) (w work, ok bool, err error) {
	u := d.Upgrade
	if d.ID != 0 || u == nil || u.Start != 0 || d.Block != nil || d.Hash != nil || d.Seek != nil {
		return work{}, false, nil
	}
	if len(u.Signature) > maxSignature {
		return work{}, true, blame("signature of %d bytes, at most %d", len(u.Signature), maxSignature)
	}
	if p := ch.probe; p != nil && !p.checking {
		p.checking = true
		return work{probed: ch, proof: &d.Proof, log: ch.core.log}, true, nil
	}
	if ch.pushes++; ch.pushes > maxProofs {
		return work{}, true, blame("%d proofs that nobody asked for", ch.pushes)
	}
	if ch.probe != nil || ch.core.length == 0 || d.Fork != ch.core.fork {
		return work{}, true, nil
	}
	return work{probed: ch, proof: &d.Proof, log: ch.core.log}, true, nil
}

// checked takes what CheckConflict said. An error is the peer's fault.
func (m *machine) checked(ch *channel, err error) error {
	if ch.state != open { // also where the core was frozen
		return nil
	}
	p := ch.probe
	switch {
	case errors.Is(err, hypercore.ErrConflict):
		return nil // the event does the rest
	case isStale(err):
		ch.probe = nil
		return nil
	case p != nil && p.checking:
		return p.fault
	}
	return faultOf(err)
}

// refusedProbe is noData for a probe.
func (ch *channel) refusedProbe(id uint64) error {
	if id == 0 && ch.probe != nil && !ch.probe.checking {
		return ch.probe.fault
	}
	return nil
}

// settleDoubts drops who did not answer a probe in time, or closed the channel
// instead.
func (m *machine) settleDoubts(now time.Time) {
	kept := m.doubts[:0]
	for _, ch := range m.doubts {
		switch p := ch.probe; {
		case p == nil || ch.peer.gone:
		case p.checking && ch.state == open, ch.state == open && now.Sub(p.since) <= stallAfter:
			kept = append(kept, ch)
		case !ch.core.frozen:
			m.drops = append(m.drops, drop{ch.peer, p.fault})
		}
	}
	clear(m.doubts[len(kept):])
	m.doubts = kept
}

// freeze ends the replication of a core whose log is in conflict.
func (m *machine) freeze(c *core, now time.Time) {
	c.load()
	c.reorg = nil
	for _, f := range c.fetching() {
		m.finish(c, f, hypercore.ErrConflict)
	}
	c.waiting = nil
	m.endRefreshes(c, hypercore.ErrConflict)
	for _, p := range m.peers {
		delete(p.reopens, c.id)
		ch := p.channels[c.id]
		if ch == nil || ch.core != c {
			continue
		}
		if length := min(c.length, ch.them.length); ch.state == open && ch.them.fork == c.fork && length > 0 {
			m.push(p, outgoing{channel: ch.local, log: c.log, evidence: &merkle.Request{
				Fork: c.fork, Upgrade: &merkle.UpgradeRequest{Length: length}}}, 4<<10)
		}
		m.closeChannel(ch, now)
	}
	m.note("core is in conflict and is replicated no more", "core", c.id.String(), "fork", c.fork, "length", c.length)
	m.forget(c)
}
