package p2p

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

// TestLimits: many peers behind one address and many streams of one peer are
// let in, on the smallest machine too; endlessly many are not.
func TestLimits(t *testing.T) {
	m, err := newResourceManager(false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	shared := ma.StringCast("/ip4/198.51.100.7/udp/4001/quic-v1")
	for i := range 100 {
		scope, err := m.OpenConnection(network.DirInbound, false, shared)
		if err != nil {
			t.Fatalf("connection %d from one address: %v", i, err)
		}
		defer scope.Done()
		if err := scope.SetPeer(rawID(t, fmt.Sprintf("%064x", i))); err != nil {
			t.Fatalf("connection %d from one address: %v", i, err)
		}
	}
	p := rawID(t, fmt.Sprintf("%064x", 1))
	for i := range 300 {
		scope, err := m.OpenStream(p, network.DirInbound)
		if err != nil {
			t.Fatalf("stream %d of one peer: %v", i, err)
		}
		defer scope.Done()
		if err := scope.SetProtocol("/some/protocol"); err != nil {
			t.Fatalf("stream %d of one peer: %v", i, err)
		}
	}
	if n := ours(t, m); n < 2 || n > 16 {
		t.Errorf("%d replication streams of one peer are let in, want a few", n)
	}
}

// ours counts how many replication streams one peer may open.
func ours(t *testing.T, m network.ResourceManager) int {
	t.Helper()
	p := rawID(t, fmt.Sprintf("%064x", 999))
	for i := range 1000 {
		scope, err := m.OpenStream(p, network.DirInbound)
		if err != nil {
			return i
		}
		defer scope.Done()
		if scope.SetProtocol(protocolID) != nil {
			return i
		}
	}
	return 1000
}

// TestManyStreams: a peer with hundreds of streams of other protocols on one
// connection does not lose the one that matters.
func TestManyStreams(t *testing.T) {
	lower, higher, ls, hs := pair(t)
	connect(t, lower, higher)
	until(t, "the stream", func() bool { return agreed(lower, higher, ls, hs) }, ls.Changed)
	before := lower.session(higher)
	const echo = "/test/many/1"
	held := make(chan network.Stream, 500)
	higher.host.SetStreamHandler(echo, func(s network.Stream) { held <- s })
	for i := range 200 {
		s, err := lower.host.NewStream(t.Context(), higher.host.ID(), echo)
		if err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		if _, err := s.Write([]byte{1}); err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		<-held
	}
	for r := range ping.Ping(t.Context(), lower.host, higher.host.ID()) {
		if r.Error != nil {
			t.Error(r.Error)
		}
		break
	}
	if lower.session(higher) != before || !agreed(lower, higher, ls, hs) {
		t.Error("the replication stream was displaced")
	}
}
