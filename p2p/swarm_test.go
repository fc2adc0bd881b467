package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// fakeSwarm stands in for a *replicate.Swarm where a test is about the streams
// themselves: it proves that both ends of a stream are joined (they exchange
// their handshake hashes) and notes who is served.
type fakeSwarm struct {
	changed pulse
	blames  atomic.Bool // every peer is to blame
	overdue atomic.Bool // every peer is

	mu     sync.Mutex
	serves map[string]int // streams of a peer now
	began  int            // streams ever
	roles  map[string]bool
	faults []error
}

func newFakeSwarm() *fakeSwarm {
	return &fakeSwarm{serves: make(map[string]int), roles: make(map[string]bool)}
}

func (f *fakeSwarm) Serve(ctx context.Context, c replicate.Conn) error {
	defer c.Stream.Close()
	f.mu.Lock()
	f.began++
	f.mu.Unlock()
	if f.blames.Load() {
		f.changed.beat()
		return fmt.Errorf("test: %w", replicate.ErrMisbehaved)
	}
	// One frame, as streams that are made of frames want it: role and hash.
	hello := append([]byte{65, 0, 0, 0}, c.HandshakeHash[:]...)
	const role = 3
	if c.Initiator {
		hello[role] = 1
	}
	if _, err := c.Stream.Write(hello); err != nil {
		return err
	}
	theirs := make([]byte, len(hello))
	if _, err := io.ReadFull(c.Stream, theirs); err != nil {
		return err
	}
	f.mu.Lock()
	if !bytes.Equal(theirs[role+1:], hello[role+1:]) {
		f.faults = append(f.faults, errors.New("the two ends have different handshake hashes"))
	}
	if theirs[role] == hello[role] {
		f.faults = append(f.faults, errors.New("both ends have the same role"))
	}
	if f.serves[c.Peer]++; f.serves[c.Peer] > 1 {
		f.faults = append(f.faults, fmt.Errorf("%d streams to %s at once", f.serves[c.Peer], c.Peer))
	}
	f.roles[c.Peer] = c.Initiator
	f.mu.Unlock()
	f.changed.beat()
	_, err := c.Stream.Read(theirs[:1])
	f.mu.Lock()
	if f.serves[c.Peer]--; f.serves[c.Peer] == 0 {
		delete(f.serves, c.Peer)
	}
	f.mu.Unlock()
	f.changed.beat()
	return err
}

func (f *fakeSwarm) NewMeter() *replicate.Meter {
	return replicate.New(replicate.Options{}).NewMeter()
}

func (f *fakeSwarm) CorePeers(hypercore.DiscoveryKey) (peers, full int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.serves), 0
}

func (f *fakeSwarm) Changed() <-chan struct{} { return f.changed.next() }

func (f *fakeSwarm) serving(peer string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.serves[peer] > 0
}

func (f *fakeSwarm) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.began
}

// Proved: whoever is served has proved all that this swarm asks for.
func (f *fakeSwarm) Proved(peer string) bool { return f.serving(peer) }

func (f *fakeSwarm) Overdue() (peers []string) {
	if !f.overdue.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.serves))
}

// role says whether we are the initiator towards a peer that was served.
func (f *fakeSwarm) role(peer string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.roles[peer]
}
