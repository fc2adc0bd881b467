package p2p

import (
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
)

// stranger is a libp2p host that is no node of ours.
func stranger(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings(loopback...), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// TestStreamFlood: a peer that opens streams without end, silent or with half a
// handshake, holds a few of them at a time, is never served, and others are.
func TestStreamFlood(t *testing.T) {
	s := newFakeSwarm()
	n := startTest(t, s, nil)
	bad := stranger(t)
	if err := bad.Connect(t.Context(), n.info()); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		st, err := bad.NewStream(t.Context(), n.host.ID(), protocolID)
		if err != nil {
			continue // refused
		}
		st.Write(make([]byte, i%nonceSize))
	}
	until(t, "few streams are held", func() bool {
		return n.streams() <= 16 && goroutines(t, "(*links).run(") <= 16
	})
	good := newFakeSwarm()
	g := startTest(t, good, nil)
	connect(t, g, n)
	until(t, "another peer is served", func() bool { return s.serving(g.host.ID().String()) }, s.Changed)
	if s.count() != 1 {
		t.Errorf("%d streams were served, want that of the other peer alone", s.count())
	}
}

// TestNotOurProtocol: a peer that speaks something else gets no stream.
func TestNotOurProtocol(t *testing.T) {
	s := newFakeSwarm()
	n := startTest(t, s, nil)
	other := stranger(t)
	if err := n.host.Connect(t.Context(), *host.InfoFromHost(other)); err != nil {
		t.Fatal(err)
	}
	until(t, "it is identified", func() bool {
		protocols, err := n.host.Peerstore().GetProtocols(other.ID())
		return err == nil && len(protocols) > 0
	})
	if len(n.Status().Peers) > 0 || n.streams() > 0 {
		t.Errorf("peers %v, %d streams", n.Status().Peers, n.streams())
	}
}
