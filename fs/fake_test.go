package fs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// fakeCore is a core in memory.
type fakeCore struct {
	key    hypercore.Key
	source hypercore.Source

	mu      sync.Mutex
	blocks  [][]byte
	missing map[uint64]bool // not held
	unsized map[uint64]bool // extent not known
	learned bool
	grown   time.Time
	changed chan struct{}
}

func newFakeCore(key byte) *fakeCore {
	return &fakeCore{key: hypercore.Key{key}, learned: true, changed: make(chan struct{}), missing: map[uint64]bool{}, unsized: map[uint64]bool{}}
}

func (c *fakeCore) signal() { close(c.changed); c.changed = make(chan struct{}) }

func (c *fakeCore) append(blocks ...[]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range blocks {
		c.blocks = append(c.blocks, bytes.Clone(b))
	}
	c.grown = time.Now()
	c.signal()
}

func (c *fakeCore) Key() hypercore.Key                   { return c.key }
func (c *fakeCore) DiscoveryKey() hypercore.DiscoveryKey { return hypercore.DiscoveryKey(c.key) }
func (c *fakeCore) Source() hypercore.Source             { return c.source }

func (c *fakeCore) Info() hypercore.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := hypercore.Info{Length: uint64(len(c.blocks)), Learned: c.learned, Grown: c.grown}
	i.ByteLength = c.offset(i.Length)
	for i.Contiguous < i.Length && !c.missing[i.Contiguous] {
		i.Contiguous++
	}
	if !c.learned {
		i = hypercore.Info{}
	}
	return i
}

func (c *fakeCore) offset(i uint64) (off uint64) {
	for _, b := range c.blocks[:i] {
		off += uint64(len(b))
	}
	return off
}

func (c *fakeCore) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *fakeCore) Update(ctx context.Context) error {
	if c.source == nil {
		return hypercore.ErrNoPeers
	}
	return c.source.Refresh(ctx)
}

func (c *fakeCore) Has(i uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return i < uint64(len(c.blocks)) && !c.missing[i]
}

func (c *fakeCore) Get(ctx context.Context, i uint64) ([]byte, error) {
	if i >= c.Info().Length {
		return nil, hypercore.ErrPastEnd
	}
	if !c.Has(i) {
		if err := c.source.FetchBlock(ctx, i); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.blocks[i]), nil
}

func (c *fakeCore) LocalExtent(i uint64) (off, size uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i >= uint64(len(c.blocks)) {
		return 0, 0, hypercore.ErrPastEnd
	}
	if c.unsized[i] {
		return 0, 0, hypercore.ErrNotHeld
	}
	return c.offset(i), uint64(len(c.blocks[i])), nil
}

func (c *fakeCore) Extent(ctx context.Context, i uint64) (off, size uint64, err error) {
	off, size, err = c.LocalExtent(i)
	if errors.Is(err, hypercore.ErrNotHeld) {
		if err := c.source.FetchNode(ctx, 2*i); err != nil {
			return 0, 0, err
		}
		return c.LocalExtent(i)
	}
	return off, size, err
}

func (c *fakeCore) Seek(_ context.Context, off uint64) (i, within uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range c.blocks {
		if off < uint64(len(b)) {
			return uint64(i), off, nil
		}
		off -= uint64(len(b))
	}
	return uint64(len(c.blocks)), 0, nil
}

func (c *fakeCore) ReadAt(ctx context.Context, p []byte, off uint64) (n int, err error) {
	for n < len(p) {
		i, within, _ := c.Seek(ctx, off+uint64(n))
		b, err := c.Get(ctx, i)
		if errors.Is(err, hypercore.ErrPastEnd) {
			return n, io.EOF
		}
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b[within:])
	}
	return n, nil
}

// fakeView is a multicore of fake cores.
type fakeView struct {
	key   hypercore.Key
	mu    sync.Mutex
	cores []named
	known bool
}

func (v *fakeView) Key() hypercore.Key { return v.key }
func (v *fakeView) Known() ([]named, bool) {
	if v.known {
		return v.cores, true
	}
	return v.cores[:1], false
}
func (v *fakeView) Cores(ctx context.Context) ([]named, error) {
	if v.known {
		return v.cores, nil
	}
	<-ctx.Done()
	return nil, errors.Join(ctx.Err(), hypercore.ErrNoPeers)
}

// fakeWriter takes lines.
type fakeWriter struct {
	mu    sync.Mutex
	cores []named
}

func (w *fakeWriter) Flush(context.Context) error { return nil }
func (w *fakeWriter) newFramer(core string) framer {
	return &fakeFramer{w: w, core: core}
}

type fakeFramer struct {
	w       *fakeWriter
	core    string
	pending []byte
}

func (f *fakeFramer) Write(_ context.Context, p []byte) (int, error) {
	if len(f.pending)+len(p) > 8<<20 {
		return 0, multicore.ErrTooLong
	}
	f.pending = append(f.pending, p...)
	for {
		n := bytes.IndexByte(f.pending, '\n') + 1
		if n == 0 {
			return len(p), nil
		}
		f.append(f.pending[:n])
		f.pending = f.pending[n:]
	}
}

func (f *fakeFramer) append(m []byte) {
	name := f.core
	if name == "" {
		name = "core-3"
		if len(m) < 5 {
			name = "core-2"
		}
	}
	find(f.w.cores, name).(*fakeCore).append(m)
}

func (f *fakeFramer) End(context.Context) error {
	if len(f.pending) > 0 {
		f.append(f.pending)
	}
	f.pending = nil
	return nil
}

// fakeSource gives what is missing while it is open.
type fakeSource struct {
	connected bool
	open      chan struct{}
}

func (s *fakeSource) wait(ctx context.Context) error {
	select {
	case <-s.open:
		return nil
	case <-ctx.Done():
		if s.connected {
			return ctx.Err()
		}
		return errors.Join(ctx.Err(), hypercore.ErrNoPeers)
	}
}
func (s *fakeSource) FetchBlock(ctx context.Context, i uint64) error    { return s.wait(ctx) }
func (s *fakeSource) FetchNode(ctx context.Context, index uint64) error { return s.wait(ctx) }
func (s *fakeSource) FetchSeek(ctx context.Context, b uint64) error     { return s.wait(ctx) }
func (s *fakeSource) Refresh(ctx context.Context) error                 { return s.wait(ctx) }
func (s *fakeSource) Connected() bool                                   { return s.connected }
