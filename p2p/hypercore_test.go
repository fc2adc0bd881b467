package p2p

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// anyPeer is the one peer that a swarm serves, "" without.
func (f *fakeSwarm) anyPeer() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.serves {
		return name
	}
	return ""
}

// startTCP starts a node that JavaScript peers can reach, without libp2p ones.
func startTCP(t *testing.T, sw swarm, listen string, change func(*Options)) *Node {
	t.Helper()
	return startTest(t, sw, func(o *Options) {
		o.HypercoreListen = []string{listen}
		if change != nil {
			change(o)
		}
	})
}

// TestHypercoreTCP joins two nodes by a secret stream; when the one that
// listens comes back at the same address it is dialled again.
func TestHypercoreTCP(t *testing.T) {
	ls, ds := newFakeSwarm(), newFakeSwarm()
	l := startTCP(t, ls, "127.0.0.1:0", nil)
	addr := l.Status().HypercoreTCP
	d := startTest(t, ds, func(o *Options) { o.HypercorePeers = []string{addr} })
	until(t, "both are served", func() bool { return ds.anyPeer() != "" && ls.anyPeer() != "" }, ds.Changed)

	name := ds.anyPeer()
	if !strings.HasPrefix(name, "hypercore:") || !strings.HasSuffix(name, "@"+addr) {
		t.Errorf("peer is named %s", name)
	}
	if !ds.role(name) || ls.role(ls.anyPeer()) {
		t.Error("the side that dialled is not the initiator")
	}
	st := d.Status()
	if st.HypercoreTCP != "" || len(st.Peers) != 1 {
		t.Fatalf("status %+v", st)
	}
	if p := st.Peers[0]; p.ID != name || p.Addr != addr || p.Transport != "hypercore-tcp" || p.RTT <= 0 {
		t.Errorf("peer %+v", p)
	}

	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the stream ended", func() bool { return ds.anyPeer() == "" && ls.anyPeer() == "" }, ds.Changed)
	startTCP(t, ls, addr, nil)
	until(t, "the stream is there again", func() bool { return ds.anyPeer() != "" && ls.anyPeer() != "" }, ds.Changed)
}

// TestHypercoreOwn: a node does not become a peer of itself.
func TestHypercoreOwn(t *testing.T) {
	sw := newFakeSwarm()
	n := startTCP(t, sw, "127.0.0.1:0", nil)
	err := n.javascript.dial(t.Context(), n.Status().HypercoreTCP, func() { t.Error("there is a stream") })
	if !errors.Is(err, errOwnID) || sw.count() != 0 {
		t.Errorf("%v, %d streams", err, sw.count())
	}
}

// TestHypercoreNewcomers: connections that say nothing take a bounded number of
// places, which are free again once they are gone.
func TestHypercoreNewcomers(t *testing.T) {
	n := startTCP(t, newFakeSwarm(), "127.0.0.1:0", nil)
	addr := n.Status().HypercoreTCP
	newcomers := func() int {
		n.javascript.mu.Lock()
		defer n.javascript.mu.Unlock()
		return sum(n.javascript.newcomers)
	}
	var silent []net.Conn
	for range hypercoreNewcomers + 1 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	last := silent[hypercoreNewcomers]
	last.SetReadDeadline(time.Now().Add(patience))
	if _, err := last.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one too many: %v", err)
	}
	if got := newcomers(); got != hypercoreNewcomers {
		t.Errorf("%d newcomers", got)
	}
	for _, c := range silent {
		c.Close()
	}
	until(t, "their places are free", func() bool { return newcomers() == 0 })
	ctx, cancel := context.WithCancel(t.Context())
	other := startTest(t, newFakeSwarm(), nil)
	if err := other.javascript.dial(ctx, addr, cancel); !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("an honest peer: %v", err)
	}
}

// TestHypercoreAdmit: the bounds by address and in all, and who is kept away.
func TestHypercoreAdmit(t *testing.T) {
	j := &javascript{away: newAway(), accepted: make(map[string]int), newcomers: make(map[string]int)}
	admit := func(ip string, loopback bool) error {
		err := j.admit(ip, loopback)
		if err == nil {
			j.leave(j.newcomers, ip)
		}
		return err
	}
	for range hypercoreStrangers {
		if err := j.admit("192.0.2.9", false); err != nil {
			t.Fatal(err)
		}
	}
	if j.admit("192.0.2.9", false) == nil {
		t.Error("one address may take every handshake")
	}
	if err := admit("192.0.2.8", false); err != nil {
		t.Error("another address is not let in:", err)
	}
	j.leave(j.accepted, "192.0.2.8")
	for range hypercoreStrangers {
		j.leave(j.newcomers, "192.0.2.9")
		j.leave(j.accepted, "192.0.2.9")
	}
	if len(j.newcomers)+len(j.accepted) != 0 {
		t.Errorf("left: %v, %v", j.newcomers, j.accepted)
	}
	for range hypercorePerAddress {
		if err := admit("192.0.2.1", false); err != nil {
			t.Fatal(err)
		}
	}
	if admit("192.0.2.1", false) == nil {
		t.Error("one address may have any number")
	}
	for range hypercoreConns - hypercorePerAddress {
		if err := admit("127.0.0.1", true); err != nil {
			t.Fatal(err)
		}
	}
	if admit("192.0.2.2", false) == nil {
		t.Error("there is no bound in all")
	}
	j.leave(j.accepted, "127.0.0.1")
	j.away.add(peer.ID("192.0.2.2"))
	if admit("192.0.2.2", false) == nil {
		t.Error("who is kept away is let in")
	}
	if err := admit("192.0.2.3", false); err != nil {
		t.Error(err)
	}
}

func TestHypercoreOptions(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		listen, peer string
		option       string // "": no *OptionError, but an error
	}{
		{listen: "127.0.0.1", option: "hypercore-listen"},
		{listen: "/ip4/127.0.0.1/tcp/0", option: "hypercore-listen"},
		{listen: "127.0.0.1:70000", option: "hypercore-listen"},
		{peer: ":8000", option: "hypercore-peer"},
		{peer: "127.0.0.1:0", option: "hypercore-peer"},
		{peer: "example.org", option: "hypercore-peer"},
		{listen: taken.Addr().String()},
	} {
		o := Options{Identity: t.TempDir() + "/identity", Listen: loopback, DHT: DHTOff}
		if c.listen != "" {
			o.HypercoreListen = []string{c.listen}
		}
		if c.peer != "" {
			o.HypercorePeers = []string{c.peer}
		}
		n, err := start(t.Context(), o, newFakeSwarm())
		if err == nil {
			n.Close()
			t.Errorf("%+v: no error", c)
			continue
		}
		var option *OptionError
		if errors.As(err, &option) != (c.option != "") || option != nil && option.Option != c.option {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
