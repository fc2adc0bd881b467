package p2p

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// pair starts two connected nodes; the first has the lower id.
func pair(t *testing.T) (lower, higher *Node, ls, hs *fakeSwarm) {
	t.Helper()
	ls, hs = newFakeSwarm(), newFakeSwarm()
	lower, higher = startTest(t, ls, nil), startTest(t, hs, nil)
	if higher.host.ID() < lower.host.ID() {
		lower, higher, ls, hs = higher, lower, hs, ls
	}
	return lower, higher, ls, hs
}

func connect(t *testing.T, a, b *Node) {
	t.Helper()
	if err := a.host.Connect(t.Context(), b.info()); err != nil {
		t.Fatal(err)
	}
}

// streams counts the streams of our protocol that n holds.
func (n *Node) streams() int {
	total := 0
	for _, c := range n.host.Network().Conns() {
		for _, s := range c.GetStreams() {
			if s.Protocol() == protocolID {
				total++
			}
		}
	}
	return total
}

// session gives the one session of n with another node, nil without one.
func (n *Node) session(with *Node) *session {
	for _, s := range n.links.sessions() {
		if s.stream.Conn().RemotePeer() == with.host.ID() {
			return s
		}
	}
	return nil
}

// agreed says that both ends serve the one stream there is.
func agreed(a, b *Node, as, bs *fakeSwarm) bool {
	x, y := a.session(b), b.session(a)
	return x != nil && y != nil && x.byLower == y.byLower && a.streams() == 1 && b.streams() == 1 &&
		as.serving(b.host.ID().String()) && bs.serving(a.host.ID().String())
}

// TestOneStream opens streams from both sides at once, again and again: one is
// left each time, it is the lower's, and no swarm ever serves two.
func TestOneStream(t *testing.T) {
	lower, higher, ls, hs := pair(t)
	connect(t, higher, lower)
	until(t, "the first stream", func() bool { return agreed(lower, higher, ls, hs) }, hs.Changed)
	for round := range 60 {
		var both sync.WaitGroup
		for _, side := range []struct{ n, other *Node }{{lower, higher}, {higher, lower}} {
			k := &link{id: side.other.host.ID()}
			both.Go(func() {
				if err := side.n.links.open(k); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		both.Wait()
		until(t, "one stream is left", func() bool {
			return agreed(lower, higher, ls, hs) && lower.session(higher).byLower
		}, hs.Changed)
	}
}

// TestLowerWins: the higher id's stream gives way, the lower's does not.
func TestLowerWins(t *testing.T) {
	lower, higher, ls, hs := pair(t)
	connect(t, lower, higher)
	until(t, "the lower id's stream", func() bool {
		return agreed(lower, higher, ls, hs) && lower.session(higher).byLower
	}, ls.Changed)
	before := lower.session(higher)
	if err := higher.links.open(&link{id: lower.host.ID()}); err != nil {
		t.Fatal(err)
	}
	until(t, "the higher id's stream is refused", func() bool { return agreed(lower, higher, ls, hs) }, ls.Changed)
	if lower.session(higher) != before {
		t.Error("the lower id's stream was displaced")
	}
}

// TestReopen: streams that end while the connection lives are replaced, at
// whichever end they were reset.
func TestReopen(t *testing.T) {
	lower, higher, ls, hs := pair(t)
	connect(t, lower, higher)
	for _, n := range []*Node{lower, higher, lower, higher} {
		other := lower
		if n == lower {
			other = higher
		}
		until(t, "a stream", func() bool { return agreed(lower, higher, ls, hs) }, ls.Changed)
		before := n.session(other)
		before.stream.Reset()
		until(t, "another stream", func() bool {
			return agreed(lower, higher, ls, hs) && n.session(other) != before
		}, ls.Changed)
	}
	if lower.host.Network().Connectedness(higher.host.ID()) != network.Connected {
		t.Error("the connection was lost")
	}
}

// TestReconnect: a peer from the command line that goes and comes back, with
// the same identity and address, is served again.
func TestReconnect(t *testing.T) {
	ws, rs := newFakeSwarm(), newFakeSwarm()
	var o Options
	w := startTest(t, ws, func(p *Options) { o = *p })
	addrs := w.Status().Addrs
	r := startTest(t, rs, func(p *Options) { p.Peers = addrs })
	id := w.Status().PeerID
	until(t, "the stream", func() bool { return rs.serving(id) }, rs.Changed)
	w.Close()
	until(t, "the stream has ended", func() bool { return !rs.serving(id) }, rs.Changed)
	again := startTest(t, ws, func(p *Options) {
		p.Identity, p.Settings = o.Identity, o.Settings
		for _, a := range addrs {
			bare, _, _ := strings.Cut(a, "/p2p/")
			p.Listen = append(p.Listen, bare)
		}
	})
	if again.Status().PeerID != id {
		t.Fatalf("new id %s, want %s", again.Status().PeerID, id)
	}
	until(t, "the stream again", func() bool { return rs.serving(id) && ws.serving(r.Status().PeerID) }, rs.Changed)
}

// TestMisbehaved: a peer that is to blame is disconnected and kept away, also
// when it dials again, until its time is over.
func TestMisbehaved(t *testing.T) {
	good, bad := newFakeSwarm(), newFakeSwarm()
	good.blames.Store(true)
	n, m := startTest(t, good, nil), startTest(t, bad, nil)
	connect(t, n, m)
	until(t, "the peer is away", func() bool {
		return n.away.has(m.host.ID()) && !n.connected(m.host.ID())
	}, good.Changed)
	served := good.count()
	if err := n.host.Connect(t.Context(), m.info()); err == nil {
		t.Error("it was dialled")
	}
	// The dialler may learn of the refusal only after its own handshake.
	m.host.Connect(t.Context(), n.info())
	until(t, "its connections are refused", func() bool {
		return !n.connected(m.host.ID()) && !m.connected(n.host.ID())
	})
	if good.count() != served {
		t.Error("it was served while away")
	}

	good.blames.Store(false)
	n.away.mu.Lock()
	n.away.now = func() time.Time { return time.Now().Add(awayFor + time.Second) }
	n.away.mu.Unlock()
	n.forgetBackoff(m.host.ID())
	m.forgetBackoff(n.host.ID())
	connect(t, m, n)
	until(t, "it is served again later", func() bool { return good.serving(m.host.ID().String()) }, good.Changed)
}
