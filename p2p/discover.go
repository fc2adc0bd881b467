package p2p

import (
	"context"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multihash"

	"multicore/hypercore"
)

// privatePrefix begins the protocol ids of a private DHT.
const privatePrefix = "/multicore"

// pace says how eager the loops are. A private network is small, and a search
// in it costs next to nothing.
type pace struct {
	findMin, findMax time.Duration // between searches that leave peers wanting
	findGap          time.Duration // between two searches whatever happens
	provideGap       time.Duration
	findTimeout      time.Duration
	provideTimeout   time.Duration
}

var (
	publicPace = pace{
		findMin: 5 * time.Second, findMax: 5 * time.Minute, findGap: 2 * time.Second,
		provideGap: time.Minute, findTimeout: time.Minute, provideTimeout: 2 * time.Minute,
	}
	privatePace = pace{
		findMin: time.Second, findMax: 5 * time.Minute, findGap: 250 * time.Millisecond,
		provideGap: 2 * time.Second, findTimeout: 20 * time.Second, provideTimeout: 20 * time.Second,
	}
)

const (
	peerTarget      = 8 // with this many peers of a core no more are looked for
	providersWanted = 64
	searchesAtOnce  = 8
	askedMax        = 1 << 16 // peers remembered for the count of those asked
)

// discovery finds peers of cores in a Kademlia DHT and announces this node
// there. Safe for concurrent use.
type discovery struct {
	n     *Node
	swarm swarm
	dht   *dht.IpfsDHT
	put   *dhtpb.ProtocolMessenger
	pace
	slots chan struct{} // searches and announcements at once
	grown pulse         // the routing table was empty and is not, or grew in a small network
	moved pulse         // our addresses changed
	taken pulse         // a peer took a provider record

	mu       sync.Mutex
	topics   map[hypercore.DiscoveryKey]*topic
	asked    map[peer.ID]struct{}
	provided map[hypercore.DiscoveryKey]time.Time // when a peer last took its record
	failed   error                                // of the last announcement
}

// topic is one discovery key being looked for; nil functions where it is not.
type topic struct {
	cid     cid.Cid
	find    context.CancelFunc
	provide context.CancelFunc
}

// newDiscovery joins the DHT. ownBootstrap: the node's options name the peers
// to begin with.
func newDiscovery(n *Node, sw swarm, ownBootstrap bool) (*discovery, error) {
	v := &discovery{
		n: n, swarm: sw, pace: publicPace,
		slots:    make(chan struct{}, searchesAtOnce),
		topics:   make(map[hypercore.DiscoveryKey]*topic),
		asked:    make(map[peer.ID]struct{}),
		provided: make(map[hypercore.DiscoveryKey]time.Time),
	}
	options := []dht.Option{dht.ProviderStore(newProviders(n.host.ID(), n.host.Peerstore()))}
	if n.o.DHT == DHTPrivate {
		v.pace = privatePace
		options = append(options,
			dht.ProtocolPrefix(privatePrefix), dht.Mode(dht.ModeServer), dht.DisableValues())
	} else {
		mode := dht.ModeClient
		if n.o.DHTServer {
			mode = dht.ModeServer
		}
		options = append(options, dht.Mode(mode),
			dht.QueryFilter(dht.PublicQueryFilter),
			dht.RoutingTableFilter(dht.PublicRoutingTableFilter),
			dht.RoutingTablePeerDiversityFilter(dht.NewRTPeerDiversityFilter(n.host, 2, 3)),
			dht.AddressFilter(func(addrs []ma.Multiaddr) []ma.Multiaddr {
				return ma.FilterAddrs(addrs, manet.IsPublicAddr)
			}))
	}
	var err error
	if v.dht, err = dht.New(n.ctx, n.host, options...); err != nil {
		return nil, err
	}
	if v.put, err = dhtpb.NewProtocolMessenger(v.dht.MessageSender()); err != nil {
		v.dht.Close()
		return nil, err
	}
	sub, err := n.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtLocalAddressesUpdated),
	}, eventbus.BufSize(256), eventbus.Name("multicore discovery"))
	if err != nil {
		v.dht.Close()
		return nil, err
	}
	n.spawn(func() {
		defer sub.Close()
		v.watch(sub)
	})
	if n.o.DHT == DHTPublic && !ownBootstrap {
		for _, info := range dht.GetDefaultBootstrapPeerAddrInfos() {
			s := static{id: info.ID, addrs: info.Addrs}
			n.spawn(func() { n.keepConnected(n.ctx, s, func() bool { return v.size() == 0 }) })
		}
	}
	return v, nil
}

func (v *discovery) close() error { return v.dht.Close() }

func (v *discovery) size() int { return v.dht.RoutingTable().Size() }

func (v *discovery) counts() (provided time.Time, asked int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, at := range v.provided {
		if at.After(provided) {
			provided = at
		}
	}
	return provided, len(v.asked)
}

// why is what kept the last announcement from succeeding.
func (v *discovery) why() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.failed
}

// watch turns what happens to the host into pulses. The routing table tells
// nobody when it grows, but it does so within moments of a peer's
// identification: it is looked at often then, and rarely else.
func (v *discovery) watch(sub event.Subscription) {
	const often, rarely, soon = 50 * time.Millisecond, 5 * time.Second, 3 * time.Second
	var size int
	var eager time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	kicked := v.n.kick.next()
	for {
		select {
		case <-v.n.ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			if _, ok := e.(event.EvtLocalAddressesUpdated); ok {
				v.moved.beat()
				continue
			}
			if time.Now().After(eager) {
				timer.Reset(often)
			}
			eager = time.Now().Add(soon)
			continue
		case <-kicked:
			kicked = v.n.kick.next()
			v.grown.beat()
			continue
		case <-timer.C:
		}
		now := v.size()
		if now > size && (size == 0 || v.n.o.DHT == DHTPrivate) {
			v.grown.beat()
		}
		size = now
		if time.Now().Before(eager) {
			timer.Reset(often)
		} else {
			timer.Reset(rarely)
		}
	}
}

// providerCID is where the provider records of a core are: the digest is the
// discovery key itself, which is a BLAKE2b-256 hash already.
func providerCID(d hypercore.DiscoveryKey) cid.Cid {
	mh, err := multihash.Encode(d[:], multihash.BLAKE2B_MIN+31)
	if err != nil {
		panic("p2p: " + err.Error()) // only for an unknown code or a wrong length
	}
	return cid.NewCidV1(cid.Raw, mh)
}

func (v *discovery) join(d hypercore.DiscoveryKey, announce bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.topics[d]
	if !ok {
		t = &topic{cid: providerCID(d)}
		v.topics[d] = t
		ctx, cancel := context.WithCancel(v.n.ctx)
		t.find = cancel
		v.n.spawn(func() { v.find(ctx, d, t.cid) })
	}
	switch {
	case announce && t.provide == nil:
		ctx, cancel := context.WithCancel(v.n.ctx)
		t.provide = cancel
		v.n.spawn(func() { v.provide(ctx, d, t.cid) })
	case !announce && t.provide != nil:
		t.provide()
		t.provide = nil
	}
}

func (v *discovery) leave(d hypercore.DiscoveryKey) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.topics[d]
	if !ok {
		return
	}
	delete(v.topics, d)
	t.find()
	if t.provide != nil {
		t.provide()
	}
}

// slot waits for leave to use the network; false once ctx has ended.
func (v *discovery) slot(ctx context.Context) bool {
	select {
	case v.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// find looks for peers of a core while it has fewer than wanted.
func (v *discovery) find(ctx context.Context, d hypercore.DiscoveryKey, c cid.Cid) {
	wait := backoff{min: v.findMin, max: v.findMax}
	for {
		grown, network, changed := v.grown.next(), v.n.network.next(), v.n.links.changed.next()
		delay := v.findMax
		if peers, _ := v.swarm.CorePeers(d); peers < peerTarget && v.size() > 0 {
			if !v.slot(ctx) {
				return
			}
			v.look(ctx, c)
			<-v.slots
			delay = wait.next()
		}
		if !v.rest(ctx, delay, grown, network, changed, d, &wait) || !pause(ctx, v.findGap) {
			return
		}
	}
}

// rest waits for the next search: for delay, or until the table grew, the network
// changed, or a peer of the core was lost, which also make the searches frequent
// again.
func (v *discovery) rest(ctx context.Context, delay time.Duration, grown, network, changed <-chan struct{}, d hypercore.DiscoveryKey, wait *backoff) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	before, _ := v.swarm.CorePeers(d)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-grown:
			wait.reset()
			return true
		case <-network:
			wait.reset()
			return true
		case <-changed:
			changed = v.n.links.changed.next()
			now, _ := v.swarm.CorePeers(d)
			if now < before {
				wait.reset()
				return true
			}
			before = now
		}
	}
}

// look asks the DHT once who has a core and dials them.
func (v *discovery) look(ctx context.Context, c cid.Cid) {
	ctx, cancel := context.WithTimeout(ctx, v.findTimeout)
	ctx, queries := routing.RegisterForQueryEvents(ctx)
	var counting sync.WaitGroup
	counting.Go(func() {
		for q := range queries {
			if q.Type == routing.SendingQuery {
				v.count(q.ID)
			}
		}
	})
	found := 0
	for info := range v.dht.FindProvidersAsync(ctx, c, 0) {
		if v.n.o.DHT == DHTPublic { // nobody out there sends us to our own network
			info.Addrs = ma.FilterAddrs(info.Addrs, manet.IsPublicAddr)
		}
		v.n.dialFound(info, "dht")
		if found++; found == providersWanted {
			cancel()
		}
	}
	cancel()
	counting.Wait()
}

func (v *discovery) count(p peer.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.asked) < askedMax {
		v.asked[p] = struct{}{}
	}
}

// relays offers the peers of the routing table to autorelay.
func (v *discovery) relays(num int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, max(num, 0))
	defer close(out)
	if v == nil {
		return out
	}
	for _, p := range v.dht.RoutingTable().ListPeers() {
		if len(out) == cap(out) {
			break
		}
		out <- v.n.host.Peerstore().PeerInfo(p)
	}
	return out
}
