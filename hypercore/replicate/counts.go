package replicate

import (
	"errors"
	"sync/atomic"

	"multicore/hypercore"
)

// Counts are what all streams carried since the swarm was made.
type Counts struct {
	SentBytes, ReceivedBytes uint64 // in all
	// Blocks that peers were given, and those that came from peers, verified and
	// stored; and their bytes.
	ServedBlocks, ServedBytes   uint64
	FetchedBlocks, FetchedBytes uint64
	// BadProofs are answers of peers that did not verify.
	BadProofs uint64
}

type counters struct {
	sent, received              uint64 // on streams that ended; under Swarm.mu
	servedBlocks, servedBytes   atomic.Uint64
	fetchedBlocks, fetchedBytes atomic.Uint64
	badProofs                   atomic.Uint64
}

// Counts gives the counts. Each is right by itself.
func (s *Swarm) Counts() Counts {
	c := &s.counters
	out := Counts{
		ServedBlocks: c.servedBlocks.Load(), ServedBytes: c.servedBytes.Load(),
		FetchedBlocks: c.fetchedBlocks.Load(), FetchedBytes: c.fetchedBytes.Load(),
		BadProofs: c.badProofs.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.SentBytes, out.ReceivedBytes = c.sent, c.received
	for _, n := range s.conns {
		out.SentBytes += n.meter.sent.Load()
		out.ReceivedBytes += n.meter.received.Load()
	}
	return out
}

// served counts a block of that size that a peer was given.
func (c *counters) served(size int) {
	c.servedBlocks.Add(1)
	c.servedBytes.Add(uint64(size))
}

// took counts answers that were given to a log, by what became of them.
func (c *counters) took(works []work, outcomes []error) {
	var blocks, bytes uint64
	for i, w := range works {
		switch {
		case errors.Is(outcomes[i], hypercore.ErrBadProof):
			c.badProofs.Add(1)
		case outcomes[i] == nil && w.proof.Block != nil:
			blocks++
			bytes += uint64(len(w.proof.Block.Value))
		}
	}
	if blocks > 0 {
		c.fetchedBlocks.Add(blocks)
		c.fetchedBytes.Add(bytes)
	}
}
