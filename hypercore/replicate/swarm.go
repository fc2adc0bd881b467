package replicate

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"multicore/hypercore"
)

// Directory finds cores that are held here but not attached, when a peer opens
// them. Its methods are called by several goroutines at once.
type Directory interface {
	// Key gives the key of a core held here (in memory or on disk), false if
	// unknown. Cheap.
	Key(d hypercore.DiscoveryKey) (hypercore.Key, bool)

	// Open opens it; close ends the session.
	Open(d hypercore.DiscoveryKey) (core *hypercore.Core, close func(), err error)
}

// Options of a Swarm.
type Options struct {
	Directory Directory    // nil: only attached cores are known
	Log       *slog.Logger // nil: no log

	// UploadLimit and DownloadLimit are bytes a second that all streams
	// together carry, which share them evenly; 0: no limit. What the streams'
	// own transports add to that is not counted.
	UploadLimit, DownloadLimit int64

	// Seed decides between peers and blocks that are as good as each other. The
	// same events and seed give the same requests; 0 draws one.
	Seed uint64
}

// Swarm joins the cores of this process with its peers. Safe for concurrent use.
type Swarm struct {
	directory Directory
	logger    *slog.Logger
	up, down  *rate.Limiter // over all streams; nil: no limit
	appliers  int           // logs that one stream's answers are given to at a time
	counters  counters

	attaching sync.Mutex // one Attach or Detach at a time

	mu      sync.Mutex
	machine *machine
	conns   map[*peer]*conn
	changed chan struct{}
	idle    chan struct{} // closed when the last stream ended; ends the ticker
	closed  bool
	serving sync.WaitGroup // Serve calls and the ticker
}

// New gives a Swarm without cores and peers.
func New(o Options) *Swarm {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	return &Swarm{
		directory: o.Directory,
		logger:    o.Log,
		up:        newLimiter(o.UploadLimit),
		down:      newLimiter(o.DownloadLimit),
		appliers:  runtime.GOMAXPROCS(0),
		machine:   newMachine(o.Seed),
		conns:     make(map[*peer]*conn),
		changed:   make(chan struct{}),
	}
}

// do gives an event to the machine and sees to what follows from it.
func (s *Swarm) do(event func(m *machine, now time.Time)) {
	s.mu.Lock()
	m := s.machine
	event(m, time.Now())
	for _, p := range m.woken {
		p.awake = false
		if c := s.conns[p]; c != nil {
			c.kick()
		}
	}
	clear(m.woken)
	m.woken = m.woken[:0]
	if m.changed {
		m.changed = false
		close(s.changed)
		s.changed = make(chan struct{})
	}
	for _, d := range m.drops {
		if c := s.conns[d.peer]; c != nil {
			c.fail(d.err)
		}
	}
	m.drops = nil
	notes, closers, holds := m.notes, m.closers, m.holds
	m.notes, m.closers, m.holds = nil, nil, nil
	s.mu.Unlock()

	for _, n := range notes {
		s.logger.Warn(n.text, n.args...)
	}
	for _, l := range holds {
		if err := l.Release(); err != nil {
			s.logger.Error("cannot end the hold of a core", "core", l.Key().Discovery().String(), "err", err)
		}
	}
	for _, end := range closers {
		end()
	}
}

// Conn is one peer's stream.
type Conn struct {
	// Stream carries frames with lengths of 3 bytes, little-endian. Close must
	// end Reads and Writes under way.
	Stream        io.ReadWriteCloser
	Initiator     bool     // our role in the handshake; the ends differ
	HandshakeHash [64]byte // the same at both ends, and at no other stream
	Peer          string   // for logs and Peers: the libp2p peer id

	// Single is for a JavaScript peer, which gathers its answers to the requests
	// of one frame in one frame, and destroys the stream where that gets too
	// large (spec 18.1): each request then travels in a frame of its own.
	Single bool

	// Meter, of the same swarm, is for a Stream that has it below; nil: Serve
	// puts one around the Stream.
	Meter *Meter
}

// Serve replicates over c until the stream ends (io.EOF), ctx ends (its error),
// the swarm is closed (ErrClosed) or the peer is dropped. It closes the stream;
// nothing of it is left on return. The error says why and is ErrMisbehaved
// where the peer is to blame and should be kept away for a while; that is
// logged here, once.
func (s *Swarm) Serve(ctx context.Context, c Conn) error {
	n := newConn(s, c)
	idle, ok := s.join(n, c)
	if !ok {
		n.meter.Close()
		c.Stream.Close()
		return ErrClosed
	}
	defer s.serving.Done()
	if idle != nil {
		s.serving.Go(func() { s.tick(idle) })
	}
	err := n.run(ctx)
	s.leave(n)
	return err
}

// join adds a stream, unless the swarm is closed. For the first one idle is what
// ends the ticker, which the caller is to start.
func (s *Swarm) join(n *conn, c Conn) (idle <-chan struct{}, ok bool) {
	s.do(func(m *machine, now time.Time) {
		if s.closed {
			return
		}
		ok = true
		s.serving.Add(1)
		if len(s.conns) == 0 {
			s.idle = make(chan struct{})
			idle = s.idle
		}
		n.peer = m.addPeer(c.Peer, c.Initiator, c.HandshakeHash, now)
		s.conns[n.peer] = n
	})
	return idle, ok
}

// leave forgets a stream that ended.
func (s *Swarm) leave(n *conn) {
	s.do(func(m *machine, now time.Time) {
		m.removePeer(n.peer, now)
		delete(s.conns, n.peer)
		s.counters.sent += n.meter.sent.Load()
		s.counters.received += n.meter.received.Load()
		if len(s.conns) == 0 {
			close(s.idle)
		}
	})
}

// tick lets the machine look at the clock while there are peers.
func (s *Swarm) tick(idle <-chan struct{}) {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-idle:
			return
		case <-t.C:
		}
		s.look()
	}
}

// look is one look at the clock.
func (s *Swarm) look() {
	var installs []installation
	s.do(func(m *machine, now time.Time) {
		for p, c := range s.conns {
			if held := c.meter.held.Swap(false); c.stuck() || held {
				m.excuse(p, now)
			}
			if whole := c.whole.Load(); whole != c.looked {
				c.looked = whole
				p.heardWhole(whole, now)
			}
			m.heardFrom(p, c.meter.received.Load(), now)
			c.pace.look(c.meter, now)
		}
		for _, p := range m.tick(now) {
			s.conns[p].fail(ErrIdle)
		}
		installs = m.dueInstalls()
	})
	for _, i := range installs {
		s.install(i.core, i.session)
	}
}

// Close ends all streams and waits until Serve has returned for each. Attached
// cores stay attached to nothing.
func (s *Swarm) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, c := range s.conns {
		c.fail(ErrClosed)
	}
	s.mu.Unlock()
	s.serving.Wait()
	s.do(func(m *machine, now time.Time) {
		for _, c := range m.order {
			m.abandon(c)
		}
	})
	return nil
}

// Proved reports whether a connected peer of that name proved any core: that it
// is worth finding again.
func (s *Swarm) Proved(peer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.conns {
		if p.name == peer && len(p.proved) > 0 {
			return true
		}
	}
	return false
}

// Overdue names the connected peers that may be gone: not a byte came for a while
// in which one was due. It is for the transport to find out.
func (s *Swarm) Overdue() (peers []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, p := range s.machine.peers {
		if p.overdue(now) {
			peers = append(peers, p.name)
		}
	}
	return peers
}

// Reached says whether any peer ever proved the core since the process started.
func (s *Swarm) Reached(d hypercore.DiscoveryKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.machine.reached[d]
	return ok
}

// PeerStats are the figures of one stream.
type PeerStats struct {
	Peer           string
	Sent, Received uint64  // bytes on the replication stream
	Up, Down       float64 // bytes a second, over the last seconds
	Since          time.Time
	Cores          []hypercore.Key // open at both ends, in the order in which they were opened
}

// Peers gives the connected peers, the oldest first.
func (s *Swarm) Peers() []PeerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]PeerStats, 0, len(s.machine.peers))
	for _, p := range s.machine.peers {
		if c := s.conns[p]; c != nil {
			st := PeerStats{
				Peer: p.name, Since: c.since,
				Sent: c.meter.sent.Load(), Received: c.meter.received.Load(),
				Up: c.pace.up, Down: c.pace.down,
			}
			for _, ch := range p.order {
				st.Cores = append(st.Cores, ch.core.key)
			}
			list = append(list, st)
		}
	}
	return list
}

// Changed is closed when peers come, go or prove a core.
func (s *Swarm) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}
