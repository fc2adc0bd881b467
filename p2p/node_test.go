package p2p

import (
	"context"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	libtls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"

	"multicore/hypercore"
)

// patience is how long a test waits for what should take moments.
const patience = 20 * time.Second

var loopback = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}

type memorySettings struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (s *memorySettings) Setting(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[name], nil
}

func (s *memorySettings) SetSetting(name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[string][]byte)
	}
	s.m[name] = append([]byte(nil), value...)
	return nil
}

// startTest starts a node on loopback that knows nobody; change may alter its
// options. It is closed with the test.
func startTest(t *testing.T, sw swarm, change func(*Options)) *Node {
	t.Helper()
	o := Options{
		Identity: filepath.Join(t.TempDir(), "identity"),
		Settings: &memorySettings{},
		Listen:   loopback,
		DHT:      DHTOff,
		Announce: true,
		Version:  "test",
		Log:      slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	if change != nil {
		change(&o)
	}
	n, err := start(t.Context(), o, sw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if f, ok := sw.(*fakeSwarm); ok {
			for _, err := range f.faults {
				t.Error(err)
			}
		}
	})
	return n
}

func (n *Node) info() peer.AddrInfo {
	return peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()}
}

// until waits for cond, looking whenever changed fires and now and then.
func until(t *testing.T, what string, cond func() bool, changed ...func() <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		var ch <-chan struct{}
		if len(changed) > 0 {
			ch = changed[0]()
		}
		if cond() {
			return
		}
		if !pause(ctx, 10*time.Millisecond, ch) {
			buf := make([]byte, 1<<20)
			t.Logf("%s", buf[:runtime.Stack(buf, true)])
			t.Fatalf("waited %v: %s", patience, what)
		}
	}
}

// TestPeerAddress joins two nodes by --peer, in each form of address.
func TestPeerAddress(t *testing.T) {
	for _, form := range []string{"tcp", "quic-v1", "tcp without id", "quic-v1 without id"} {
		t.Run(form, func(t *testing.T) {
			transport, bare, _ := strings.Cut(form, " ")
			ws, rs := newFakeSwarm(), newFakeSwarm()
			w := startTest(t, ws, nil)
			var addr string
			for _, a := range w.Status().Addrs {
				if strings.Contains(a, transport) {
					addr = a
				}
			}
			if bare != "" {
				addr, _, _ = strings.Cut(addr, "/p2p/")
			}
			r := startTest(t, rs, func(o *Options) { o.Peers = []string{addr} })
			until(t, "the stream is served on both sides", func() bool {
				return ws.serving(r.Status().PeerID) && rs.serving(w.Status().PeerID)
			}, rs.Changed)
			if rs.role(w.Status().PeerID) != (r.host.ID() < w.host.ID()) {
				t.Error("the initiator is not the lower id")
			}
			until(t, "the round trip is measured", func() bool {
				p := r.Status().Peers
				return len(p) == 1 && p[0].RTT > 0
			})
			p := r.Status().Peers[0]
			want := strings.TrimSuffix(transport, "-v1")
			if p.ID != w.Status().PeerID || p.Transport != want || p.Relayed {
				t.Errorf("got peer %+v, want transport %s", p, want)
			}
			agent, err := r.host.Peerstore().Get(w.host.ID(), "AgentVersion")
			if err != nil || agent != "multicore/test" {
				t.Errorf("user agent %v, %v", agent, err)
			}
			if c := r.host.Network().ConnsToPeer(w.host.ID())[0].ConnState(); c.Security != libtls.ID && transport == "tcp" {
				t.Errorf("secured by %s, want TLS before Noise", c.Security)
			}
			if _, err := ma.NewMultiaddr(p.Addr); err != nil {
				t.Errorf("address %q: %v", p.Addr, err)
			}
		})
	}
}

// TestBootstrap: a writer and a reader that know only a third node find each
// other through the DHT.
func TestBootstrap(t *testing.T) {
	private := func(o *Options) { o.DHT = DHTPrivate }
	boot := startTest(t, newFakeSwarm(), private)
	joined := func(o *Options) {
		private(o)
		o.Bootstrap = boot.Status().Addrs
	}
	var d hypercore.DiscoveryKey
	copy(d[:], "an arbitrary discovery key, 32 b")
	ws, rs := newFakeSwarm(), newFakeSwarm()
	w := startTest(t, ws, joined)
	w.Join(d, true)
	until(t, "the writer has announced", func() bool { return !w.Status().LastProvide.IsZero() })

	began := time.Now()
	r := startTest(t, rs, joined)
	r.Join(d, false)
	until(t, "the reader is served by the writer", func() bool {
		return rs.serving(w.Status().PeerID) && ws.serving(r.Status().PeerID)
	}, rs.Changed)
	t.Logf("found after %v", time.Since(began))
	until(t, "the reader has asked others", func() bool {
		return r.Status().RoutingTable > 0 && r.Status().Asked > 0
	})
	if !r.Status().LastProvide.IsZero() {
		t.Error("the reader announced without being asked to")
	}
}
