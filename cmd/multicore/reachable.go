package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"multicore/cmd/multicore/node"
	"multicore/hypercore"
)

// findable is how long others may take to be able to find a key before the user
// is told that they cannot.
const findable = 30 * time.Second

// tellReachable says in the log, once it is known, whether others can find the
// keys that n serves. It returns at once; end ends it.
func (p *program) tellReachable(ctx context.Context, n *node.Node, nw *node.Network, keys []hypercore.Key) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		sayReachable(ctx, p.log, nw, len(keys), func(ctx context.Context) error { return n.AwaitReachable(ctx, keys) })
	}()
	return func() { cancel(); <-done }
}

// sayReachable is tellReachable for so many keys; await returns once others can
// find them.
func sayReachable(ctx context.Context, log *slog.Logger, nw *node.Network, keys int, await func(context.Context) error) {
	what := "this key"
	switch {
	case keys == 0:
		return
	case keys > 1:
		what = "these keys"
	}
	if why := unannounced(nw); why != "" {
		where := ""
		if nw.MDNS {
			where = "found on this machine and network only; "
		}
		log.Info("not announced (" + why + "): " + where + "others need an address of this node: multicore status")
		return
	}
	soon, cancel := context.WithTimeout(ctx, findable)
	defer cancel()
	err := await(soon)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		log.Info("not reachable yet: multicore doctor")
		err = await(ctx)
	}
	if err == nil {
		log.Info("announced: others can find " + what)
	}
}

// unannounced is the flag that keeps keys from being announced, "" for none.
func unannounced(nw *node.Network) string {
	switch {
	case nw.DHT == "off":
		return "--dht off"
	case !nw.Announce:
		return "--announce=false"
	}
	return ""
}
