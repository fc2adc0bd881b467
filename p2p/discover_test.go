package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"multicore/hypercore"
)

// TestProviderCID compares with the bytes put together by hand: version 1,
// codec raw, multihash code 0xb220 and length as varints, the digest.
func TestProviderCID(t *testing.T) {
	var d hypercore.DiscoveryKey
	for i := range d {
		d[i] = byte(i)
	}
	c := providerCID(d)
	if got, want := fmt.Sprintf("%x", c.Bytes()), fmt.Sprintf("0155a0e40220%x", d[:]); got != want {
		t.Errorf("bytes %s, want %s", got, want)
	}
	if got, want := c.String(), "bafk2bzaceaaacaqdaqcqmbyibefawdanbyhraeiscmkbkfqxdamrugy4dupb6"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// recorded gives the providers of a core that others announced to n.
func (n *Node) recorded(t *testing.T, d hypercore.DiscoveryKey) []peer.ID {
	t.Helper()
	providers, err := n.discovery.dht.ProviderStore().GetProviders(t.Context(), providerCID(d).Hash())
	if err != nil {
		t.Fatal(err)
	}
	var ids []peer.ID
	for _, p := range providers {
		ids = append(ids, p.ID)
	}
	return ids
}

// TestProvideNeedsTable: without peers or addresses nothing is announced and
// nothing is said to be; both come later and it is.
func TestProvideNeedsTable(t *testing.T) {
	private := func(o *Options) { o.DHT = DHTPrivate }
	n := startTest(t, newFakeSwarm(), private)
	d := hypercore.DiscoveryKey{1}
	if holders, err := n.discovery.announce(t.Context(), providerCID(d)); holders != 0 || !errors.Is(err, errNoTable) {
		t.Errorf("empty table: %d, %v; want %v", holders, err, errNoTable)
	}
	n.Join(d, true)
	mute := startTest(t, newFakeSwarm(), func(o *Options) {
		private(o)
		o.Listen = []string{"/ip4/127.0.0.1/sctp/1"} // cannot be listened on
	})
	mute.Join(d, true)
	if !n.Status().LastProvide.IsZero() {
		t.Error("announced to nobody")
	}
	connect(t, mute, n)
	until(t, "the silent node has a table", func() bool { return mute.Status().RoutingTable > 0 })
	if holders, err := mute.discovery.announce(t.Context(), providerCID(d)); holders != 0 || !errors.Is(err, errNoAddrs) {
		t.Errorf("no address: %d, %v; want %v", holders, err, errNoAddrs)
	}
	if !mute.Status().LastProvide.IsZero() {
		t.Error("announced without an address")
	}
	third := startTest(t, newFakeSwarm(), private)
	connect(t, n, third)
	until(t, "it is announced at last", func() bool { return !n.Status().LastProvide.IsZero() })
	until(t, "the third node has the record", func() bool {
		return slices.Equal(third.recorded(t, d), []peer.ID{n.host.ID()})
	})
}

// TestAnnounceOff: neither Join without announce nor the node's option lets a
// record out; joining again does.
func TestAnnounceOff(t *testing.T) {
	private := func(o *Options) { o.DHT = DHTPrivate }
	boot := startTest(t, newFakeSwarm(), private)
	joined := func(o *Options) {
		private(o)
		o.Bootstrap = boot.Status().Addrs
	}
	d := hypercore.DiscoveryKey{2}
	silent := startTest(t, newFakeSwarm(), func(o *Options) {
		joined(o)
		o.Announce = false
	})
	silent.Join(d, true)
	n := startTest(t, newFakeSwarm(), joined)
	n.Join(d, false)
	until(t, "both have looked", func() bool { return n.Status().Asked > 0 && silent.Status().Asked > 0 })
	n.Join(d, true)
	until(t, "it is announced", func() bool { return !n.Status().LastProvide.IsZero() })
	until(t, "the bootstrap node has the record", func() bool { return len(boot.recorded(t, d)) > 0 })
	if got, want := boot.recorded(t, d), []peer.ID{n.host.ID()}; !slices.Equal(got, want) {
		t.Errorf("recorded are %v, want %v", got, want)
	}
}

// TestLateWriter: a reader that looked in vain finds a writer that comes later.
func TestLateWriter(t *testing.T) {
	private := func(o *Options) { o.DHT = DHTPrivate }
	boot := startTest(t, newFakeSwarm(), private)
	joined := func(o *Options) {
		private(o)
		o.Bootstrap = boot.Status().Addrs[:1]
	}
	d := hypercore.DiscoveryKey{3}
	rs := newFakeSwarm()
	r := startTest(t, rs, joined)
	r.Join(d, false)
	until(t, "the reader has looked", func() bool { return r.Status().Asked > 0 })
	w := startTest(t, newFakeSwarm(), joined)
	w.Join(d, true)
	until(t, "the reader is served", func() bool { return rs.serving(w.Status().PeerID) }, rs.Changed)
}

// TestLook: a search by itself, without the routing table's own walks, dials
// who is announced.
func TestLook(t *testing.T) {
	private := func(o *Options) { o.DHT = DHTPrivate }
	boot, w, r := startTest(t, newFakeSwarm(), private), startTest(t, newFakeSwarm(), private), startTest(t, newFakeSwarm(), private)
	connect(t, w, boot)
	c := providerCID(hypercore.DiscoveryKey{4})
	until(t, "the writer announces", func() bool {
		holders, err := w.discovery.announce(t.Context(), c)
		return err == nil && holders == 1
	})
	connect(t, r, boot)
	until(t, "the reader has a table", func() bool { return r.Status().RoutingTable > 0 })
	r.discovery.look(t.Context(), c)
	if r.Status().Asked == 0 {
		t.Error("nobody was asked")
	}
	until(t, "the provider is connected", func() bool { return r.connected(w.host.ID()) })
}

// TestLeave: the loops of a core end with Leave, those of the others stay.
func TestLeave(t *testing.T) {
	n := startTest(t, newFakeSwarm(), func(o *Options) { o.DHT = DHTPrivate })
	loops := func(want int) func() bool {
		return func() bool {
			return goroutines(t, "(*discovery).find(") == want && goroutines(t, "(*discovery).provide(") == want
		}
	}
	for i := range 8 {
		n.Join(hypercore.DiscoveryKey{byte(i)}, true)
	}
	until(t, "the loops run", loops(8))
	for i := range 7 {
		n.Leave(hypercore.DiscoveryKey{byte(i)})
		n.Leave(hypercore.DiscoveryKey{byte(i)})
	}
	until(t, "all but one have ended", loops(1))
}

func TestStartRefuses(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		change func(*Options)
		option string // of the *OptionError, if it is one
	}{
		{"unknown DHT mode", func(o *Options) { o.DHT = "lan" }, "dht"},
		{"bootstrap without id", func(o *Options) { o.Bootstrap = loopback }, "bootstrap"},
		{"bootstrap is no multiaddr", func(o *Options) { o.Bootstrap = []string{"localhost:1"} }, "bootstrap"},
		{"peer is no multiaddr", func(o *Options) { o.Peers = []string{"localhost:1"} }, "peer"},
		{"listen is no multiaddr", func(o *Options) { o.Listen = []string{"localhost:1"} }, "listen"},
		{"no place for the identity", func(o *Options) { o.Identity = "/nonexistent/identity" }, ""},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			o := Options{Identity: t.TempDir() + "/identity", Listen: loopback, DHT: DHTOff}
			tc.change(&o)
			n, err := start(context.Background(), o, newFakeSwarm())
			if err == nil {
				n.Close()
				t.Fatal("it started")
			}
			var bad *OptionError
			if errors.As(err, &bad) != (tc.option != "") || bad != nil && bad.Option != tc.option {
				t.Errorf("got %v, want an error about %q", err, tc.option)
			}
		})
	}
}
