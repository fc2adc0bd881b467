package p2p

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"multicore/hypercore"
)

// Node is a libp2p host, its discovery loops and the streams it made. Safe for
// concurrent use.
type Node struct {
	o          Options
	log        *slog.Logger
	host       host.Host
	away       *away
	links      *links
	found      *found
	discovery  *discovery // nil with DHTOff
	javascript *javascript
	kick       pulse // a peer from the command line was connected
	network    pulse // this machine is connected to something else than before

	notListening []ListenFailure

	ctx    context.Context
	cancel context.CancelFunc
	closed sync.Once
	failed error // of Close

	mu   sync.Mutex // guards over, and spawn against Close
	over bool
	wg   sync.WaitGroup
}

// New starts a node; ctx bounds only the start. It needs no network: where
// nothing can be listened on or reached, the loops go on trying. It fails with
// an *OptionError, or where the identity file cannot be read or made.
func New(ctx context.Context, o Options) (*Node, error) {
	if o.Swarm == nil {
		return nil, errors.New("p2p: no swarm")
	}
	return start(ctx, o, o.Swarm)
}

func start(ctx context.Context, o Options, sw swarm) (_ *Node, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.DHT == "" {
		o.DHT = DHTPublic
	}
	switch o.DHT {
	case DHTPublic, DHTPrivate, DHTOff:
	default:
		return nil, &OptionError{"dht", string(o.DHT), errors.New("want public, private or off")}
	}
	bootstrap, err := parseStatic("bootstrap", o.Bootstrap, false)
	if err != nil {
		return nil, err
	}
	peers, err := parseStatic("peer", o.Peers, true)
	if err != nil {
		return nil, err
	}
	addrs, failures, err := listenAddrs(o.Listen, o.Settings, o.Log)
	if err != nil {
		return nil, err
	}
	key, err := loadIdentity(o.Identity)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}

	n := &Node{o: o, log: o.Log, away: newAway(), found: newFound()}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	// Without a DHT nobody would learn what a router's mapping or a relay is good for.
	nat := o.DHT != DHTOff && reachesOut(addrs)
	var relays relaySource
	var table atomic.Pointer[discovery]
	if o.DHT == DHTPublic {
		relays = func(num int) <-chan peer.AddrInfo { return table.Load().relays(num) }
	}
	if n.host, err = newHost(key, o.Version, n.away, nat, relays, o.Metrics, o.Log); err != nil {
		return nil, err
	}
	n.notListening = append(failures, listen(n.host.Network(), addrs, o.Log)...)
	if n.links, err = newLinks(n.ctx, n.host, sw, n.away, o.Log); err != nil {
		return nil, err
	}
	if o.DHT != DHTOff {
		if n.discovery, err = newDiscovery(n, sw, len(bootstrap) > 0); err != nil {
			return nil, err
		}
		table.Store(n.discovery)
	}
	for _, s := range bootstrap {
		n.spawn(func() { n.keepConnected(n.ctx, s, nil) })
	}
	for _, s := range peers {
		n.spawn(func() { n.keepConnected(n.ctx, s, nil) })
	}
	if err := n.startJavaScript(sw); err != nil {
		return nil, err
	}
	n.startGoodPeers(sw)
	n.spawn(n.watchNetwork)
	if o.MDNS {
		n.startMeeting()
		n.startMDNS()
	}
	return n, nil
}

// spawn runs fn in a goroutine that Close waits for; not at all once Close was
// called.
func (n *Node) spawn(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.over {
		n.wg.Go(fn)
	}
}

// Close ends every stream, loop and connection and returns when they have
// ended. It may be called more than once. The swarm is left open.
func (n *Node) Close() error {
	n.closed.Do(func() {
		n.mu.Lock()
		n.over = true
		n.mu.Unlock()
		n.cancel()
		if n.links != nil {
			n.links.wait()
		}
		n.wg.Wait()
		if n.discovery != nil {
			n.failed = n.discovery.close()
		}
		if n.host != nil {
			n.failed = errors.Join(n.failed, n.host.Close())
		}
	})
	return n.failed
}

// Join looks for peers of a main core until Leave, and announces this node as
// one of them while announce is true and the node's options allow it. Joining
// again changes announce. It does not wait.
func (n *Node) Join(d hypercore.DiscoveryKey, announce bool) {
	if n.discovery != nil {
		n.discovery.join(d, announce && n.o.Announce)
	}
}

// Leave ends what Join began. Peers that were found stay connected; a provider
// record stays in the DHT until it expires.
func (n *Node) Leave(d hypercore.DiscoveryKey) {
	if n.discovery != nil {
		n.discovery.leave(d)
	}
}

// Announced says when a peer last took a provider record of a core from this
// node, zero where none did; changed is closed when one takes a record, nil
// without a DHT.
func (n *Node) Announced(d hypercore.DiscoveryKey) (at time.Time, changed <-chan struct{}) {
	if n.discovery == nil {
		return time.Time{}, nil
	}
	changed = n.discovery.taken.next()
	n.discovery.mu.Lock()
	defer n.discovery.mu.Unlock()
	return n.discovery.provided[d], changed
}

// Status says what the node is doing now.
func (n *Node) Status() Status {
	st := Status{PeerID: n.host.ID().String(), DHT: n.o.DHT, Announce: n.o.Announce, NotListening: n.notListening, Reachability: reachability(n.host)}
	for _, a := range n.host.Addrs() {
		st.Addrs = append(st.Addrs, a.String()+"/p2p/"+st.PeerID)
	}
	if n.discovery != nil {
		st.RoutingTable = n.discovery.size()
		st.LastProvide, st.Asked = n.discovery.counts()
		st.NotAnnounced = n.discovery.why()
	}
	for _, s := range n.links.sessions() {
		c := s.stream.Conn()
		addr := c.RemoteMultiaddr()
		st.Peers = append(st.Peers, Peer{
			ID:        c.RemotePeer().String(),
			Addr:      addr.String(),
			Transport: transport(addr),
			Inbound:   c.Stat().Direction == network.DirInbound,
			Relayed:   has(addr, ma.P_CIRCUIT),
			RTT:       n.host.Peerstore().LatencyEWMA(c.RemotePeer()),
		})
	}
	addr, peers := n.javascript.status()
	st.HypercoreTCP, st.Peers = addr, append(st.Peers, peers...)
	return st
}

// reachability is what AutoNAT has found out: public, private or unknown.
func reachability(h host.Host) string {
	r := network.ReachabilityUnknown
	if h, ok := h.(interface{ Reachability() network.Reachability }); ok {
		r = h.Reachability()
	}
	return strings.ToLower(r.String())
}

// transport names how an address is reached; of a relayed one, how the relay is.
func transport(a ma.Multiaddr) string {
	for _, t := range []struct {
		code int
		name string
	}{
		{ma.P_WEBTRANSPORT, "webtransport"}, {ma.P_WEBRTC_DIRECT, "webrtc"},
		{ma.P_QUIC_V1, "quic"}, {ma.P_WS, "websocket"}, {ma.P_TCP, "tcp"},
	} {
		if has(a, t.code) {
			return t.name
		}
	}
	return "unknown"
}
