package node

import (
	"time"

	"multicore/cmd/multicore/control"
	"multicore/hypercore"
)

const (
	// stalledAfter is how long nothing comes before a download has stalled: longer
	// than a peer on a bad link takes for an answer.
	stalledAfter = 3 * time.Second
	// missingRanges bounds the stretches of missing blocks that are told.
	missingRanges = 16
)

// missing is what of a core of r is to be downloaded and is not here; nil where
// that is nothing, or r is not downloaded.
func (n *Node) missing(r *remote, place int, c *hypercore.Core) *control.Missing {
	if n.swarm == nil || c.Writable() || !r.Downloads() {
		return nil
	}
	ranges, blocks := r.Missing(place, missingRanges)
	if blocks == 0 {
		return nil
	}
	m := &control.Missing{
		Blocks: blocks, Ranges: make([]control.Span, 0, len(ranges)),
		Sources: n.swarm.Sources(c.DiscoveryKey(), ranges),
		Stalled: time.Since(n.swarm.LastCame(c.DiscoveryKey())) > stalledAfter,
	}
	if err := n.swarm.NotStored(c.DiscoveryKey()); err != nil {
		m.NotStored = err.Error()
	}
	for _, x := range ranges {
		m.Ranges = append(m.Ranges, control.Span{First: x.From, Last: x.To - 1})
	}
	return m
}

// fullReplicas counts the connected peers that hold all of these cores.
func (n *Node) fullReplicas(cores []control.Core) int {
	if n.swarm == nil {
		return 0
	}
	ids := make([]hypercore.DiscoveryKey, 0, len(cores))
	for _, c := range cores {
		if key, err := hypercore.ParseKey(c.Key); err == nil {
			ids = append(ids, key.Discovery())
		}
	}
	return n.swarm.FullReplicas(ids)
}
