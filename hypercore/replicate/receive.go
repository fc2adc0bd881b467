package replicate

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

func isMisbehaved(err error) bool { return errors.Is(err, ErrMisbehaved) }

// takeAll takes messages of the peer in order: those on channels of cores go to
// the machine together, and the proofs among them to the log.
func (c *conn) takeAll(list []incoming) error {
	for len(list) > 0 {
		n := 0
		for n < len(list) && list[n].channel != wire.ControlChannel {
			n++
		}
		if n == 0 {
			if err := c.control(list[0].typ, list[0].payload); err != nil {
				return blamed(err)
			}
			list = list[1:]
			continue
		}
		if err := c.take(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// take gives messages on channels of cores to the machine and does what follows
// from them.
func (c *conn) take(list []incoming) error {
	works := c.works[:0]
	var err error
	c.swarm.do(func(m *machine, now time.Time) {
		for _, in := range list {
			var w work
			if w, err = m.receive(c.peer, in.channel, in.message, now); err != nil {
				return
			}
			if w.request != nil || w.probed != nil {
				works = append(works, w)
			}
		}
	})
	if fault := c.perform(works); err == nil {
		err = fault
	}
	clear(works)
	c.works = works[:0]
	return err
}

// perform does what the machine may not do itself.
func (c *conn) perform(works []work) error {
	for _, w := range works {
		// The frame is used again; what outlives Apply must not lie in it.
		w.proof.Manifest = bytes.Clone(w.proof.Manifest)
		if u := w.proof.Upgrade; u != nil {
			u.Signature = bytes.Clone(u.Signature)
		}
	}
	for len(works) > 0 {
		n := 0
		for n < len(works) && works[n].plain() {
			n++
		}
		var err error
		switch w := works[0]; {
		case n > 0:
			err = c.applyEach(works[:n])
		case w.probed != nil:
			n = 1
			outcome := w.log.CheckConflict(w.proof)
			c.swarm.do(func(m *machine, now time.Time) { err = m.checked(w.probed, outcome, now) })
		default:
			n, err = 1, c.reorganise(w)
		}
		if err != nil {
			return err
		}
		works = works[n:]
	}
	return nil
}

// plain says whether the answer goes to Apply.
func (w work) plain() bool {
	return w.probed == nil && w.request.kind != forFork && w.request.kind != forPath
}

// applyEach gives answers to their logs: those for one log in order, several logs
// at a time, since checking and storing are most of the work.
func (c *conn) applyEach(works []work) error {
	if !slices.ContainsFunc(works, func(w work) bool { return w.log != works[0].log }) {
		return c.apply(works)
	}
	byLog := make(map[log]int)
	var groups [][]work
	for _, w := range works {
		g, ok := byLog[w.log]
		if !ok {
			g = len(groups)
			byLog[w.log] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], w)
	}
	errs := make([]error, len(groups))
	var next atomic.Int64
	work := func() {
		for g := int(next.Add(1)) - 1; g < len(groups); g = int(next.Add(1)) - 1 {
			if errs[g] = c.apply(groups[g]); errs[g] != nil {
				next.Add(int64(len(groups))) // the stream ends: nothing more is taken from it
			}
		}
	}
	var others sync.WaitGroup
	for range min(len(groups), c.swarm.appliers) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// apply gives answers for one log to it.
func (c *conn) apply(works []work) error {
	proofs := make([]*merkle.Proof, len(works))
	for i, w := range works {
		proofs[i] = w.proof
	}
	outcomes := works[0].log.ApplyAll(proofs)
	c.swarm.counters.took(works, outcomes)
	var err error
	c.swarm.do(func(m *machine, now time.Time) { err = m.appliedAll(works, outcomes, now) })
	return err
}

// control takes a message of the control channel.
func (c *conn) control(typ uint64, payload []byte) error {
	switch typ {
	case wire.TypeOpen:
		o, err := wire.ParseOpen(payload)
		if err != nil {
			return err
		}
		return c.opened(o)
	case wire.TypeReject:
		r, err := wire.ParseReject(payload)
		if err != nil {
			return err
		}
		c.swarm.do(func(m *machine, now time.Time) { m.rejected(c.peer, r.Channel) })
	case wire.TypeClose:
		cl, err := wire.ParseClose(payload)
		if err != nil {
			return err
		}
		c.swarm.do(func(m *machine, now time.Time) { m.closed(c.peer, cl.Channel, now) })
	}
	return nil
}

// opened takes an open. An unknown core and a wrong capability get the same
// answer, after the same work; nothing is loaded before the capability was
// checked.
func (c *conn) opened(o wire.Open) error {
	id, h, wellFormed := parseOpen(o)
	for {
		key, known := c.lookup(id)
		expected := hypercore.Capability(key, c.peer.hash[:], !c.peer.initiator)
		proved := subtle.ConstantTimeCompare(expected[:], h.Capability[:]) == 1
		valid := wellFormed && known && proved
		var lent *session
		if valid {
			lent = c.lend(id)
		}
		var again bool
		var err error
		c.swarm.do(func(m *machine, now time.Time) {
			core := m.cores[id]
			if again = wellFormed && !known && core != nil; again {
				return // attached this moment, and opened by us: a reject would cross that
			}
			p := c.peer
			switch err = p.admit(o.Channel); {
			case err != nil:
				return
			case wellFormed && m.crossed(p, id):
				return
			case !valid || core == nil && lent == nil || core != nil && core.frozen:
				err = m.refuse(p, o.Channel, now)
				return
			case core == nil:
				core = m.addCore(id, key, lent.log)
				core.end, lent = lent.end, nil
			}
			if err = m.bind(p, o.Channel, core, h.Seeks, now); err == nil {
				err = p.overrun()
			}
		})
		if lent != nil { // another peer was quicker, or the open was nonsense
			lent.end()
		}
		if !again {
			return err
		}
	}
}

// parseOpen reads the core and the handshake of an open; ok is false where it
// is about something else.
func parseOpen(o wire.Open) (id hypercore.DiscoveryKey, h wire.Handshake, ok bool) {
	if o.Protocol != wire.Protocol || len(o.ID) != len(id) {
		return id, h, false
	}
	h, err := wire.ParseHandshake(o.Handshake)
	return hypercore.DiscoveryKey(o.ID), h, err == nil
}

// lookup gives the key of a core that is attached or held.
func (c *conn) lookup(id hypercore.DiscoveryKey) (hypercore.Key, bool) {
	s := c.swarm
	s.mu.Lock()
	core := s.machine.cores[id]
	s.mu.Unlock()
	if core != nil {
		return core.key, true
	}
	if s.directory == nil {
		return hypercore.Key{}, false
	}
	return s.directory.Key(id)
}

// lend opens a core that is held but not attached; nil where it is attached or
// cannot be opened.
func (c *conn) lend(id hypercore.DiscoveryKey) *session {
	s := c.swarm
	s.mu.Lock()
	core := s.machine.cores[id]
	s.mu.Unlock()
	if core != nil || s.directory == nil {
		return nil
	}
	hc, end, err := s.directory.Open(id)
	if err != nil {
		s.logger.Warn("cannot open a core that a peer asks for", "core", id.String(), "err", err)
		return nil
	}
	if hc.Info().Conflict {
		end()
		return nil
	}
	return s.borrow(hc, end)
}

// receive takes a message on a channel. Unknown channels are ignored: their
// messages crossed our close.
func (m *machine) receive(p *peer, remote uint64, message wire.Message, now time.Time) (w work, err error) {
	ch := p.bound[remote]
	if ch == nil {
		return work{}, nil
	}
	switch v := message.(type) {
	case wire.Sync:
		m.synced(ch, v, now)
	case wire.Request:
		err = m.requested(ch, v)
	case wire.Cancel:
		m.cancelled(ch, v.ID)
	case wire.Data:
		w, err = m.answer(ch, v, now)
	case wire.NoData:
		err = m.refused(ch, v.ID, now)
	case wire.Want:
		m.wants(ch, v)
	case wire.Unwant:
		m.unwants(ch, wire.Want(v))
	case wire.Bitfield:
		m.bitfield(ch, v, now)
	case wire.Range:
		m.ranged(ch, v, now)
	}
	if err == nil {
		err = p.overrun()
	}
	return w, err
}
