package p2p

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	ma "github.com/multiformats/go-multiaddr"
)

func testProviders(t *testing.T) *providers {
	t.Helper()
	ps, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ps.Close() })
	return newProviders(rawID(t, fmt.Sprintf("%064x", 0)), ps)
}

// has gives the peers recorded for a key, and checks the bookkeeping.
func (s *providers) has(t *testing.T, key string) (ids []peer.ID) {
	t.Helper()
	infos, err := s.GetProviders(context.Background(), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range infos {
		ids = append(ids, info.ID)
	}
	keys, peers := 0, 0
	for _, l := range s.byKey {
		keys += l.Len()
	}
	for _, l := range s.byPeer {
		peers += l.Len()
	}
	if keys != s.total || peers != s.total || s.total > s.max {
		t.Fatalf("%d records by key, %d by peer, %d in all of at most %d", keys, peers, s.total, s.max)
	}
	return ids
}

func TestProviders(t *testing.T) {
	s := testProviders(t)
	now := time.Now()
	s.now = func() time.Time { return now }
	a, b := rawID(t, fmt.Sprintf("%064x", 1)), rawID(t, fmt.Sprintf("%064x", 2))
	addr := ma.StringCast("/ip4/127.0.0.1/tcp/1")
	add := func(key string, id peer.ID) {
		s.AddProvider(t.Context(), []byte(key), peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{addr}})
	}
	add("k", a)
	now = now.Add(time.Hour)
	add("k", b)
	add("k", a)
	add("l", a)
	if got := s.has(t, "k"); fmt.Sprint(got) != fmt.Sprint([]peer.ID{b, a}) {
		t.Errorf("got %v, want %v", got, []peer.ID{b, a})
	}
	infos, _ := s.GetProviders(t.Context(), []byte("k"))
	if len(infos[0].Addrs) != 1 || !infos[0].Addrs[0].Equal(addr) {
		t.Errorf("addresses %v, want %v", infos[0].Addrs, addr)
	}
	if got := s.has(t, "other"); len(got) > 0 {
		t.Errorf("of a key nobody announced: %v", got)
	}
	now = now.Add(records.ProvideValidity + time.Second)
	if got := s.has(t, "k"); len(got) > 0 || s.total != 1 {
		t.Errorf("after their time: %v, and %d records in all, want that of l", got, s.total)
	}
}

// TestProvidersBounded: one peer that announces without end displaces itself,
// one key that everybody announces keeps the newest.
func TestProvidersBounded(t *testing.T) {
	s := testProviders(t)
	s.max = 100
	flooder, honest := rawID(t, fmt.Sprintf("%064x", 1)), rawID(t, fmt.Sprintf("%064x", 2))
	s.AddProvider(t.Context(), []byte("good"), peer.AddrInfo{ID: honest})
	for i := range 10 * s.max {
		s.AddProvider(t.Context(), fmt.Appendf(nil, "junk %d", i), peer.AddrInfo{ID: flooder})
	}
	if got := s.has(t, "good"); len(got) != 1 {
		t.Error("the record of another peer was displaced")
	}
	if s.total != s.max {
		t.Errorf("%d records, want %d", s.total, s.max)
	}
	s = testProviders(t)
	last := peer.ID("")
	for i := range 2 * providersMaxPerKey {
		last = rawID(t, fmt.Sprintf("%064x", i+1))
		s.AddProvider(t.Context(), []byte("popular"), peer.AddrInfo{ID: last})
	}
	got := s.has(t, "popular")
	if len(got) != providersMaxPerKey || got[len(got)-1] != last {
		t.Errorf("%d records of one key, want the newest %d", len(got), providersMaxPerKey)
	}
}
