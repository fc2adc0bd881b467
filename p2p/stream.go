package p2p

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// swarm is what the package needs of a *replicate.Swarm.
type swarm interface {
	Serve(ctx context.Context, c replicate.Conn) error
	NewMeter() *replicate.Meter
	CorePeers(d hypercore.DiscoveryKey) (peers, full int)
	Proved(peer string) bool
	Overdue() (peers []string)
	Changed() <-chan struct{}
}

// links keeps one replication stream to each connected peer that speaks the
// protocol.
//
// A link is what is known about such a peer: the stream in use, and a
// goroutine that opens one when there is none. A session is one stream. A new
// session takes the place of the old one, except that one opened by the higher
// id never displaces one opened by the lower: whatever order the streams
// arrive in, both ends end up with the lower's. The new session starts only
// after the old one has ended, so the swarm never sees a peer twice.
type links struct {
	host    host.Host
	swarm   swarm
	away    *away
	log     *slog.Logger
	ctx     context.Context
	wg      sync.WaitGroup
	changed pulse // a session began or ended
	conns   pulse // a peer was connected or lost

	mu     sync.Mutex
	closed bool
	peers  map[peer.ID]*link
}

type link struct {
	id     peer.ID
	lower  bool          // this side has the lower id
	cur    *session      // guarded by links.mu
	vacant chan struct{} // holds one item after cur became nil
	fresh  chan struct{} // holds one item after the peer was connected anew
}

type session struct {
	stream  network.Stream
	byLower bool // the side with the lower id opened it
	since   time.Time
	cancel  context.CancelFunc
	done    chan struct{} // closed when the swarm has let go of the stream
}

// end stops the session; done is closed soon after.
func (s *session) end() {
	s.cancel()
	s.stream.Reset()
}

// newLinks starts to hold streams on h until ctx ends; wait then waits for all
// of it.
func newLinks(ctx context.Context, h host.Host, sw swarm, a *away, log *slog.Logger) (*links, error) {
	l := &links{host: h, swarm: sw, away: a, log: log, ctx: ctx, peers: make(map[peer.ID]*link)}
	sub, err := h.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
		new(event.EvtPeerConnectednessChanged),
	}, eventbus.BufSize(256), eventbus.Name("multicore streams"))
	if err != nil {
		return nil, err
	}
	h.SetStreamHandler(protocolID, func(s network.Stream) { l.adopt(s, false) })
	l.wg.Go(func() {
		defer sub.Close()
		l.watch(sub)
	})
	l.wg.Go(l.checkOverdue)
	return l, nil
}

// wait returns once every stream and goroutine has ended; ctx must have ended.
func (l *links) wait() {
	l.host.RemoveStreamHandler(protocolID)
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wg.Wait()
}

func (l *links) watch(sub event.Subscription) {
	for {
		select {
		case <-l.ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				l.consider(e.Peer, true)
			case event.EvtPeerProtocolsUpdated:
				l.consider(e.Peer, false)
			case event.EvtPeerConnectednessChanged:
				l.consider(e.Peer, false)
				l.conns.beat()
			}
		}
	}
}

// consider makes a link to a peer that is connected, without a relay's limits,
// and speaks the protocol. fresh: its connection is new, so there is no reason
// to wait with a stream.
func (l *links) consider(p peer.ID, fresh bool) {
	if l.host.Network().Connectedness(p) != network.Connected || l.away.has(p) {
		return
	}
	if spoken, err := l.host.Peerstore().SupportsProtocols(p, protocolID); err != nil || len(spoken) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	k, ok := l.peers[p]
	if !ok {
		l.addLocked(p)
	} else if fresh {
		put(k.fresh)
	}
}

func (l *links) addLocked(p peer.ID) *link {
	k := &link{
		id:     p,
		lower:  l.host.ID() < p,
		vacant: make(chan struct{}, 1),
		fresh:  make(chan struct{}, 1),
	}
	l.peers[p] = k
	l.wg.Go(func() { l.keep(k) })
	return k
}

// keep opens a stream to k whenever there is none, until the peer is gone.
func (l *links) keep(k *link) {
	var first time.Duration
	if !k.lower {
		first = higherOpenDelay
	}
	wait := backoff{min: reopenMin, max: reopenMax}
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-k.fresh:
			wait.reset()
			timer.Reset(first)
			continue
		case <-timer.C:
		}
		switch l.state(k) {
		case gone:
			return
		case open:
			if err := l.open(k); err != nil {
				if l.ctx.Err() != nil {
					return
				}
				l.log.Debug("no replication stream", "peer", k.id, "err", err)
				timer.Reset(first + wait.next())
				continue
			}
		}
		lived, ok := l.occupied(k)
		if !ok {
			return
		}
		if lived >= reopenGood {
			wait.reset()
		}
		timer.Reset(first + wait.next())
	}
}

// What keep has to do next.
type linkState int

const (
	gone linkState = iota // the link was removed
	held                  // there is a stream
	open                  // one is to be opened
)

func (l *links) state(k *link) linkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Looked at under the lock, or a peer that is connected anew in between
	// would be found here by consider, and then removed.
	connected := l.host.Network().Connectedness(k.id) == network.Connected && !l.away.has(k.id)
	switch {
	case k.cur != nil:
		return held
	case !connected:
		delete(l.peers, k.id)
		return gone
	}
	return open
}

// occupied waits until k has no stream; it says for how long it waited, and
// false where the links ended meanwhile.
func (l *links) occupied(k *link) (time.Duration, bool) {
	since := time.Now()
	for {
		l.mu.Lock()
		free := k.cur == nil
		l.mu.Unlock()
		if free {
			return time.Since(since), true
		}
		select {
		case <-l.ctx.Done():
			return 0, false
		case <-k.vacant:
		}
	}
}

func (l *links) open(k *link) error {
	ctx, cancel := context.WithTimeout(network.WithNoDial(l.ctx, "replication"), openTimeout)
	defer cancel()
	s, err := l.host.NewStream(ctx, k.id, protocolID)
	if err != nil {
		return err
	}
	l.adopt(s, true)
	return nil
}

// adopt makes s the peer's session, or refuses it.
func (l *links) adopt(s network.Stream, ours bool) {
	p := s.Conn().RemotePeer()
	self := l.host.ID()
	if p == self || l.away.has(p) || s.Conn().Stat().Limited {
		s.Reset()
		return
	}
	ctx, cancel := context.WithCancel(l.ctx)
	next := &session{
		stream:  s,
		byLower: ours == (self < p),
		since:   time.Now(),
		cancel:  cancel,
		done:    make(chan struct{}),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.peers[p]
	if !ok && !l.closed {
		k = l.addLocked(p)
	}
	if l.closed || k.cur != nil && k.cur.byLower && !next.byLower {
		cancel()
		s.Reset()
		return
	}
	prev := k.cur
	k.cur = next
	l.wg.Go(func() { l.run(ctx, k, next, prev) })
}

// run replicates on a session once the one before it has ended.
func (l *links) run(ctx context.Context, k *link, s, prev *session) {
	defer func() {
		s.end()
		close(s.done)
		l.mu.Lock()
		if k.cur == s {
			k.cur = nil
			put(k.vacant)
		}
		l.mu.Unlock()
		l.changed.beat()
	}()
	if prev != nil {
		prev.end()
		<-prev.done
	}
	// Serve may be waiting on the stream: only its reset ends that for sure.
	stop := context.AfterFunc(ctx, func() { s.stream.Reset() })
	defer stop()

	hash, initiator, err := shake(ctx, s.stream, l.host.ID(), k.id)
	if err != nil {
		l.log.Debug("replication stream ended", "peer", k.id, "err", err)
		return
	}
	l.host.ConnManager().TagPeer(k.id, "multicore", 100)
	defer l.host.ConnManager().UntagPeer(k.id, "multicore")
	l.changed.beat()
	l.wg.Go(func() { l.ping(ctx, k.id) })

	err = l.swarm.Serve(ctx, replicate.Conn{
		Stream:        &bounded{Stream: s.stream},
		Initiator:     initiator,
		HandshakeHash: hash,
		Peer:          k.id.String(),
	})
	switch {
	case ctx.Err() != nil: // displaced, or the node closes
	case errors.Is(err, replicate.ErrMisbehaved): // the swarm has told why
		l.log.Debug("peer kept away", "peer", k.id, "for", awayFor)
		l.away.add(k.id)
		l.host.Network().ClosePeer(k.id)
	default:
		l.log.Debug("replication stream ended", "peer", k.id, "err", err)
	}
}

// sessions gives the peers with a stream in use, ordered by id.
func (l *links) sessions() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*session
	for _, k := range l.peers {
		if k.cur != nil {
			all = append(all, k.cur)
		}
	}
	slices.SortFunc(all, func(a, b *session) int {
		return strings.Compare(a.stream.Conn().RemotePeer().String(), b.stream.Conn().RemotePeer().String())
	})
	return all
}

// put leaves one item in a channel of capacity one.
func put(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
