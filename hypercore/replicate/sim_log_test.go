package replicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
)

// simLog is a core as it should be.
type simLog struct {
	sim    *sim
	id     int
	name   string
	pair   hypercore.KeyPair
	key    hypercore.Key
	writer int // the host that has the key pair
	fork   uint64
	forks  map[uint64][][]byte // what was appended, by fork
	shown  map[uint64]uint64   // the longest head that peers could see, by fork
}

func (l *simLog) blocks() [][]byte { return l.forks[l.fork] }

// append has the writer append blocks.
func (l *simLog) append(c *simCore, blocks ...[]byte) {
	at, err := c.Append(context.Background(), blocks...)
	if want := uint64(len(l.blocks())); err != nil || at != want {
		l.sim.violate("append to %s: at %d, want %d; %v", l.name, at, want, err)
		return
	}
	l.forks[l.fork] = append(l.blocks(), blocks...)
	c.host.stir()
	c.host.touch()
	l.sim.tell("%s appends %d blocks to %s: %d", c.host.name, len(blocks), l.name, len(l.blocks()))
}

// truncate has the writer drop the blocks from length on.
func (l *simLog) truncate(c *simCore, length int) {
	l.sim.tell("%s truncates %s from %d to %d", c.host.name, l.name, len(l.blocks()), length)
	kept := slices.Clone(l.blocks()[:length])
	l.fork++
	l.forks[l.fork], l.shown[l.fork] = kept, uint64(length)
	if err := c.Truncate(context.Background(), uint64(length)); err != nil {
		l.sim.violate("truncate %s to %d: %v", l.name, length, err)
	}
	c.host.stir()
	c.host.touch()
}

// reopened compares what a restart left of the log with what it must have left:
// all after the end of a process, all that peers could see after a power cut.
func (l *simLog) reopened(c *simCore, cut bool) {
	i := c.Info()
	least := uint64(len(l.blocks()))
	if cut {
		least = l.shown[l.fork]
	}
	if i.Fork != l.fork || i.Length < least || i.Length > uint64(len(l.blocks())) {
		l.sim.violate("%s has %d blocks of fork %d after a restart (power cut %v), want %d to %d of fork %d",
			l.name, i.Length, i.Fork, cut, least, len(l.blocks()), l.fork)
		return
	}
	l.forks[l.fork] = l.blocks()[:i.Length]
}

// check looks at a change of a core when it happens.
func (l *simLog) check(c *simCore, e hypercore.Event) {
	s, i := l.sim, c.Info()
	switch e.Kind {
	case hypercore.Failed:
		s.violate("%s: %s failed", c.host.name, l.name)
	case hypercore.Durable:
		l.shown[i.Fork] = max(l.shown[i.Fork], e.To)
	case hypercore.Upgraded:
		if e.To > l.shown[i.Fork] {
			s.violate("%s: %s has %d blocks, the writer showed %d", c.host.name, l.name, e.To, l.shown[i.Fork])
		}
	case hypercore.Stored:
		for j := e.From; j < e.To; j++ {
			l.compare(c, j)
		}
	}
}

// compare reads a block that a host holds.
func (l *simLog) compare(c *simCore, j uint64) {
	fork := c.Info().Fork
	got, err := c.Block(j)
	if c.Info().Fork != fork {
		return
	}
	if blocks := l.forks[fork]; err != nil || j >= uint64(len(blocks)) || !bytes.Equal(got, blocks[j]) {
		l.sim.violate("%s: block %d of %s is not what was appended: %v", c.host.name, j, l.name, err)
	}
}

// nodes are all nodes of the tree of the log.
func (l *simLog) nodes() map[uint64]merkle.Node {
	b := merkle.NewBatch(merkle.Tree{})
	for _, x := range l.blocks() {
		if err := b.Append(x); err != nil {
			l.sim.fatal("%v", err)
		}
	}
	all := make(map[uint64]merkle.Node)
	for _, n := range b.Nodes() {
		all[n.Index] = n
	}
	return all
}

// simRead is somebody who reads from a core, as a coroutine: it goes on when
// the simulation lets it.
type simRead struct {
	core  *simCore
	what  string
	since time.Duration
	over  func() bool // what it waits for is over
	next  func() (func() bool, bool)
	stop  func()
	yield func(func() bool) bool
}

var errSimInterrupted = errors.New("interrupted")

// read begins a read. limit is when it is interrupted, 0: never.
func (h *simHost) read(c *simCore, limit time.Duration, what string, body func(ctx context.Context) error) {
	s := h.sim
	r := &simRead{core: c, what: what, since: s.at}
	s.tell("%s reads %s of %s", h.name, what, c.log.name)
	r.next, r.stop = iter.Pull(func(yield func(func() bool) bool) {
		r.yield = yield
		fork := c.Info().Fork
		err := body(context.Background())
		s.tell("%s has read %s of %s: %v", h.name, what, c.log.name, err)
		gone := err == nil || errors.Is(err, errSimInterrupted) || errors.Is(err, ErrClosed) || errors.Is(err, hypercore.ErrNoPeers)
		if !gone && c.Info().Fork == fork && !h.life.over {
			s.violate("%s cannot read %s of %s: %v", h.name, what, c.log.name, err)
		}
	})
	h.reads = append(h.reads, r)
	r.over = func() bool { return true }
	h.touch()
	if limit > 0 {
		s.after(limit, func() { h.endRead(r) })
	}
}

// resume goes on with a read if it can.
func (r *simRead) resume() bool {
	h := r.core.host
	if !r.over() {
		return false
	}
	h.sim.reading = r
	over, more := r.next()
	h.sim.reading = nil
	if r.over = over; !more {
		h.reads = without(h.reads, r)
	}
	return true
}

// wait is called by the body of a read: until over, or it is interrupted.
func (r *simRead) wait(over func() bool) bool { return r.yield(over) }

func (h *simHost) endRead(r *simRead) {
	before := len(h.reads)
	if h.reads = without(h.reads, r); len(h.reads) < before {
		r.stop()
		h.touch()
	}
}

func (h *simHost) endReads() {
	for len(h.reads) > 0 {
		h.endRead(h.reads[0])
	}
}

// simSource is the Source of an attached core: it does what source does, but
// for the waiting.
type simSource struct{ c *simCore }

func (x *simSource) FetchBlock(_ context.Context, i uint64) error { return x.fetch(want{forBlock, i}) }
func (x *simSource) FetchNode(_ context.Context, i uint64) error  { return x.fetch(want{forNode, i}) }
func (x *simSource) FetchSeek(_ context.Context, i uint64) error  { return x.fetch(want{forSeek, i}) }
func (x *simSource) Connected() bool                              { return x.c.attachment.Connected() }

func (x *simSource) fetch(w want) error {
	swarm, core, r := x.c.host.swarm, x.c.attachment.core, x.c.host.sim.reading
	var f *fetch
	swarm.do(func(m *machine, now time.Time) {
		if len(core.attached) > 0 {
			f = m.fetch(core, w, now)
		}
	})
	if f == nil {
		return ErrClosed
	}
	if r.wait(func() bool { return f.over }) {
		return f.err
	}
	swarm.do(func(m *machine, now time.Time) { m.leave(core, f, now) })
	return errSimInterrupted
}

func (x *simSource) Refresh(context.Context) error {
	swarm, core, r := x.c.host.swarm, x.c.attachment.core, x.c.host.sim.reading
	var f *refresh
	swarm.do(func(m *machine, now time.Time) {
		if len(core.attached) > 0 {
			f = m.addRefresh(core, now)
		}
	})
	if f == nil {
		return ErrClosed
	}
	over := func() bool {
		select {
		case <-f.done:
			return true
		default:
			return false
		}
	}
	if r.wait(over) {
		return f.err
	}
	swarm.do(func(m *machine, now time.Time) { m.leaveRefresh(core, f) })
	return errSimInterrupted
}

// get reads a block, seek finds a byte, extent asks where a block lies: each
// compares what it finds. refresh asks the peers for the length.
func (h *simHost) get(c *simCore, i uint64, limit time.Duration) {
	h.read(c, limit, fmt.Sprintf("block %d", i), func(ctx context.Context) error {
		fork := c.Info().Fork
		b, err := c.Get(ctx, i)
		if err == nil && c.Info().Fork == fork && !bytes.Equal(b, c.log.forks[fork][i]) {
			h.sim.violate("%s reads a wrong block %d of %s", h.name, i, c.log.name)
		}
		return err
	})
}

func (h *simHost) seek(c *simCore, off uint64, limit time.Duration) {
	h.read(c, limit, fmt.Sprintf("byte %d", off), func(ctx context.Context) error {
		fork := c.Info().Fork
		i, within, err := c.Seek(ctx, off)
		if err != nil || c.Info().Fork != fork {
			return err
		}
		at := uint64(0)
		for _, b := range c.log.forks[fork][:i] {
			at += uint64(len(b))
		}
		if at+within != off {
			h.sim.violate("%s finds byte %d of %s in block %d at %d", h.name, off, c.log.name, i, within)
		}
		return nil
	})
}

func (h *simHost) extent(c *simCore, i uint64, limit time.Duration) {
	h.read(c, limit, fmt.Sprintf("extent %d", i), func(ctx context.Context) error {
		fork := c.Info().Fork
		_, size, err := c.Extent(ctx, i)
		if err == nil && c.Info().Fork == fork && size != uint64(len(c.log.forks[fork][i])) {
			h.sim.violate("%s: block %d of %s has a size of %d", h.name, i, c.log.name, size)
		}
		return err
	})
}

func (h *simHost) refresh(c *simCore, limit time.Duration) {
	h.read(c, limit, "length", func(ctx context.Context) error { return c.Update(ctx) })
}
