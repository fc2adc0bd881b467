package replicate

import (
	"math"
	"math/rand/v2"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
)

// log is what replication needs of a *hypercore.Core. The machine calls only
// the first group, which answers from memory; the loops call the rest.
type log interface {
	Key() hypercore.Key
	Writable() bool
	Info() hypercore.Info
	Head() hypercore.Head
	Has(i uint64) bool
	Held(start uint64, words []uint32)

	Prove(merkle.Request) (*merkle.Proof, error)
	ProveInto(r merkle.Request, buf []byte) (*merkle.Proof, error)
	Missing(index uint64) (uint64, error)
	SeekPath(bytes uint64) (merkle.HashRequest, bool, error)
	ApplyAll([]*merkle.Proof) []error
	Reorganise(*merkle.Proof) (*hypercore.Reorganisation, error)
	CheckConflict(*merkle.Proof) error
	Conflict() *hypercore.Conflict
	Release() error
}

// machine is all replication of a process as a state machine: it has no
// goroutine, no clock and no I/O, and what it does follows from the events alone,
// never from the order of a map. Events go in as method calls with the time;
// what is to be sent gathers in the peers, who is to send in woken, what is to
// be logged in notes, what is to be closed in closers, whose hold is to end in
// holds. Not for concurrent use.
type machine struct {
	cores map[hypercore.DiscoveryKey]*core
	order []*core // the same
	busy  []*core // those that tick has to look at; each has watched set
	peers []*peer // in order of arrival
	// dependents are the attached cores that wait for a peer to prove another.
	dependents map[hypercore.DiscoveryKey][]*core
	reached    map[hypercore.DiscoveryKey]struct{}

	random    *rand.Rand // decides between equals
	surveying []*core    // more wants are to be sent

	woken   []*peer
	notes   []note
	closers []func()
	holds   []log      // to be released
	doubts  []*channel // with a probe, or that had one when tick last looked
	drops   []drop
	changed bool // peers came, went or proved a core
}

// note is a line for the log.
type note struct {
	text string
	args []any
}

// newMachine gives a machine that decides between equals as the seed says.
func newMachine(seed uint64) *machine {
	return &machine{
		random:     rand.New(rand.NewPCG(seed, 0)),
		cores:      make(map[hypercore.DiscoveryKey]*core),
		reached:    make(map[hypercore.DiscoveryKey]struct{}),
		dependents: make(map[hypercore.DiscoveryKey][]*core),
	}
}

func (m *machine) note(text string, args ...any) {
	m.notes = append(m.notes, note{text, args})
}

// wake says that p has something to send.
func (m *machine) wake(p *peer) {
	if !p.awake {
		p.awake = true
		m.woken = append(m.woken, p)
	}
}

// core is one log as all peers together see it.
type core struct {
	id  hypercore.DiscoveryKey
	key hypercore.Key
	log log
	end func() // ends the subscription, and the session of a core that only a peer wanted

	at      int  // in machine.order
	watched bool // in machine.busy

	attached []*attachment
	channels []*channel

	// A copy of the log's head, refreshed at its events.
	fork, length, contiguous uint64
	average                  int // bytes of a block, about
	hasManifest              bool
	writable, held           bool

	whole     bool         // there is a download of the whole log, but for what limits leave out
	limits    []*selection // one for each attachment that downloads; nil: one has none
	download  bool         // or some are
	taken     int          // new blocks that still come along with longer heads (carry.go)
	spans     []*span
	aheads    []*span   // are about to be read
	surveying bool      // in machine.surveying
	proofs    uint64    // stored so far
	broken    error     // why nothing is fetched: the log failed, or the disk did not take it
	retryAt   time.Time // then it is tried again; zero: never
	paused    error     // why the disk did not take what was sent last, which was said; nil: it did
	fetches   map[want]*fetch
	waiting   []*fetch            // not asked of any peer; some may be over
	inflight  map[uint64]*request // by block
	upgrade   *request            // for a head or the manifest; at most one over all peers
	reorg     *reorganising       // to a higher fork; nil where none is followed
	refreshes []*refresh
	frozen    bool // in conflict; never replicated again

	came time.Time // the last block, or when there was something new to download
}

// attachment is the state behind an Attachment.
type attachment struct {
	after    []hypercore.DiscoveryKey
	download bool
	limit    *selection // nil: all is downloaded
}

func (m *machine) addCore(id hypercore.DiscoveryKey, key hypercore.Key, l log) *core {
	c := &core{id: id, key: key, log: l, at: len(m.order)}
	m.cores[id] = c
	m.order = append(m.order, c)
	c.load()
	return c
}

// watch has tick look at a core as long as it is restless.
func (m *machine) watch(c *core) {
	if !c.watched {
		c.watched = true
		m.busy = append(m.busy, c)
	}
}

// restless says whether time alone may change something.
func (c *core) restless() bool {
	return c.broken != nil && !c.retryAt.IsZero() || len(c.refreshes) > 0 || c.reorg != nil
}

// load copies what peers may know of the log.
func (c *core) load() {
	h := c.log.Head()
	c.fork, c.length, c.contiguous = h.Fork, h.Length, min(h.Contiguous, h.Length)
	c.hasManifest = h.HasManifest
	c.writable, c.held = c.log.Writable(), c.log.Info().Held
	if c.log.Info().Conflict {
		c.frozen = true
		c.broken, c.retryAt = hypercore.ErrConflict, time.Time{}
	}
	c.average = 1 << 10
	if h.Length > 0 {
		c.average = int(min(h.ByteLength()/h.Length, hypercore.MaxBlock)) + requestCost
	}
}

// reads says whether we take heads and blocks of peers: a writer knows best
// itself, unless it was restored from its key and waits for what peers know.
func (c *core) reads() bool {
	return c.broken == nil && (!c.writable || c.held || c.contiguous < c.length)
}

// grows says whether we take longer heads of peers.
func (c *core) grows() bool { return c.broken == nil && (!c.writable || c.held) }

// opensTo says whether we open the core towards p unasked.
func (c *core) opensTo(p *peer) bool {
	if c.frozen {
		return false
	}
	for _, a := range c.attached {
		if len(a.after) == 0 {
			return true
		}
		for _, d := range a.after {
			if _, ok := p.proved[d]; ok {
				return true
			}
		}
	}
	return false
}

// attach joins an attachment to a core.
func (m *machine) attach(c *core, a *attachment, now time.Time) {
	c.attached = append(c.attached, a)
	for _, d := range a.after {
		m.dependents[d] = append(m.dependents[d], c)
	}
	m.reset(c, now)
	for _, p := range m.peers {
		m.offer(p, c)
	}
	// Peers that had it open while it was lent have said what they have.
	m.tryReorganise(c, now)
	m.tryUpgrade(c, now)
}

// reset follows a change of the attachments.
func (m *machine) reset(c *core, now time.Time) {
	before := c.whole
	c.whole, c.limits = c.limit()
	c.download = c.whole || len(c.spans) > 0
	if c.whole && !before {
		c.came = now
		m.wished(c, extent{0, math.MaxUint64}, now)
	}
	for _, ch := range c.channels {
		m.dirty(ch, dueSync)
	}
}

// detach ends an attachment. After the last one a core goes on being served to
// the peers that have it open where lent is given, a session of its own.
func (m *machine) detach(c *core, a *attachment, lent *session, now time.Time) {
	c.attached = without(c.attached, a)
	for _, d := range a.after {
		m.dependents[d] = without(m.dependents[d], c)
		if len(m.dependents[d]) == 0 {
			delete(m.dependents, d)
		}
	}
	m.reset(c, now)
	if len(c.attached) > 0 {
		return
	}
	m.abandon(c)
	for _, p := range m.peers {
		if ch := p.channels[c.id]; ch != nil && ch.core == c && (lent == nil || !ch.them.downloading) {
			m.closeChannel(ch, now)
		}
	}
	if c.end != nil {
		m.closers = append(m.closers, c.end)
		c.end = nil
	}
	if lent != nil {
		c.log, c.end = lent.log, lent.end
	}
	m.forget(c)
}

// abandon ends all waits and requests for a core.
func (m *machine) abandon(c *core) {
	for _, f := range c.fetching() {
		m.finish(c, f, ErrClosed)
	}
	c.waiting = nil
	m.endRefreshes(c, ErrClosed)
	defer func() { c.reorg = nil }()
	c.endSpans(ErrClosed)
	for _, ch := range c.channels {
		for _, r := range ch.underWay() {
			if !r.applying {
				m.cancel(r)
			}
		}
	}
}

// forget drops a core that neither an attachment nor a channel needs.
func (m *machine) forget(c *core) {
	if len(c.attached) > 0 || len(c.channels) > 0 || m.cores[c.id] != c {
		return
	}
	for _, p := range m.peers {
		if ch := p.channels[c.id]; ch != nil && ch.core == c {
			return // our open is not answered yet
		}
	}
	delete(m.cores, c.id)
	last := m.order[len(m.order)-1]
	m.order[c.at], last.at = last, c.at
	m.order[len(m.order)-1] = nil
	m.order = m.order[:len(m.order)-1]
	if c.end != nil {
		m.closers = append(m.closers, c.end)
		c.end = nil
	}
}

// session is a log and what ends the use of it.
type session struct {
	log log
	end func()
}

// tick looks for requests, peers and opens that take too long. It gives the
// peers whose streams should end.
func (m *machine) tick(now time.Time) (idle []*peer) {
	for _, p := range m.peers {
		if now.Sub(p.heard) > idleTimeout {
			idle = append(idle, p)
			continue
		}
		if err := p.overrun(); err != nil {
			m.drops = append(m.drops, drop{p, err})
			continue
		}
		m.relieve(p, now)
		m.retry(p, now)
		m.reopen(p, now)
		m.fill(p, now)
	}
	m.settleDoubts(now)
	busy := m.busy
	m.busy = nil
	for _, c := range busy {
		m.mend(c, now)
		m.checkRefresh(c, now)
		if c.watched = false; c.restless() {
			m.watch(c)
		}
	}
	m.surveyOn()
	return idle
}

// mend tries again what the disk did not take: it may have been full.
func (m *machine) mend(c *core, now time.Time) {
	if c.broken == nil || c.retryAt.IsZero() || now.Before(c.retryAt) {
		return
	}
	c.broken = nil
	m.tryReorganise(c, now)
	m.tryUpgrade(c, now)
	m.wished(c, extent{0, math.MaxUint64}, now)
}
