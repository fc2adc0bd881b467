package replicate

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing/synctest"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// simHost is a process with a disk: a Swarm over real cores.
type simHost struct {
	sim     *sim
	id      int
	name    string
	kind    simKind
	machine *storagetest.Machine
	rate    int           // bytes a second that it can send
	lag     time.Duration // between a frame and the next
	flush   time.Duration // until what was written is on the disk

	up, dark bool // dark: its power is off, so that not even its kernel answers
	cut      bool // the power was, the last time
	life     *simLife
	store    storage.Store
	swarm    *Swarm
	flusher  *hypercore.Flusher
	pace     *hypercore.Core
	gate     *simGate
	flushing bool // a flush is to come
	cores    []*simCore
	lent     int

	ends    []*simEnd
	links   []*simLink
	uplink  []*simEnd
	sending bool
	listed  bool // in sim.touched
	reads   []*simRead
	upload  uint64
}

type simKind int

const (
	simFull   simKind = iota // downloads every core
	simSparse                // reads what somebody wants
	simLender                // serves what it has, attached to nothing
)

// simCore is a core on a host.
type simCore struct {
	*hypercore.Core
	host       *simHost
	log        *simLog
	attachment *Attachment // nil while detached
	download   bool
}

var errSimDead = errors.New("the process is gone")

// boot starts the process.
func (h *simHost) boot() {
	s := h.sim
	var seed [32]byte
	copy(seed[:], "pace")
	pair := hypercore.KeyPairFromSeed(seed)
	key := hypercore.DefaultManifest(pair.Public).Key()
	h.life = &simLife{host: h, Handler: slog.DiscardHandler}
	logger := slog.New(h.life)
	h.gate = &simGate{open: true}
	h.store = &simStore{h.machine.Boot(), storage.ID(key.Discovery()), h.gate, &s.bug}
	h.flusher = hypercore.NewFlusher(h.store, logger)
	h.swarm = New(Options{Directory: h, Log: logger, Seed: s.rand.Uint64() | 1})
	h.swarm.appliers = 1 // side by side, cores would change in any order
	h.swarm.appliers = 1 // or the order of events would differ from run to run
	h.up, h.dark, h.lent, h.flushing = true, false, 0, false
	h.cores = make([]*simCore, len(s.logs))
	if err := h.open(hypercore.Options{Key: key, KeyPair: &pair, Hold: true}, logger); err != nil {
		s.violate("%s cannot start: %v", h.name, err)
		h.down()
		return
	}
	h.hold()
	for _, c := range h.cores {
		if c.log.writer == h.id {
			c.log.reopened(c, h.cut)
		}
	}
	s.tell("%s is up", h.name)
	h.looks(h.life)
	for _, l := range h.links {
		l.dial(time.Duration(s.rand.IntN(500)) * time.Millisecond)
	}
}

// open opens pace, which signs nothing, and the cores.
func (h *simHost) open(pace hypercore.Options, logger *slog.Logger) (err error) {
	pace.Log = logger
	if h.pace, err = hypercore.Open(h.flusher, pace); err != nil {
		return err
	}
	for i, l := range h.sim.logs {
		o := hypercore.Options{Key: l.key, Log: logger}
		if l.writer == h.id {
			o.KeyPair = &l.pair
		}
		c, err := hypercore.Open(h.flusher, o)
		if err != nil {
			return err
		}
		h.cores[i] = &simCore{Core: c, host: h, log: l}
		c.Subscribe(h.cores[i].event)
	}
	return nil
}

// hold closes the gate with a round before it.
func (h *simHost) hold() {
	synctest.Wait()
	h.gate.set(false)
	h.beat()
}

// beat gives pace something to flush, which waits at the gate.
func (h *simHost) beat() {
	if _, err := h.pace.Append(context.Background(), nil); err != nil {
		h.sim.fatal("%s: %v", h.name, err)
	}
	synctest.Wait()
}

// settle runs fn, which may wait for a flush, with the gate open.
func (h *simHost) settle(fn func()) {
	h.gate.set(true)
	h.gate.pass(nil)
	fn()
	h.hold()
}

// stir sees to it that what was changed is flushed after a while.
func (h *simHost) stir() {
	if h.flushing {
		return
	}
	h.flushing = true
	life := h.life
	h.sim.after(h.flush, func() {
		if life != h.life || !h.up {
			return
		}
		h.flushing = false
		h.gate.pass(nil)
		h.beat()
		h.touch()
	})
}

// looks has the swarm look at the clock, again and again.
func (h *simHost) looks(life *simLife) {
	h.sim.after(tickEvery, func() {
		if life != h.life || !h.up {
			return
		}
		h.swarm.look()
		for _, e := range slices.Clone(h.ends) {
			if h.sim.at-e.sent >= keepAlive && !e.busy && len(e.outbox) == 0 {
				if err := e.out.idle(); err != nil {
					e.end(err)
				}
				e.sent = h.sim.at
			}
		}
		h.touch()
		h.looks(life)
	})
}

// touch has the host do what it has to do once the event is over.
func (h *simHost) touch() {
	if !h.listed {
		h.listed = true
		h.sim.touched = append(h.sim.touched, h)
	}
}

// pump does what the goroutines of a process would do now: it sends what the
// streams take, ends those that failed and lets readers go on.
func (h *simHost) pump() {
	for again := h.up; again; {
		again = false
		for _, e := range slices.Clone(h.ends) {
			again = e.pump() || again
		}
		for _, r := range slices.Clone(h.reads) {
			again = r.resume() || again
		}
	}
}

func (e *simEnd) pump() (did bool) {
	select {
	case <-e.conn.failed:
		if !e.closed {
			e.end(e.conn.err)
			return true
		}
		return false
	case <-e.conn.kicked:
		e.busy = true
	default:
	}
	for e.busy && len(e.outbox) < simSendBuffer {
		more, err := e.out.step()
		if err != nil {
			e.end(err)
			return true
		}
		e.busy, did = more, true
	}
	return did
}

// stop ends the process in order.
func (h *simHost) stop() {
	h.sim.tell("%s stops", h.name)
	h.endReads()
	for len(h.ends) > 0 {
		h.ends[0].end(ErrClosed)
	}
	for _, c := range h.cores {
		if c.attachment != nil {
			c.attachment.Detach()
		}
	}
	h.gate.set(true)
	h.gate.pass(nil)
	err := h.swarm.Close()
	for _, c := range h.cores {
		err = errors.Join(err, c.Close())
	}
	err = errors.Join(err, h.pace.Close(), h.flusher.Close())
	synctest.Wait()
	if err != nil || h.lent != 0 {
		h.sim.violate("%s: %d cores were not given back, %v", h.name, h.lent, err)
	}
	h.cut = false
	h.down()
}

// kill ends it at once, with the power where cut is set.
func (h *simHost) kill(cut bool) {
	h.sim.tell("%s is killed, power cut %v", h.name, cut)
	h.life.over = true
	if cut {
		h.machine.PowerCut(h.sim.rand)
	} else {
		h.machine.Kill()
	}
	h.gate.set(true)
	h.gate.pass(errSimDead)
	h.endReads()
	h.dark, h.cut = cut, cut
	for len(h.ends) > 0 {
		h.ends[0].end(errSimReset)
	}
	h.down()
}

func (h *simHost) down() {
	h.up, h.life.over = false, true
	h.uplink, h.sending = nil, false
}

// event takes an event of a core.
func (c *simCore) event(e hypercore.Event) {
	if c.host.life.over || c != c.host.cores[c.log.id] {
		return
	}
	c.host.stir()
	c.log.check(c, e)
}

// Key and Open make the host the Directory of its swarm.
func (h *simHost) Key(d hypercore.DiscoveryKey) (hypercore.Key, bool) {
	for _, c := range h.cores {
		if c.DiscoveryKey() == d {
			return c.Key(), true
		}
	}
	return hypercore.Key{}, false
}

func (h *simHost) Open(d hypercore.DiscoveryKey) (*hypercore.Core, func(), error) {
	for _, c := range h.cores {
		if c.DiscoveryKey() == d {
			h.lent++
			return c.Core, func() { h.lent-- }, nil
		}
	}
	return nil, nil, errors.New("no such core")
}

// attach joins a core to the swarm, or changes whether it is downloaded.
func (h *simHost) attach(c *simCore, download bool) {
	if c.attachment == nil {
		o := AttachOptions{Download: download}
		if c.log.id > 0 && h.sim.plan.after {
			o.After = []hypercore.DiscoveryKey{h.sim.logs[0].key.Discovery()}
		}
		c.attachment = h.swarm.Attach(c.Core, o)
		c.SetSource(&simSource{c})
		h.sim.bug.tamper(c)
	} else if c.download != download {
		c.attachment.SetDownload(download)
	}
	c.download = download
	h.touch()
}

func (h *simHost) detach(c *simCore) {
	if c.attachment == nil {
		return
	}
	c.attachment.Detach()
	c.attachment, c.download = nil, false
	h.touch()
}

// final attaches what the host is to have in the end.
func (h *simHost) final() {
	for _, c := range h.cores {
		switch {
		case c.log.writer == h.id:
			h.attach(c, false)
		case h.kind == simFull:
			h.attach(c, true)
		case h.kind == simSparse:
			h.attach(c, false)
		default:
			h.detach(c)
		}
	}
}
