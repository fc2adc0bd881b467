package replicate

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"multicore/hypercore"
)

// AttachOptions: a core with After is opened towards a peer only once that peer
// proved one of the cores After (the main core that names it), or in answer to
// its own valid open.
type AttachOptions struct {
	After    []hypercore.DiscoveryKey
	Download bool // fetch every block and keep doing so
	// Selection narrows Download; the zero value does not.
	Selection Selection
}

// Attachment keeps a core replicating; it is the core's Source while it lives.
// Safe for concurrent use.
type Attachment struct {
	source
	state attachment
}

var _ hypercore.Source = (*Attachment)(nil)

// Attach opens a core towards peers, present and coming, and takes from them
// what is asked of the core. Attaching a core twice shares it: it is opened
// early if any attachment says so, and downloaded if any does.
func (s *Swarm) Attach(hc *hypercore.Core, o AttachOptions) *Attachment {
	a := &Attachment{
		source: source{swarm: s, id: hc.DiscoveryKey()},
		state:  attachment{after: o.After, download: o.Download, limit: o.Selection.compile()},
	}
	s.attaching.Lock()
	defer s.attaching.Unlock()
	fresh := s.borrow(hc, func() {})
	first := false
	s.do(func(m *machine, now time.Time) {
		c := m.cores[a.id]
		first = c == nil || len(c.attached) == 0
		switch {
		case c == nil:
			c = m.addCore(a.id, hc.Key(), fresh.log)
			c.end = fresh.end
		case !first:
			m.closers = append(m.closers, fresh.end)
		default: // a session was lent for a peer
			m.closers = append(m.closers, c.end)
			c.log, c.end = fresh.log, fresh.end
			m.reload(c, now)
		}
		a.core, a.hc = c, hc
		m.attach(c, &a.state, now)
	})
	if first {
		hc.SetSource(&a.source)
	}
	return a
}

// borrow makes a session of a core, whose events reach the machine until its end.
func (s *Swarm) borrow(hc *hypercore.Core, end func()) *session {
	id := hc.DiscoveryKey()
	cancel := hc.Subscribe(func(e hypercore.Event) {
		s.do(func(m *machine, now time.Time) {
			if c := m.cores[id]; c != nil && c.log == log(hc) {
				m.moved(c, e, now)
			}
		})
	})
	return &session{log: hc, end: func() {
		cancel()
		end()
	}}
}

// SetDownload changes whether every block is fetched.
func (a *Attachment) SetDownload(on bool) {
	a.swarm.do(func(m *machine, now time.Time) {
		a.state.download = on
		m.reset(a.core, now)
	})
}

// SetSelection changes what of the log a download is about. What is under way
// and is left out now is cancelled.
func (a *Attachment) SetSelection(s Selection) {
	limit := s.compile()
	a.swarm.do(func(m *machine, now time.Time) {
		a.state.limit = limit
		a.core.came = now
		m.reset(a.core, now)
		if a.state.download && slices.Contains(a.core.attached, &a.state) {
			m.unwish(a.core, extent{0, math.MaxUint64}, now)
			m.wished(a.core, extent{0, math.MaxUint64}, now)
		}
	})
}

// Detach ends the attachment. After the last one nothing is fetched any more,
// reads that wait end with ErrClosed, and the core is served on only to peers
// that have it open, through the Directory. The second call does nothing.
func (a *Attachment) Detach() {
	s := a.swarm
	s.attaching.Lock()
	defer s.attaching.Unlock()
	var last, wanted bool
	s.do(func(m *machine, now time.Time) {
		last = slices.Contains(a.core.attached, &a.state) && len(a.core.attached) == 1
		wanted = last && len(a.core.channels) > 0 && !s.closed
	})
	var lent *session
	if wanted && s.directory != nil {
		if hc, end, err := s.directory.Open(a.id); err == nil {
			lent = s.borrow(hc, end)
		}
	}
	if last {
		a.hc.SetSource(nil)
	}
	s.do(func(m *machine, now time.Time) {
		if slices.Contains(a.core.attached, &a.state) {
			m.detach(a.core, &a.state, lent, now)
		}
	})
}

// source is the hypercore.Source of an attached core.
type source struct {
	swarm *Swarm
	id    hypercore.DiscoveryKey
	core  *core
	hc    *hypercore.Core
}

// FetchBlock waits until block i is stored. Others that wait for it share the
// request; it goes on for them where ctx ends.
func (s *source) FetchBlock(ctx context.Context, i uint64) error {
	return s.fetch(ctx, want{forBlock, i})
}

// FetchNode waits until a node of the flat tree is stored.
func (s *source) FetchNode(ctx context.Context, index uint64) error {
	return s.fetch(ctx, want{forNode, index})
}

// FetchSeek waits for nodes that bring the search for a byte closer to its end.
func (s *source) FetchSeek(ctx context.Context, bytes uint64) error {
	return s.fetch(ctx, want{forSeek, bytes})
}

func (s *source) fetch(ctx context.Context, w want) error {
	if ctx.Err() != nil {
		return s.ended(ctx)
	}
	var f *fetch
	s.swarm.do(func(m *machine, now time.Time) {
		if len(s.core.attached) > 0 && !s.swarm.closed {
			f = m.fetch(s.core, w, now)
		}
	})
	if f == nil {
		return ErrClosed
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		s.swarm.do(func(m *machine, now time.Time) { m.leave(s.core, f, now) })
		return s.ended(ctx)
	}
}

// Refresh waits until each connected peer that proved the core has said how
// long it is, and the longer heads that were offered have arrived. It waits for
// a first such peer.
func (s *source) Refresh(ctx context.Context) error {
	if ctx.Err() != nil {
		return s.ended(ctx)
	}
	var r *refresh
	s.swarm.do(func(m *machine, now time.Time) {
		if len(s.core.attached) > 0 && !s.swarm.closed {
			r = m.addRefresh(s.core, now)
		}
	})
	if r == nil {
		return ErrClosed
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		s.swarm.do(func(m *machine, now time.Time) { m.leaveRefresh(s.core, r) })
		return s.ended(ctx)
	}
}

// Connected says whether some peer has the core open now.
func (s *source) Connected() bool {
	s.swarm.mu.Lock()
	defer s.swarm.mu.Unlock()
	return len(s.core.channels) > 0
}

// ended is the error of a wait that ctx ended.
func (s *source) ended(ctx context.Context) error {
	if !s.swarm.Reached(s.id) {
		return fmt.Errorf("%w: %w", hypercore.ErrNoPeers, ctx.Err())
	}
	return ctx.Err()
}
