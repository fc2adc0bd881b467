package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"multicore/hypercore"
)

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, public, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", l.Addr().(*net.TCPAddr).Port, id)
}

func TestProbe(t *testing.T) {
	private := func(o *Options) { o.DHT = DHTPrivate }
	boot := startTest(t, newFakeSwarm(), private)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p, err := Probe(ctx, Options{DHT: DHTPrivate, Bootstrap: boot.Status().Addrs[:1]})
	if err != nil || p.Asked != 1 || p.Answered != 1 || p.Table == 0 {
		t.Errorf("of a live node: %+v, %v", p, err)
	}

	began := time.Now()
	p, err = Probe(ctx, Options{DHT: DHTPrivate, Bootstrap: []string{nobody(t), nobody(t)}})
	if err != nil || p.Asked != 2 || p.Answered != 0 || p.Table != 0 || p.Err == nil {
		t.Errorf("of dead nodes: %+v, %v", p, err)
	}
	t.Logf("dead nodes were given up after %v", time.Since(began))

	p, err = Probe(ctx, Options{DHT: DHTPrivate, Bootstrap: []string{nobody(t), boot.Status().Addrs[0]}})
	if err != nil || p.Asked != 2 || p.Answered != 1 || p.Table == 0 {
		t.Errorf("of a dead and a live node: %+v, %v", p, err)
	}

	other := startTest(t, newFakeSwarm(), nil) // answers, and has no DHT
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	p, err = Probe(short, Options{DHT: DHTPrivate, Bootstrap: other.Status().Addrs[:1]})
	if err != nil || p.Answered != 1 || p.Table != 0 {
		t.Errorf("of a node without a DHT: %+v, %v", p, err)
	}

	var bad *OptionError
	if _, err := Probe(ctx, Options{DHT: DHTPrivate, Bootstrap: []string{"/ip4/127.0.0.1/tcp/1"}}); !errors.As(err, &bad) {
		t.Errorf("of an address without an id: %v", err)
	}
}

func TestTryListen(t *testing.T) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	takenTCP := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", tcp.Addr().(*net.TCPAddr).Port)
	takenUDP := fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", udp.LocalAddr().(*net.UDPAddr).Port)
	failures, err := TryListen([]string{takenTCP, "/ip4/127.0.0.1/tcp/0", takenUDP, "/ip4/127.0.0.1/udp/0/quic-v1"}, nil)
	if err != nil || len(failures) != 2 || failures[0].Addr != takenTCP || failures[1].Addr != takenUDP || !failures[0].Taken || !failures[1].Taken {
		t.Errorf("%+v, %v", failures, err)
	}
	if failures, err := TryListen([]string{"/ip4/203.0.113.9/tcp/0"}, nil); err != nil || len(failures) != 1 || failures[0].Taken {
		t.Errorf("an address of another machine: %+v, %v", failures, err)
	}
	var bad *OptionError
	if _, err := TryListen([]string{"127.0.0.1:1"}, nil); !errors.As(err, &bad) {
		t.Errorf("no multiaddr: %v", err)
	}

	s := &memorySettings{}
	if failures, err := TryListen(nil, s); err != nil || len(failures) != 0 || len(s.m) != 0 {
		t.Errorf("without a kept port: %+v, %v, and kept %v", failures, err, s.m)
	}
	s.SetSetting(settingPort, fmt.Append(nil, tcp.Addr().(*net.TCPAddr).Port))
	if failures, err := TryListen(nil, s); err != nil || len(failures) != 1 || !failures[0].Taken {
		t.Errorf("the kept port is taken: %+v, %v", failures, err)
	}
	if _, failures, err := listenAddrs(nil, s, slog.New(slog.DiscardHandler)); err != nil || len(failures) != 1 || !failures[0].Taken {
		t.Errorf("a node does not say that its port is taken: %+v, %v", failures, err)
	}
	n := startTest(t, newFakeSwarm(), func(o *Options) { o.Listen = []string{takenTCP} })
	if st := n.Status(); len(st.NotListening) != 1 || !st.NotListening[0].Taken {
		t.Errorf("a node does not say that its address is taken: %+v", st.NotListening)
	}
}

// TestAnnounced: a core is announced once a peer has taken its record, by itself.
func TestAnnounced(t *testing.T) {
	private := func(o *Options) { o.DHT = DHTPrivate }
	a, b := hypercore.DiscoveryKey{1}, hypercore.DiscoveryKey{2}
	n := startTest(t, newFakeSwarm(), private)
	n.Join(a, true)
	until(t, "the announcement fails", func() bool { return errors.Is(n.Status().NotAnnounced, errNoTable) })
	at, changed := n.Announced(a)
	if !at.IsZero() || changed == nil {
		t.Fatalf("announced to nobody at %v", at)
	}
	connect(t, n, startTest(t, newFakeSwarm(), private))
	until(t, "it is announced", func() bool { at, _ := n.Announced(a); return !at.IsZero() }, func() <-chan struct{} { return changed })
	if at, _ := n.Announced(b); !at.IsZero() {
		t.Error("a core that was not joined counts as announced")
	}
	if st := n.Status(); st.NotAnnounced != nil || !st.Announce || st.Reachability != "unknown" {
		t.Errorf("%+v", st)
	}
	if at, changed := startTest(t, newFakeSwarm(), nil).Announced(a); !at.IsZero() || changed != nil {
		t.Error("announced without a DHT")
	}
}
