package fs

import (
	"context"
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
	if err := c.AwaitHead(ctx); err != nil {
		return hypercore.Info{}, fmt.Errorf("length of %v: %w", c.DiscoveryKey(), err)
	}
	return c.Info(), nil
}
