package p2p

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// frozenLink passes bytes on between those who dial it and an address, until it
// is frozen: from then on nothing comes through, and nothing ends.
type frozenLink struct {
	listener net.Listener
	mu       sync.Mutex // held while it is frozen
}

func newFrozenLink(t *testing.T, to string) *frozenLink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &frozenLink{listener: l}
	var open sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	open.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			pass := func(to, from net.Conn) {
				buf := make([]byte, 64<<10)
				for {
					n, err := from.Read(buf)
					f.mu.Lock()
					if n > 0 {
						to.Write(buf[:n])
					}
					f.mu.Unlock()
					if err != nil {
						to.Close()
						return
					}
				}
			}
			open.Go(func() { pass(in, out) })
			open.Go(func() { pass(out, in) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		open.Wait()
	})
	return f
}

// TestOverdue has a peer that is said to be overdue: it stays connected as long as
// it answers, and is dropped within seconds once it does not.
func TestOverdue(t *testing.T) {
	ws, rs := newFakeSwarm(), newFakeSwarm()
	w := startTest(t, ws, func(o *Options) { o.DHT = DHTOff })
	var port string
	for _, a := range w.host.Addrs() {
		if p, err := a.ValueForProtocol(6); err == nil { // tcp
			port = p
		}
	}
	link := newFrozenLink(t, net.JoinHostPort("127.0.0.1", port))
	through := link.listener.Addr().(*net.TCPAddr).Port
	r := startTest(t, rs, func(o *Options) {
		o.DHT = DHTOff
		o.Peers = []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", through, w.host.ID())}
	})
	until(t, "the reader is served", func() bool { return rs.serving(w.Status().PeerID) }, rs.Changed)
	rs.overdue.Store(true)
	began := rs.count()
	steady := time.NewTimer(2 * overdueEvery)
	defer steady.Stop()
	<-steady.C
	if !r.connected(w.host.ID()) || rs.count() != began {
		t.Fatal("a peer that answers was dropped")
	}

	link.mu.Lock()
	frozen := time.Now()
	until(t, "the peer is dropped", func() bool { return !rs.serving(w.Status().PeerID) }, rs.Changed)
	if d := time.Since(frozen); d > 4*overdueAnswer {
		t.Errorf("dropped after %v", d)
	}
	link.mu.Unlock()
	until(t, "the peer is found again", func() bool { return rs.serving(w.Status().PeerID) }, rs.Changed)
}
