package replicate

import (
	"time"

	"multicore/hypercore"
)

// full says whether the peer announced every block that it and we know of.
func (ch *channel) full() bool {
	return ch.them.synced && ch.them.fork == ch.core.fork && ch.them.length > 0 &&
		ch.blocks.prefix >= max(ch.them.length, ch.core.length)
}

// CorePeers are the connected peers that have the core open (proved), and those
// of them that announced every block.
func (s *Swarm) CorePeers(d hypercore.DiscoveryKey) (peers, full int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.machine.cores[d]
	if c == nil {
		return 0, 0
	}
	for _, ch := range c.channels {
		peers++
		if ch.full() {
			full++
		}
	}
	return peers, full
}

// FullReplicas counts the connected peers that announced every block of each of
// these cores, empty ones aside; none where all are empty.
func (s *Swarm) FullReplicas(cores []hypercore.DiscoveryKey) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.machine.peers {
		full, some := true, false
		for _, d := range cores {
			if c := s.machine.cores[d]; c != nil && c.length == 0 {
				continue
			}
			ch := p.channels[d]
			full = full && ch != nil && ch.state == open && ch.full()
			some = true
		}
		if full && some {
			n++
		}
	}
	return n
}

// Sources counts the connected peers that announced a block of one of these
// stretches of a core.
func (s *Swarm) Sources(d hypercore.DiscoveryKey, of []Range) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.machine.cores[d]
	if c == nil {
		return 0
	}
	for _, ch := range c.channels {
		if !ch.them.synced || ch.them.fork != c.fork {
			continue
		}
		for _, r := range of {
			if ch.blocks.any(r.From, r.To) {
				n++
				break
			}
		}
	}
	return n
}

// LastCame says when a block of a core was last stored, or its length or what of
// it is downloaded changed; or, where blocks of it are under way, when the last
// bytes came from a peer that was asked for them. The zero time: never. What is
// downloaded and long behind that time has stalled.
func (s *Swarm) LastCame(d hypercore.DiscoveryKey) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.machine.cores[d]
	if c == nil {
		return time.Time{}
	}
	came := c.came
	for _, ch := range c.channels {
		if len(ch.requests) > 0 && ch.peer.moved.After(came) {
			came = ch.peer.moved
		}
	}
	return came
}

// NotStored says why what peers sent of a core last was not stored, such as a full
// disk; nil where it was.
func (s *Swarm) NotStored(d hypercore.DiscoveryKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.machine.cores[d]; c != nil {
		return c.paused
	}
	return nil
}
