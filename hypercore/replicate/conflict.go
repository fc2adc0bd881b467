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
// Nothing has to fail for that: of two copies of a writer that are as long as each
// other neither is ever asked for what a reader of the other lacks. So a peer that
// comes with a head no longer than ours, which we did not exchange with it on this
// stream, is asked for it in the same way, and not blamed where it does not answer.
//
// A frozen core sends both heads to each peer of its fork, so that they see it
// too, whichever of the two they have, and is replicated no more.

// probe is the question for a peer's head, while there is no answer.
type probe struct {
	fault    error // the proof that did not hold; nil where heads are only compared
	fork     uint64
	length   uint64
	since    time.Time
	checking bool
}

// doubted says whether a proof of the peer did not hold.
func (ch *channel) doubted() bool { return ch.probe != nil && ch.probe.fault != nil }

// agree notes that what the peer has up to a length is what we have, or that it
// finds out by itself where it is not.
func (ch *channel) agree(length uint64) { ch.agreed = max(ch.agreed, length) }

// compare asks a peer for a head that may be of another log than ours.
func (m *machine) compare(ch *channel, now time.Time) {
	c := ch.core
	if ch.state != open || c.frozen || !ch.them.synced || ch.them.fork != c.fork || ch.probe != nil ||
		ch.them.length <= ch.agreed || ch.them.length > c.length || now.Sub(ch.compared) < compareEvery {
		return
	}
	ch.compared = now
	m.probe(ch, nil, ch.them.length, now)
}

// probe asks for the head of a peer, up to a length.
func (m *machine) probe(ch *channel, fault error, length uint64, now time.Time) {
	ch.probe = &probe{fault: fault, fork: ch.core.fork, length: length, since: now}
	if !ch.probing {
		ch.probing = true
		m.doubts = append(m.doubts, ch)
	}
	m.tell(ch, wire.Request{Priority: wire.PriorityHigh, Request: merkle.Request{
		Fork: ch.core.fork, Upgrade: &merkle.UpgradeRequest{Length: length}}})
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
	switch p := ch.probe; {
	case p == nil:
		m.probe(ch, fault, min(c.length, ch.them.length), now)
	case p.fault == nil:
		p.fault, p.since = fault, now
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
		if d.Fork != p.fork { // that is no answer
			ch.probe = nil
			return work{}, true, p.fault
		}
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
func (m *machine) checked(ch *channel, err error, now time.Time) error {
	if ch.state != open { // also where the core was frozen
		return nil
	}
	p := ch.probe
	switch {
	case errors.Is(err, hypercore.ErrConflict):
		return nil // the event does the rest
	case err != nil && faultOf(err) == nil:
		m.trust(ch, now)
		return nil
	case p != nil && p.checking:
		if p.fault != nil {
			return p.fault
		}
		if ch.probe = nil; err == nil {
			ch.agree(p.length)
		}
	}
	return faultOf(err)
}

// trust ends the doubt about a peer: our log is not the one that it was about, or
// cannot be read.
func (m *machine) trust(ch *channel, now time.Time) {
	ch.probe = nil
	m.tryUpgrade(ch.core, now)
	m.eager(ch, now)
}

// refusedProbe is noData for a probe.
func (ch *channel) refusedProbe(id uint64) error {
	if p := ch.probe; id == 0 && p != nil && !p.checking {
		if p.fault == nil {
			ch.probe = nil
			ch.pushes-- // find counts it: nobody else asks under this id
		}
		return p.fault
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
			continue
		case p.fault == nil:
			ch.probe = nil
			ch.pushes-- // the answer may be on its way
		case !ch.core.frozen:
			m.drops = append(m.drops, drop{ch.peer, p.fault})
		}
		ch.probing = false
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
	c.endSpans(hypercore.ErrConflict)
	var theirs *merkle.Proof
	if f := c.log.Conflict(); f != nil {
		theirs = f.Proof()
	}
	for _, p := range m.peers {
		delete(p.reopens, c.id)
		ch := p.channels[c.id]
		if ch == nil || ch.core != c {
			continue
		}
		if length := min(c.length, ch.them.length); ch.state == open && ch.them.fork == c.fork && length > 0 {
			m.push(p, outgoing{channel: ch.local, log: c.log, evidence: &merkle.Request{
				Fork: c.fork, Upgrade: &merkle.UpgradeRequest{Length: length}}}, 4<<10)
			if theirs != nil {
				m.push(p, outgoing{channel: ch.local, message: wire.Data{Proof: *theirs}}, 4<<10)
			}
		}
		m.closeChannel(ch, now)
	}
	m.note("core is in conflict and is replicated no more", "core", c.id.String(), "fork", c.fork, "length", c.length)
	m.forget(c)
}
