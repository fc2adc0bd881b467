package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	libswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	dialTimeout = 20 * time.Second
	redialMin   = time.Second
	redialMax   = time.Minute
	dialsAtOnce = 16  // to peers that were found
	dialsQueued = 128 // more found peers are left for the next look
)

// static is an address from the command line; id is "" until it was learned.
type static struct {
	id    peer.ID
	addrs []ma.Multiaddr
}

// parseStatic reads the multiaddrs of an option; those of one peer become one
// static. bare allows addresses without /p2p/.
func parseStatic(option string, texts []string, bare bool) ([]static, error) {
	var all []static
	index := make(map[peer.ID]int)
	for _, text := range texts {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, &OptionError{option, text, err}
		}
		addr, id := peer.SplitAddr(a)
		if id == "" && (!bare || addr == nil) {
			return nil, &OptionError{option, text, errors.New("want a full address that ends in /p2p/ID")}
		}
		i, known := index[id]
		if !known || id == "" {
			i = len(all)
			all = append(all, static{id: id})
			index[id] = i
		}
		if addr != nil {
			all[i].addrs = append(all[i].addrs, addr)
		}
	}
	return all, nil
}

// keepConnected holds a connection to s for as long as ctx lives. wanted, if
// not nil, says whether it is of use just now.
func (n *Node) keepConnected(ctx context.Context, s static, wanted func() bool) {
	wait := backoff{min: redialMin, max: redialMax}
	told := false
	for ctx.Err() == nil {
		changed, network := n.links.conns.next(), n.network.next()
		var delay time.Duration
		switch {
		case s.id != "" && n.connected(s.id), wanted != nil && !wanted():
			delay = redialMax // or until something changes
		default:
			err := n.dialStatic(ctx, &s)
			if err == nil {
				told = false
				wait.reset()
				n.host.ConnManager().Protect(s.id, "static")
				n.kick.beat()
				continue
			}
			changed = nil
			delay = wait.next()
			if ctx.Err() == nil && !told && wanted == nil {
				told = true
				n.log.Info("peer not reached, still trying", "peer", s.String(), "err", oneLine(err))
			}
		}
		if !pause(ctx, delay, changed, network) {
			return
		}
		if beaten(network) {
			wait.reset()
		}
	}
}

func (s static) String() string {
	switch {
	case len(s.addrs) == 0:
		return s.id.String()
	case s.id == "":
		return s.addrs[0].String()
	}
	return s.addrs[0].String() + "/p2p/" + s.id.String()
}

func (n *Node) dialStatic(ctx context.Context, s *static) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if s.id == "" {
		id, err := n.learnID(ctx, s.addrs[0])
		if err != nil {
			return err
		}
		if id == n.host.ID() {
			return errOwnID
		}
		s.id = id
	}
	n.forgetBackoff(s.id)
	return n.connectTo(ctx, peer.AddrInfo{ID: s.id, Addrs: s.addrs})
}

// learnID asks who answers at an address. libp2p dials only peers whose id is
// known, so it dials for one that nobody has, and the refusal names who is
// there; that peer is then dialled, and proves its id, as any other.
func (n *Node) learnID(ctx context.Context, a ma.Multiaddr) (peer.ID, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	nobody, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return "", err
	}
	defer func() {
		n.forgetBackoff(nobody)
		n.host.Peerstore().ClearAddrs(nobody)
		n.host.Peerstore().RemovePeer(nobody)
	}()
	err = n.host.Connect(ctx, peer.AddrInfo{ID: nobody, Addrs: []ma.Multiaddr{a}})
	var mismatch sec.ErrPeerIDMismatch
	if errors.As(err, &mismatch) {
		return mismatch.Actual, nil
	}
	if err == nil {
		err = errors.New("nobody answers")
	}
	return "", err
}

// forgetBackoff lets p be dialled at once; our own loops say how often.
func (n *Node) forgetBackoff(p peer.ID) {
	if s, ok := n.host.Network().(*libswarm.Swarm); ok {
		s.Backoff().Clear(p)
	}
}

func (n *Node) connected(p peer.ID) bool {
	return n.host.Network().Connectedness(p) == network.Connected
}

// found is a bounded set of dials to peers that discovery came upon.
type found struct {
	mu        sync.Mutex
	dialing   map[peer.ID]bool
	redialing map[peer.ID]bool // see redial
	slots     chan struct{}
}

func newFound() *found {
	return &found{
		dialing: make(map[peer.ID]bool), redialing: make(map[peer.ID]bool),
		slots: make(chan struct{}, dialsAtOnce),
	}
}

// begin puts a peer in a set; false where it is there, or too many are.
func (f *found) begin(set map[peer.ID]bool, p peer.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if set[p] || len(set) >= dialsQueued {
		return false
	}
	set[p] = true
	return true
}

func (f *found) end(set map[peer.ID]bool, p peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(set, p)
}

// dialFound connects to a peer in the background, unless it is connected,
// being dialled or kept away, or too many are waiting already.
func (n *Node) dialFound(info peer.AddrInfo, source string) {
	if info.ID == n.host.ID() || n.connected(info.ID) || n.away.has(info.ID) {
		return
	}
	f := n.found
	if !f.begin(f.dialing, info.ID) {
		return
	}
	n.spawn(func() {
		defer f.end(f.dialing, info.ID)
		select {
		case f.slots <- struct{}{}:
			defer func() { <-f.slots }()
		case <-n.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(n.ctx, dialTimeout)
		defer cancel()
		if err := n.connectTo(ctx, info); err != nil {
			n.log.Debug("found peer not reached", "peer", info.ID, "source", source, "err", err)
		}
	})
}

// connectTo connects to a peer, and asks the DHT where it is if nobody has said.
func (n *Node) connectTo(ctx context.Context, info peer.AddrInfo) error {
	n.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	if len(n.host.Peerstore().Addrs(info.ID)) == 0 && n.discovery != nil {
		full, err := n.discovery.dht.FindPeer(ctx, info.ID)
		if err != nil {
			return err
		}
		info = full
	}
	return n.host.Connect(ctx, info)
}

// pause waits for d, or until one of the channels is closed; false once ctx
// has ended.
func pause(ctx context.Context, d time.Duration, until ...<-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	var a, b <-chan struct{}
	if len(until) > 0 {
		a = until[0]
	}
	if len(until) > 1 {
		b = until[1]
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-a:
	case <-b:
	}
	return ctx.Err() == nil
}

// oneLine joins the lines of libp2p's dial errors.
func oneLine(err error) string {
	return strings.ReplaceAll(err.Error(), "\n  * ", "; ")
}
