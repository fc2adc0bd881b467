package fs

import (
	"context"
	"errors"
	"fmt"

	"multicore/hypercore"
)

// wait bounds what a request may wait for a network: the program is
// interrupted (the kernel tells through ctx), the read timeout passes, or the
// mount ends.
func (t *tree) wait(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, t.ReadTimeout)
	stop := context.AfterFunc(t.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// learn waits until the length of c is known and gives its Info. An empty log
// and a log of which nothing is known yet are not the same thing.
func learn(ctx context.Context, c *hypercore.Core) (hypercore.Info, error) {
	if info := c.Info(); info.Learned {
		return info, nil
	}
	source := c.Source() // the core may lose it while this waits
	if source == nil {
		return hypercore.Info{}, fmt.Errorf("length of %v: %w", c.DiscoveryKey(), hypercore.ErrNoPeers)
	}
	ctx, cancel := context.WithCancel(ctx)
	asked := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		asked <- c.Update(ctx)
	}()
	defer func() { cancel(); <-done }()

	var lastErr error // of asking the peers
	for {
		changed := c.Changed()
		if info := c.Info(); info.Learned {
			return info, nil
		}
		select {
		case <-changed:
		case lastErr = <-asked:
			asked = nil // the answer comes as a change
		case <-ctx.Done():
			if asked != nil {
				lastErr = <-asked
			}
			err := ctx.Err()
			if errors.Is(lastErr, hypercore.ErrNoPeers) && !source.Connected() {
				err = errors.Join(err, hypercore.ErrNoPeers)
			}
			return hypercore.Info{}, fmt.Errorf("length of %v: %w", c.DiscoveryKey(), err)
		}
	}
}
