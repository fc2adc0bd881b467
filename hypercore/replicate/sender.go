package replicate

import (
	"bufio"
	"errors"
	"fmt"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// sender puts what the machine wants sent into frames. Many messages share a
// frame; a large block has one of its own.
type sender struct {
	conn  *conn
	out   *bufio.Writer
	batch *wire.Batch
	alone []byte // buffer of frames with a single large message
	block []byte // buffer of the block that is proved
}

func newSender(c *conn) *sender {
	out := bufio.NewWriterSize(c.wire, min(c.batch, 64<<10))
	return &sender{conn: c, out: out, batch: wire.NewBatch(func(frame []byte) error {
		_, err := out.Write(frame)
		return err
	})}
}

// idle sends an empty frame, which keeps the stream alive.
func (s *sender) idle() error {
	if _, err := s.out.Write(make([]byte, wire.FrameHeader)); err != nil {
		return err
	}
	return s.out.Flush()
}

// drain sends until nothing is left.
func (s *sender) drain() error {
	for {
		if more, err := s.step(); err != nil || !more {
			return err
		}
	}
}

// step sends some of what is left, what the machine says first, and answers one
// by one in between, each made just before it is sent. more is false where
// nothing was left, and all of it is with the stream.
func (s *sender) step() (more bool, err error) {
	var list []outgoing
	var asked *served
	s.conn.swarm.do(func(m *machine, now time.Time) {
		list = m.next(s.conn.peer, s.conn.batch)
		m.sending(s.conn.peer, list, now)
		if len(list) == 0 {
			asked = m.nextServed(s.conn.peer)
		}
	})
	for _, o := range list {
		if err := s.send(o); err != nil {
			return false, err
		}
	}
	if asked != nil {
		if err := s.answer(asked); err != nil {
			return false, err
		}
	}
	more = len(list) > 0 || asked != nil
	if !more || s.batch.Len() >= s.conn.batch {
		if err := s.batch.Flush(); err != nil {
			return false, err
		}
	}
	if more {
		return true, nil
	}
	return false, s.out.Flush()
}

// send completes a message and adds it.
func (s *sender) send(o outgoing) error {
	switch {
	case o.opens != nil:
		return s.batch.Add(wire.ControlChannel, s.conn.peer.opening(o))
	case o.request != nil:
		q, send, err := s.complete(o)
		if err != nil || !send {
			return err
		}
		// Answers to what shares a frame may share one too (spec 18.1), which
		// large blocks overflow.
		if s.conn.single || q.Block != nil && o.request.cost >= aloneAt {
			return s.single(o.channel, q)
		}
		o.message = q
	case o.probe != nil:
		v := o.message.(wire.Sync)
		_, err := o.log.Prove(merkle.Request{Fork: v.Fork, Upgrade: o.probe})
		v.CanUpgrade = err == nil
		o.message = v
	case o.evidence != nil:
		proof, err := o.log.Prove(*o.evidence)
		if err != nil {
			return nil
		}
		o.message = wire.Data{Proof: *proof}
	}
	return s.batch.Add(o.channel, o.message)
}

// opening is our open of a core. It is made here because a burst of them would
// hold up everybody with its hashes.
func (p *peer) opening(o outgoing) wire.Open {
	id := o.opens.id
	h := wire.Handshake{Seeks: true, Capability: hypercore.Capability(o.opens.key, p.hash[:], p.initiator)}
	return wire.Open{Channel: o.channel, Protocol: wire.Protocol, ID: id[:], Handshake: h.Append(nil)}
}

// complete makes a request of what is stored now. send is false where nothing
// is left to ask for.
func (s *sender) complete(o outgoing) (q wire.Request, send bool, err error) {
	r := o.request
	q = wire.Request{ID: r.id, Request: merkle.Request{Fork: r.fork, Manifest: r.manifest}}
	if o.urgent {
		q.Priority = wire.PriorityHigh
	}
	done := false
	var hash merkle.HashRequest
	switch r.kind {
	case forBlock:
		var nodes uint64
		nodes, err = o.log.Missing(2 * r.index)
		if err == nil && !o.urgent && r.cost < leanBelow {
			nodes = r.ch.coming.lean(r, nodes)
		}
		q.Block = &merkle.BlockRequest{Index: r.index, Nodes: nodes}
	case forNode:
		hash.Index = r.index
		hash.Nodes, err = o.log.Missing(r.index)
		q.Hash = &hash
	case forSeek:
		hash, done, err = o.log.SeekPath(r.index)
		q.Hash, q.Seek = &hash, &merkle.SeekRequest{Bytes: r.index}
	case forPath:
		hash = r.hash
		q.Hash = &hash
	case forUpgrade, forFork:
		q.Upgrade = &r.upgrade
		if r.carries {
			q.Block = &merkle.BlockRequest{Index: r.index}
		}
	}
	out := q.Block != nil && climbsOut(2*q.Block.Index, q.Block.Nodes, o.length) ||
		q.Hash != nil && climbsOut(q.Hash.Index, q.Hash.Nodes, o.length)
	if err == nil && !done && !out && q.Hash == nil {
		return q, true, nil
	}
	s.conn.swarm.do(func(m *machine, now time.Time) {
		switch {
		case r.over:
			done = true
		case err != nil || done: // over without the peer, for better or worse
			m.settled(r, err, now)
			done, err = true, nil
		case out:
			m.beyond(r, now)
			done = true
		default:
			r.hash = hash
		}
	})
	return q, !done, nil
}

// climbsOut says whether a path of that many nodes leaves the tree of a length:
// a peer that is behind us cannot prove what only a longer tree confirms.
func climbsOut(index, nodes, length uint64) bool {
	for range min(nodes, 64) {
		index = merkle.Parent(index)
	}
	_, hi := merkle.Span(index)
	return hi >= 2*length
}

// answer proves what a peer asked for and adds the proof.
func (s *sender) answer(a *served) error {
	proof, err := a.log.ProveInto(a.request, s.block)
	if err == nil && proof.Block != nil && cap(proof.Block.Value) <= firstChunk {
		s.block = proof.Block.Value // until the proof is encoded
	}
	switch {
	case err == nil:
		d := wire.Data{ID: a.id, Proof: *proof}
		add := s.batch.Add
		if d.Block != nil && len(d.Block.Value) >= aloneAt {
			add = s.single
		}
		if err := add(a.channel, d); !errors.Is(err, wire.ErrTooLarge) {
			if err == nil && d.Block != nil {
				s.conn.swarm.counters.served(len(d.Block.Value))
			}
			return err
		}
		// A block and a manifest that each fit a frame, and both do not.
		return s.batch.Add(a.channel, wire.NoData{ID: a.id, Reason: wire.ReasonNotAvailable})
	case errors.Is(err, merkle.ErrInvalidRequest):
		var fault error
		s.conn.swarm.do(func(m *machine, _ time.Time) { fault = m.invalidAsked(s.conn.peer) })
		if fault != nil {
			return fault
		}
		return s.batch.Add(a.channel, wire.NoData{ID: a.id, Reason: wire.ReasonInvalid})
	default:
		return s.batch.Add(a.channel, wire.NoData{ID: a.id, Reason: wire.ReasonNotAvailable})
	}
}

// single sends a message in a frame of its own, behind what was added before.
func (s *sender) single(channel uint64, m wire.Message) error {
	if err := s.batch.Flush(); err != nil {
		return err
	}
	frame := wire.AppendMessage(append(s.alone[:0], make([]byte, wire.FrameHeader)...), channel, m)
	if s.alone = frame; cap(frame) > firstChunk {
		s.alone = nil
	}
	n := len(frame) - wire.FrameHeader
	if n > wire.MaxPlaintext {
		return fmt.Errorf("%w: %d bytes, at most %d", wire.ErrTooLarge, n, wire.MaxPlaintext)
	}
	wire.PutFrameLength(frame, n)
	_, err := s.out.Write(frame)
	return err
}
