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

// AwaitHead returns once the length is known, be it 0: an unknown log must not
// look empty. It asks the peers, and where these do not know it either waits for
// one that does. ErrNoPeers where there is no Source, joined with ctx's error
// where none was ever connected; ErrFailed, ErrClosed and ErrConflict as soon as
// they are true, unless the length is known.
func (c *Core) AwaitHead(ctx context.Context) error {
	if c.isLearned() {
		return nil
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	asked := make(chan error, 1)
	go func() { asked <- c.Update(asking) }()
	pending := asked
	defer func() {
		if pending != nil {
			cancel()
			<-pending
		}
	}()
	for {
		changed := c.Changed()
		if c.isLearned() {
			return nil
		}
		if err := c.usable(); err != nil {
			return err
		}
		if err := c.frozen(); err != nil {
			return err
		}
		select {
		case <-changed:
		case err := <-pending:
			if pending = nil; err != nil && !c.isLearned() {
				return err
			}
		case <-ctx.Done():
			if pending == nil {
				return ctx.Err()
			}
			err := <-pending
			if pending = nil; err == nil {
				err = ctx.Err()
			}
			return err
		}
	}
}

func (c *Core) isLearned() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.learned()
}
