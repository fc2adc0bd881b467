package replicate

import (
	"errors"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/compact"
	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/wire"
)

// simBug is a mistake made on purpose, which a simulation must find. What is nil
// is as it should be.
type simBug struct {
	name string

	// deliver gives the frames that come instead of one.
	deliver func(e *simEnd, frame []byte) [][]byte
	// leave comes before the swarm forgets a stream.
	leave func(c *conn)
	// apply is what a core does with a proof.
	apply func(c *simCore, p *merkle.Proof) error
	// sync is what a disk does to sync a core.
	sync func(f storage.Files) error
	// deaf says that an event of a core gets lost, where there is an apply.
	deaf func(c *simCore) bool
}

func (b *simBug) frame(e *simEnd, frame []byte) [][]byte {
	if b.deliver == nil {
		return [][]byte{frame}
	}
	return b.deliver(e, frame)
}

// each passes the messages of a frame on as frames of their own: none, one or
// many of each, as fn says.
func each(frame []byte, fn func(m wire.Message) int) (list [][]byte) {
	wire.EachMessage(frame, func(channel, typ uint64, payload []byte) error {
		n := 1
		if channel != wire.ControlChannel {
			if m, err := wire.Parse(typ, payload); err == nil && m != nil {
				n = fn(m)
			}
		}
		for range n {
			b := compact.AppendUint(nil, channel)
			b = compact.AppendUint(b, typ)
			list = append(list, append(b, payload...))
		}
		return nil
	})
	if len(list) == 0 {
		list = [][]byte{nil} // a sign of life all the same
	}
	return list
}

// simTamper is a log that applies proofs in its own way.
type simTamper struct {
	*hypercore.Core
	c   *simCore
	bug *simBug
}

func (t *simTamper) Apply(p *merkle.Proof) error { return t.bug.apply(t.c, p) }

func (t *simTamper) ApplyAll(list []*merkle.Proof) (errs []error) {
	for _, p := range list {
		errs = append(errs, t.Apply(p))
	}
	return errs
}

// tamper puts the log of the bug between the machine and a core that was
// attached this moment.
func (b *simBug) tamper(c *simCore) {
	if b.apply == nil {
		return
	}
	id, swarm := c.DiscoveryKey(), c.host.swarm
	t := &simTamper{c.Core, c, b}
	swarm.do(func(m *machine, _ time.Time) { m.cores[id].log = t })
	c.Subscribe(func(e hypercore.Event) {
		if b.deaf != nil && b.deaf(c) {
			return
		}
		swarm.do(func(m *machine, now time.Time) {
			if k := m.cores[id]; k != nil && k.log == log(t) {
				m.moved(k, e, now)
			}
		})
	})
}

func simBugs() []simBug {
	chance := func(e *simEnd, n int) bool { return e.link.sim.rand.IntN(n) == 0 }
	return []simBug{
		{name: "a request is forgotten when a peer leaves", leave: func(c *conn) {
			for _, ch := range c.peer.order {
				ch.requests = nil
			}
		}},
		{name: "announcements are lost", deliver: func(e *simEnd, frame []byte) [][]byte {
			return each(frame, func(m wire.Message) int {
				if v, ok := m.(wire.Range); ok && !v.Drop && chance(e, 3) {
					return 0
				}
				return 1
			})
		}},
		{name: "what is dropped is not told", deliver: func(e *simEnd, frame []byte) [][]byte {
			return each(frame, func(m wire.Message) int {
				if v, ok := m.(wire.Range); ok && v.Drop {
					return 0
				}
				return 1
			})
		}},
		{name: "a request is answered twice", deliver: func(e *simEnd, frame []byte) [][]byte {
			return each(frame, func(m wire.Message) int {
				if _, ok := m.(wire.Data); ok && chance(e, 50) {
					return 2
				}
				return 1
			})
		}},
		{name: "a proof that does not hold passes for one that does", apply: func(c *simCore, p *merkle.Proof) error {
			if p.Block != nil && len(p.Block.Value) > 0 && c.host.sim.rand.IntN(50) == 0 {
				p.Block.Value[0]++
			}
			if err := c.Core.Apply(p); !errors.Is(err, hypercore.ErrBadProof) {
				return err
			}
			return nil
		}},
		{name: "a block is stored that was not proved", apply: func(c *simCore, p *merkle.Proof) error {
			err := c.Core.Apply(p)
			if err == nil && p.Block != nil && len(p.Block.Value) > 0 && c.host.sim.rand.IntN(50) == 0 {
				off, _, err := c.LocalExtent(p.Block.Index)
				if err != nil {
					return err
				}
				return c.host.store.Files(storage.ID(c.DiscoveryKey())).WriteBlocks([]byte{p.Block.Value[0] + 1}, int64(off))
			}
			return err
		}},
		{name: "a node is stored that was not proved", apply: func(c *simCore, p *merkle.Proof) error {
			err := c.Core.Apply(p)
			if err == nil && p.Block != nil && len(p.Block.Nodes) > 0 && c.host.sim.rand.IntN(50) == 0 {
				n := p.Block.Nodes[0]
				n.Hash[0]++
				return c.host.store.Files(storage.ID(c.DiscoveryKey())).WriteNodes([]merkle.Node{n})
			}
			return err
		}},
		{name: "a head is shown that is not on the disk", sync: func(storage.Files) error { return nil }},
		{name: "changes of a core do not reach the machine", apply: func(c *simCore, p *merkle.Proof) error { return c.Core.Apply(p) }, deaf: func(c *simCore) bool {
			return c.host.sim.rand.IntN(10) == 0
		}},
	}
}

// Each bug is found by one of the first 20 seeds.
func TestSimulationFindsBugs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes many seeds")
	}
	for _, bug := range simBugs() {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			seeds := []uint64{2, 4, 20, 24} // most bugs are in these, which take little
			for seed := range uint64(20) {
				seeds = append(seeds, seed+1)
			}
			for _, seed := range seeds {
				if s := simulate(t, seed, bug); s.wrong != nil {
					t.Logf("seed %d: %v", seed, s.wrong)
					return
				}
			}
			t.Error("not found")
		})
	}
}
