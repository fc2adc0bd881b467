package p2p

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

// Bounds of what a DHT server remembers for others, 20 MB or so. Whoever fills
// it up loses his own records first.
const (
	providersMax       = 1 << 17 // records
	providersMaxPerKey = 128
	providersSampled   = 16 // peers compared to find the one with the most records
)

// providers is the store of provider records of a DHT server: in memory, since
// those who announce do so again within hours, and bounded, since anybody may
// announce anything. Safe for concurrent use.
type providers struct {
	self  peer.ID
	addrs peerstore.AddrBook
	now   func() time.Time
	max   int

	mu     sync.Mutex
	total  int
	byKey  map[string]*list.List  // of *providerRecord, the oldest first
	byPeer map[peer.ID]*list.List // the same records
}

type providerRecord struct {
	key    string
	peer   peer.ID
	at     time.Time
	inKey  *list.Element
	inPeer *list.Element
}

var _ records.ProviderStore = (*providers)(nil)

func newProviders(self peer.ID, addrs peerstore.AddrBook) *providers {
	return &providers{
		self: self, addrs: addrs, now: time.Now, max: providersMax,
		byKey: make(map[string]*list.List), byPeer: make(map[peer.ID]*list.List),
	}
}

// AddProvider notes that a peer has what key stands for, and where it is.
func (s *providers) AddProvider(_ context.Context, key []byte, info peer.AddrInfo) error {
	if info.ID != s.self {
		s.addrs.AddAddrs(info.ID, info.Addrs, records.ProviderAddrTTL)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.byKey[string(key)]; l != nil {
		for e := l.Front(); e != nil; e = e.Next() {
			if r := e.Value.(*providerRecord); r.peer == info.ID {
				s.drop(r)
				break
			}
		}
	}
	if l := s.byKey[string(key)]; l != nil && l.Len() >= providersMaxPerKey {
		s.drop(l.Front().Value.(*providerRecord))
	}
	if s.total >= s.max {
		s.drop(s.victim())
	}
	r := &providerRecord{key: string(key), peer: info.ID, at: s.now()}
	r.inKey = push(s.byKey, r.key, r)
	r.inPeer = push(s.byPeer, r.peer, r)
	s.total++
	return nil
}

// GetProviders gives the peers that announced key and whose records are still
// good, with the addresses known of them.
func (s *providers) GetProviders(_ context.Context, key []byte) ([]peer.AddrInfo, error) {
	s.mu.Lock()
	var ids []peer.ID
	if l := s.byKey[string(key)]; l != nil {
		for e := l.Front(); e != nil; {
			r := e.Value.(*providerRecord)
			e = e.Next()
			if s.now().Sub(r.at) > records.ProvideValidity {
				s.drop(r)
			} else {
				ids = append(ids, r.peer)
			}
		}
	}
	s.mu.Unlock()
	infos := make([]peer.AddrInfo, 0, len(ids))
	for _, id := range ids {
		infos = append(infos, peer.AddrInfo{ID: id, Addrs: s.addrs.Addrs(id)})
	}
	return infos, nil
}

// Close has nothing to do.
func (s *providers) Close() error { return nil }

// victim gives the oldest record of a peer that has many: of a few peers picked
// at random the one with the most.
func (s *providers) victim() *providerRecord {
	var most *list.List
	sampled := 0
	for _, l := range s.byPeer { // in random order
		if most == nil || l.Len() > most.Len() {
			most = l
		}
		if sampled++; sampled == providersSampled {
			break
		}
	}
	return most.Front().Value.(*providerRecord)
}

func (s *providers) drop(r *providerRecord) {
	remove(s.byKey, r.key, r.inKey)
	remove(s.byPeer, r.peer, r.inPeer)
	s.total--
}

func push[K comparable](m map[K]*list.List, k K, r *providerRecord) *list.Element {
	l := m[k]
	if l == nil {
		l = list.New()
		m[k] = l
	}
	return l.PushBack(r)
}

func remove[K comparable](m map[K]*list.List, k K, e *list.Element) {
	l := m[k]
	l.Remove(e)
	if l.Len() == 0 {
		delete(m, k)
	}
}
