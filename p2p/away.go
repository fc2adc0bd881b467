package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// away remembers peers that misbehaved, and as the host's connection gater
// refuses them until their time is over. Safe for concurrent use.
type away struct {
	mu    sync.Mutex
	until map[peer.ID]time.Time
	now   func() time.Time
}

func newAway() *away {
	return &away{until: make(map[peer.ID]time.Time), now: time.Now}
}

// add refuses p from now on. Of too many peers the ones that would be let in
// soonest are forgotten.
func (a *away) add(p peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for q, t := range a.until {
		if !t.After(now) {
			delete(a.until, q)
		}
	}
	if _, ok := a.until[p]; !ok && len(a.until) >= awayMax {
		var soonest peer.ID
		for q, t := range a.until {
			if soonest == "" || t.Before(a.until[soonest]) {
				soonest = q
			}
		}
		delete(a.until, soonest)
	}
	a.until[p] = now.Add(awayFor)
}

func (a *away) has(p peer.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.until[p]
	return ok && t.After(a.now())
}

func (a *away) InterceptPeerDial(p peer.ID) bool { return !a.has(p) }

func (a *away) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

func (a *away) InterceptAccept(network.ConnMultiaddrs) bool { return true }

func (a *away) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return !a.has(p)
}

func (a *away) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
