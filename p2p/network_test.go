package p2p

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestNetworkComesAndGoes takes away the address over which two peers are
// connected: the connection ends at once, and comes back with the address.
func TestNetworkComesAndGoes(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("ip %q: %v\n%s", args, err, out)
			}
			t.Skipf("ip %q: %v\n%s", args, err, out)
		}
	}
	raiseLoopback(t)
	ip("link", "add", "here", "type", "veth", "peer", "name", "there")
	ip("link", "set", "here", "up")
	ip("link", "set", "there", "up")
	ip("address", "add", "192.0.2.1/24", "dev", "here")

	ws, rs := newFakeSwarm(), newFakeSwarm()
	listen := func(o *Options) {
		o.DHT, o.Listen = DHTOff, []string{"/ip4/192.0.2.1/tcp/0", "/ip4/192.0.2.1/udp/0/quic-v1"}
	}
	w := startTest(t, ws, listen)
	r := startTest(t, rs, func(o *Options) {
		listen(o)
		for _, a := range w.host.Addrs() {
			o.Peers = append(o.Peers, a.String()+"/p2p/"+w.host.ID().String())
		}
	})
	served := func() bool { return rs.serving(w.Status().PeerID) && ws.serving(r.Status().PeerID) }
	until(t, "they are served", served, rs.Changed, ws.Changed)
	for range 2 {
		ip("address", "del", "192.0.2.1/24", "dev", "here")
		until(t, "the connection is cut", func() bool { return !rs.serving(w.Status().PeerID) }, rs.Changed)
		ip("address", "add", "192.0.2.1/24", "dev", "here")
		until(t, "they are served again", served, rs.Changed, ws.Changed)
	}
}

func TestUnreachable(t *testing.T) {
	working, err := workingAddrs()
	if err != nil {
		t.Fatal(err)
	}
	if len(working) == 0 {
		t.Skip("no interface")
	}
	loopback, elsewhere := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.77")
	for _, test := range []struct {
		local, remote netip.Addr
		working       []netip.Addr
		want          bool
	}{
		{loopback, loopback, working, false},
		{netip.Addr{}, loopback, working, false},
		{netip.IPv4Unspecified(), loopback, working, false},
		{loopback, loopback, nil, true},      // no carrier
		{elsewhere, loopback, working, true}, // an address that is gone
	} {
		if got := unreachable(test.local, test.remote, test.working); got != test.want {
			t.Errorf("%v to %v with %v: %v, want %v", test.local, test.remote, test.working, got, test.want)
		}
	}
}

// TestUnreachableUnknown: a process that has no descriptor left takes no address
// for unreachable.
func TestUnreachableUnknown(t *testing.T) {
	working, err := workingAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	cut := unreachable(loopback, loopback, working)
	_, err = workingAddrs()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if cut {
		t.Error("loopback is unreachable")
	}
	if !errors.Is(err, syscall.EMFILE) {
		t.Errorf("the addresses of this machine: %v, want EMFILE", err)
	}
}
