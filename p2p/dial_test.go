package p2p

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	libswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
)

func TestParseStatic(t *testing.T) {
	id1 := rawID(t, fmt.Sprintf("%064x", 1)).String()
	id2 := rawID(t, fmt.Sprintf("%064x", 2)).String()
	all, err := parseStatic("peer", []string{
		"/ip4/127.0.0.1/tcp/1/p2p/" + id1,
		"/ip4/127.0.0.1/tcp/2",
		"/ip4/127.0.0.1/udp/1/quic-v1/p2p/" + id1,
		"/p2p/" + id2,
		"/ip4/127.0.0.1/tcp/3",
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range all {
		got = append(got, fmt.Sprint(s.String(), len(s.addrs)))
	}
	want := []string{
		"/ip4/127.0.0.1/tcp/1/p2p/" + id1 + "2", "/ip4/127.0.0.1/tcp/21", id2 + "0", "/ip4/127.0.0.1/tcp/31",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{min: time.Second, max: time.Minute}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		want *= time.Second
		if got := b.next(); got < want*3/4 || got > want*5/4 {
			t.Errorf("got %v, want %v or a quarter off", got, want)
		}
	}
	b.reset()
	if got := b.next(); got > 5*time.Second/4 {
		t.Errorf("after reset: %v", got)
	}
}

func TestAwayBounded(t *testing.T) {
	a := newAway()
	now := time.Now()
	a.now = func() time.Time { return now }
	first := rawID(t, fmt.Sprintf("%064x", 0))
	for i := range 2 * awayMax {
		a.add(rawID(t, fmt.Sprintf("%064x", i)))
		now = now.Add(time.Millisecond)
	}
	last := rawID(t, fmt.Sprintf("%064x", 2*awayMax-1))
	if len(a.until) != awayMax || a.has(first) || !a.has(last) {
		t.Errorf("%d remembered, the first: %v, the last: %v", len(a.until), a.has(first), a.has(last))
	}
	if now = now.Add(awayFor); a.has(last) {
		t.Error("kept away for too long")
	}
}

// TestGoodPeers: a node without any flag finds the peer that was good in its
// last run, and one that was lost for a while.
func TestGoodPeers(t *testing.T) {
	ws, rs := newFakeSwarm(), newFakeSwarm()
	w := startTest(t, ws, nil)
	var kept Options
	r := startTest(t, rs, func(o *Options) {
		o.Peers = w.Status().Addrs
		kept = *o
	})
	saved := func() (all []goodPeer) {
		text, _ := kept.Settings.Setting(settingPeers)
		json.Unmarshal(text, &all)
		return all
	}
	until(t, "the peer is noted", func() bool {
		all := saved()
		return len(all) == 1 && all[0].ID == w.Status().PeerID && len(all[0].Addrs) > 0
	})
	r.Close()
	until(t, "the writer noticed", func() bool { return !ws.serving(r.Status().PeerID) }, ws.Changed)

	again := newFakeSwarm()
	r = startTest(t, again, func(o *Options) { o.Identity, o.Settings = kept.Identity, kept.Settings })
	until(t, "the good peer is served", func() bool { return again.serving(w.Status().PeerID) }, again.Changed)

	// The connection breaks: whoever notices first dials again.
	w.host.Network().ClosePeer(r.host.ID())
	until(t, "it is lost", func() bool { return !again.serving(w.Status().PeerID) || again.count() > 1 }, again.Changed)
	until(t, "it is back", func() bool {
		return again.serving(w.Status().PeerID) && ws.serving(r.Status().PeerID)
	}, again.Changed)
}

func TestGoodPeersBounded(t *testing.T) {
	s := &memorySettings{}
	g := readGood(s)
	now := time.Now()
	for i := range 3 * goodMax {
		p := goodPeer{ID: rawID(t, fmt.Sprintf("%064x", i)).String(), Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Seen: now}
		if !g.note(p) || g.note(p) {
			t.Fatal("noted twice, or not at all")
		}
	}
	if err := g.save(); err != nil {
		t.Fatal(err)
	}
	got := readGood(s)
	if len(got.all) != goodMax || got.all[0].ID != rawID(t, fmt.Sprintf("%064x", 3*goodMax-1)).String() {
		t.Errorf("%d kept, want the last %d", len(got.all), goodMax)
	}
	for _, damaged := range []string{"", "x", "{}", `[{"id":"x","addrs":["y"]}]`, `[{"addrs":null}]`} {
		s.SetSetting(settingPeers, []byte(damaged))
		for _, p := range readGood(s).all {
			if info, ok := p.info(); ok {
				t.Errorf("%s: got %v", damaged, info)
			}
		}
	}
}

func TestOneLine(t *testing.T) {
	err := &libswarm.DialError{Cause: libswarm.ErrAllDialsFailed, DialErrors: []libswarm.TransportError{{Cause: errors.New("connection refused")}}}
	if got := oneLine(err); got != "failed to dial : all dials failed; [] connection refused" {
		t.Errorf("got %q", got)
	}
}
