package node

import (
	"context"

	"multicore/hypercore"
)

// Served gives the main keys that others may fetch from this process: the own
// one, or where there is none those that are followed.
func (n *Node) Served() []hypercore.Key {
	if own := n.current(); own != nil {
		return []hypercore.Key{own.Key()}
	}
	n.followMu.Lock()
	defer n.followMu.Unlock()
	var keys []hypercore.Key
	for key := range n.followed {
		keys = append(keys, key)
	}
	return keys
}

// AwaitReachable returns once others can find each of the keys here: its
// provider record was taken, or a peer that knows it was connected. It waits for
// what Network.Announce and DHT allow, or for ctx, whose error it gives.
func (n *Node) AwaitReachable(ctx context.Context, keys []hypercore.Key) error {
	if n.net == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, key := range keys {
		d := key.Discovery()
		for {
			at, announced := n.net.Announced(d)
			changed := n.swarm.Changed()
			if !at.IsZero() || n.swarm.Reached(d) {
				break
			}
			select {
			case <-announced:
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}
