package p2p

import (
	"regexp"
	"runtime"
	"strings"
	"testing"

	"multicore/hypercore"
)

// stacks gives the stacks of all goroutines.
func stacks(t *testing.T) []string {
	t.Helper()
	buf := make([]byte, 8<<20)
	n := runtime.Stack(buf, true)
	return strings.Split(string(buf[:n]), "\n\n")
}

// goroutines counts those that run a function of that name.
func goroutines(t *testing.T, name string) int {
	t.Helper()
	count := 0
	for _, s := range stacks(t) {
		if strings.Contains(s, name) {
			count++
		}
	}
	return count
}

var goroutineID = regexp.MustCompile(`^goroutine \d+ `)

// TestCloseEndsAll: after Close nothing of a node is left, whatever it did.
func TestCloseEndsAll(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	cycle := func() {
		full := func(o *Options) { o.DHT, o.MDNS = DHTPrivate, true }
		as, bs := newFakeSwarm(), newFakeSwarm()
		a := startTest(t, as, full)
		b := startTest(t, bs, func(o *Options) {
			full(o)
			o.Bootstrap = a.Status().Addrs
			o.Peers = []string{"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/" + a.Status().PeerID}
		})
		a.Join(hypercore.DiscoveryKey{1}, true)
		b.Join(hypercore.DiscoveryKey{1}, false)
		until(t, "they are served", func() bool {
			return as.serving(b.Status().PeerID) && bs.serving(a.Status().PeerID)
		}, as.Changed)
		for _, n := range []*Node{a, b, a} {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
		b.Join(hypercore.DiscoveryKey{2}, true) // after Close: nothing
		b.Leave(hypercore.DiscoveryKey{2})
	}
	cycle() // the libraries start some goroutines once per process
	before := make(map[string]bool)
	for _, s := range stacks(t) {
		before[goroutineID.FindString(s)] = true
	}
	cycle()
	var left []string
	ended := func() bool {
		left = nil
		for _, s := range stacks(t) {
			if !before[goroutineID.FindString(s)] && (strings.Contains(s, "multicore/p2p") || strings.Contains(s, "libp2p") || strings.Contains(s, "quic-go")) &&
				!strings.Contains(s, "p2p.stacks") {
				left = append(left, s)
			}
		}
		return len(left) == 0
	}
	defer func() {
		for _, s := range left {
			t.Log(s)
		}
	}()
	until(t, "every goroutine has ended", ended)
}
