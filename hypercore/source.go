package hypercore

import (
	"context"
	"errors"
)

// Source fetches what is missing here. Each call returns once the thing is
// stored, or with ctx's error, to which ErrNoPeers is joined where no peer for
// this core was ever connected. Safe for concurrent use.
type Source interface {
	FetchBlock(ctx context.Context, i uint64) error
	// FetchNode fetches a flat tree node and its path.
	FetchNode(ctx context.Context, index uint64) error
	// FetchSeek fetches nodes that bring merkle.Find for that byte closer.
	FetchSeek(ctx context.Context, bytes uint64) error
	// Refresh asks the connected peers for a newer head and returns when they
	// answered.
	Refresh(ctx context.Context) error
	// Connected reports whether some peer has this core open now.
	Connected() bool
}

// SetSource says who fetches what is missing; nil: nobody.
func (c *Core) SetSource(s Source) {
	if s == nil {
		c.source.Store(nil)
		return
	}
	c.source.Store(&s)
}

// Source is what SetSource set, or nil.
func (c *Core) Source() Source {
	if s := c.source.Load(); s != nil {
		return *s
	}
	return nil
}

// Update asks the connected peers for a newer head and returns when they
// answered; ErrNoPeers (joined) where there are none, ErrConflict where the core
// is frozen.
func (c *Core) Update(ctx context.Context) error {
	if err := c.usable(); err != nil {
		return err
	}
	if err := c.frozen(); err != nil {
		return err
	}
	s := c.Source()
	if s == nil {
		return ErrNoPeers
	}
	return s.Refresh(ctx)
}

// fetch has the source get what is missing. Without one it gives that error.
func (c *Core) fetch(ctx context.Context, missing error, get func(Source) error) error {
	if err := c.usable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.frozen(); err != nil {
		return errors.Join(missing, err)
	}
	s := c.Source()
	if s == nil {
		return errors.Join(missing, ErrNoPeers)
	}
	return get(s)
}

// awaitHead waits until a replica's length is known: an unknown log must not
// look empty.
func (c *Core) awaitHead(ctx context.Context) error {
	for !c.isLearned() {
		changed := c.Changed()
		if err := c.Update(ctx); err != nil {
			return err
		}
		if c.isLearned() {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *Core) isLearned() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.learned()
}
