package replicate

import (
	"bytes"
	"fmt"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/wire"
)

// busy says what is still under way or missing, nil where nothing is.
func (s *sim) busy() error {
	for _, h := range s.hosts {
		for _, r := range h.reads {
			return fmt.Errorf("%s reads %s of %s since %s", h.name, r.what, r.core.log.name, r.since)
		}
		for _, e := range h.ends {
			const empty = wire.FrameHeader // a frame that keeps the stream alive may always be on its way
			if e.busy || len(e.outbox) > empty || len(e.inbox) > empty || e.unread > empty {
				return fmt.Errorf("%s and %s exchange something", h.name, e.other.host.name)
			}
			if p := e.conn.peer; p.inflight > 0 {
				return fmt.Errorf("%s waits for %d answers of %s", h.name, p.inflight, p.name)
			}
		}
		for _, c := range h.cores {
			want := uint64(len(c.log.blocks()))
			i := c.Info()
			switch {
			case c.log.writer == h.id && c.Head().Length != want:
				return fmt.Errorf("%s: %s shows %d of %d blocks", h.name, c.log.name, c.Head().Length, want)
			case c.attachment == nil:
			case i.Length != want || i.Fork != c.log.fork:
				return fmt.Errorf("%s: %s has a length of %d in fork %d, want %d in %d", h.name, c.log.name, i.Length, i.Fork, want, c.log.fork)
			case c.download && i.Contiguous != want:
				return fmt.Errorf("%s: %s has %d leading blocks, want %d", h.name, c.log.name, i.Contiguous, want)
			}
		}
	}
	for _, l := range s.links {
		if l.ends[0] == nil || l.ends[1] == nil {
			return fmt.Errorf("%s and %s are not connected", l.hosts[0].name, l.hosts[1].name)
		}
	}
	return nil
}

// verify looks at everything once all is at rest.
func (s *sim) verify() {
	for _, l := range s.logs {
		nodes := l.nodes()
		for _, h := range s.hosts {
			l.verify(h.cores[l.id], nodes)
		}
	}
	for _, h := range s.hosts {
		if err := h.books(); err != nil {
			s.violate("%s: %v", h.name, err)
		}
	}
}

// verify compares all that a host stores of a core with what it should be.
func (l *simLog) verify(c *simCore, nodes map[uint64]merkle.Node) {
	s, h, i := l.sim, c.host, c.Info()
	if i.Fork != l.fork {
		return // not attached: it missed a truncation
	}
	files := h.store.Files(storage.ID(c.DiscoveryKey()))
	for index := uint64(0); index < 2*uint64(len(l.blocks())); index++ {
		n, ok, err := files.Node(index)
		if err != nil {
			s.violate("%s: node %d of %s: %v", h.name, index, l.name, err)
		}
		if want, there := nodes[index]; ok && (!there || want.Hash != n.Hash || want.Size != n.Size) {
			s.violate("%s: node %d of %s is not that of the writer", h.name, index, l.name)
		}
	}
	held := uint64(0)
	for j := range i.Length {
		if c.Has(j) {
			held++
			l.compare(c, j)
		}
	}
	if c.download && held == i.Length && i.ByteLength > 0 {
		all := make([]byte, i.ByteLength)
		if _, err := c.ReadAt(s.t.Context(), all, 0); err != nil || !bytes.Equal(all, bytes.Join(l.blocks(), nil)) {
			s.violate("%s: the bytes of %s are not those of the writer: %v", h.name, l.name, err)
		}
	}
}

// books says what is left in the machine of a host that is at rest.
func (h *simHost) books() error {
	m := h.swarm.machine
	for _, c := range m.order {
		switch {
		case len(c.inflight) > 0, len(c.fetches) > 0, c.upgrade != nil, len(c.refreshes) > 0:
			return fmt.Errorf("%d requests, %d fetches, upgrade %v, %d refreshes are left", len(c.inflight), len(c.fetches), c.upgrade != nil, len(c.refreshes))
		case c.broken != nil:
			return fmt.Errorf("a core is broken: %w", c.broken)
		}
		for _, f := range c.waiting {
			if !f.over {
				return fmt.Errorf("%v waits", f.want)
			}
		}
	}
	if len(m.peers) != len(h.swarm.conns) || len(m.peers) != len(h.ends) {
		return fmt.Errorf("%d peers, %d conns, %d streams", len(m.peers), len(h.swarm.conns), len(h.ends))
	}
	for _, e := range h.ends {
		if err := e.books(); err != nil {
			return fmt.Errorf("to %s: %w", e.other.host.name, err)
		}
	}
	return nil
}

func (e *simEnd) books() error {
	p := e.conn.peer
	if p.inflight != 0 || p.inflightSize != 0 || p.waiting != 0 || p.queued != 0 || len(p.control) > 0 || len(p.due) > 0 {
		return fmt.Errorf("%d requests of %d bytes, %d served, %d bytes queued, %d channels due", p.inflight, p.inflightSize, p.waiting, p.queued, len(p.due))
	}
	for _, r := range p.asked {
		if !r.over {
			return fmt.Errorf("request %d is not over", r.id)
		}
	}
	for _, ch := range p.order {
		if len(ch.requests) > 0 || len(ch.answers) > 0 || len(ch.coming.by) > 0 {
			return fmt.Errorf("%d requests, %d answers, %d coming nodes", len(ch.requests), len(ch.answers), len(ch.coming.by))
		}
		if err := e.announced(ch); err != nil {
			return err
		}
	}
	return nil
}

// announced looks for blocks that a peer is taken to have and has not.
func (e *simEnd) announced(ch *channel) error {
	for _, c := range e.other.host.cores {
		if c.DiscoveryKey() != ch.id {
			continue
		}
		for i := range c.Info().Length {
			if ch.blocks.has(i) && !c.Has(i) {
				return fmt.Errorf("block %d of %s is taken to be there", i, c.log.name)
			}
		}
	}
	return nil
}
