package replicate

import (
	"fmt"
	"math/rand/v2"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/storage/storagetest"
)

// simPlan is what a seed stands for.
type simPlan struct {
	hosts, logs int
	phase       time.Duration // how long things happen
	ops         int
	rough       bool // connections are lost, hosts leave, crash and are parted
	trouble     int  // how often, about
	cuts        int  // how often writers truncate, about
	after       bool // the other cores are opened to who proved the first
	blocks      int  // at most, in all logs
	small       bool // no large blocks
}

func newSimPlan(r *rand.Rand) simPlan {
	p := simPlan{rough: r.IntN(4) > 0, after: r.IntN(2) == 0, small: r.IntN(3) > 0}
	switch r.IntN(5) {
	case 0, 1:
		p.hosts = 2 + r.IntN(4)
	case 2, 3:
		p.hosts = 6 + r.IntN(10)
	default:
		p.hosts = 16 + r.IntN(35)
	}
	p.logs = 1 + r.IntN(min(3, p.hosts))
	p.phase = time.Duration(5+r.IntN(60)) * time.Second
	p.ops = 300 + r.IntN(3000)
	p.blocks = 200 + r.IntN(20_000/p.hosts)
	if r.IntN(3) == 0 {
		p.cuts = 1 + r.IntN(6)
	}
	if p.rough {
		p.trouble = 2 + r.IntN(4*p.hosts)
	}
	return p
}

func (p simPlan) String() string {
	return fmt.Sprintf("%d hosts, %d cores, %d operations in %s, %d troubles, %d truncations", p.hosts, p.logs, p.ops, p.phase, p.trouble, p.cuts)
}

// build makes the hosts, the links between them and the cores.
func (s *sim) build() {
	p, r := s.plan, s.rand
	var full []*simHost
	for i := range p.hosts {
		h := &simHost{
			sim: s, id: i, name: fmt.Sprintf("h%d", i), machine: storagetest.NewMachine(),
			rate: 1 << 30, flush: time.Duration(100+r.IntN(2000)) * time.Millisecond,
		}
		switch k := r.IntN(10); {
		case i < max(2, p.logs) || k < 6:
			full = append(full, h)
		case k < 9:
			h.kind = simSparse
		default:
			h.kind = simLender
		}
		if i < p.logs {
			h.flush = time.Duration(1+r.IntN(100)) * time.Millisecond
		}
		if r.IntN(4) == 0 {
			h.rate = 200_000 << r.IntN(6) // bytes a second
		}
		if r.IntN(5) == 0 {
			h.lag = time.Duration(r.IntN(20_000)) * time.Microsecond
		}
		s.hosts = append(s.hosts, h)
	}
	for i := range p.logs {
		l := &simLog{sim: s, id: i, name: fmt.Sprintf("core-%d", i+1), writer: i,
			forks: make(map[uint64][][]byte), shown: make(map[uint64]uint64)}
		var seed [32]byte
		copy(seed[:], l.name)
		l.pair = hypercore.KeyPairFromSeed(seed)
		l.key = hypercore.DefaultManifest(l.pair.Public).Key()
		s.logs = append(s.logs, l)
	}
	// What is downloaded passes from one host that downloads to the next.
	for i, h := range full[1:] {
		s.link(h, full[r.IntN(i+1)])
	}
	for _, h := range s.hosts {
		for range 1 + r.IntN(min(6, p.hosts)) {
			s.link(h, full[r.IntN(len(full))])
		}
		if r.IntN(3) == 0 {
			s.link(h, s.hosts[r.IntN(p.hosts)])
		}
	}
	for _, h := range s.hosts {
		s.start(h)
	}
	for _, l := range s.logs { // some were there before
		c := s.hosts[l.writer].cores[l.id]
		for n := r.IntN(3) * r.IntN(1+p.blocks/p.logs/2); n > 0; n -= 50 {
			if blocks := s.payload(min(n, 50)); len(blocks) > 0 {
				l.append(c, blocks...)
			}
		}
	}
}

// link joins two hosts, once.
func (s *sim) link(a, b *simHost) {
	if a == b {
		return
	}
	for _, l := range a.links {
		if l.hosts[0] == b || l.hosts[1] == b {
			return
		}
	}
	l := &simLink{sim: s, hosts: [2]*simHost{a, b}, latency: time.Duration(100+s.rand.IntN(60_000)) * time.Microsecond}
	if s.rand.IntN(3) == 0 {
		l.jitter = time.Duration(1+s.rand.IntN(200)) * time.Millisecond
	}
	s.links = append(s.links, l)
	a.links, b.links = append(a.links, l), append(b.links, l)
}

// payload makes n blocks, or fewer where the plan has no more.
func (s *sim) payload(n int) [][]byte {
	n = min(n, s.blocks)
	s.blocks -= n
	list := make([][]byte, n)
	for i := range list {
		size := s.rand.IntN(100)
		switch k := s.rand.IntN(100); {
		case k < 5:
			size = 0
		case k > 97 && !s.plan.small:
			size = s.rand.IntN(150_000)
		case k > 80:
			size = s.rand.IntN(5_000)
		}
		b := make([]byte, size)
		for j := range b {
			b[j] = byte(s.rand.Uint32())
		}
		list[i] = b
	}
	return list
}

// act schedules the operations.
func (s *sim) act() {
	gap := s.plan.phase / time.Duration(s.plan.ops)
	var next func()
	left := s.plan.ops
	next = func() {
		if left--; left < 0 || s.over {
			return
		}
		s.operate()
		s.after(time.Duration(s.rand.Int64N(int64(2*gap)+1)), next)
	}
	s.after(0, next)
}

// operate does one thing somewhere.
func (s *sim) operate() {
	h := s.hosts[s.rand.IntN(len(s.hosts))]
	l := s.logs[s.rand.IntN(len(s.logs))]
	limit := time.Duration(1+s.rand.IntN(5000)) * time.Millisecond
	if s.rand.IntN(2) == 0 {
		limit = 0
	}
	if s.rand.IntN(s.plan.ops) < s.plan.trouble {
		s.trouble(h, l)
		return
	}
	w := s.hosts[l.writer]
	switch {
	case s.rand.IntN(s.plan.ops) < s.plan.cuts:
		if n := len(l.blocks()); w.up && n > 0 {
			l.truncate(w.cores[l.id], n-1-s.rand.IntN(1+s.rand.IntN(n)))
		}
	case s.rand.IntN(10) > 0:
		if h == w {
			h = s.hosts[s.rand.IntN(len(s.hosts))]
		}
		s.look(h, l, limit)
	case w.up:
		n := 1
		if s.rand.IntN(4) == 0 {
			n = 1 + s.rand.IntN(1+40*s.blocks/s.plan.ops) // so that there are blocks left in the end
		}
		if blocks := s.payload(n); len(blocks) > 0 {
			l.append(w.cores[l.id], blocks...)
		}
	}
}

// trouble does something that a network has to bear.
func (s *sim) trouble(h *simHost, l *simLog) {
	switch k := s.rand.IntN(10); {
	case k < 3:
		if h.up {
			s.toggle(h, h.cores[l.id])
		}
	case k < 5:
		link := s.links[s.rand.IntN(len(s.links))]
		if e := link.ends[s.rand.IntN(2)]; e != nil {
			e.end(errSimReset)
		}
	case k < 6:
		h.rate, h.lag = 100_000<<s.rand.IntN(10), time.Duration(s.rand.IntN(10)*s.rand.IntN(3000))*time.Microsecond
	case k < 7:
		s.part()
	case h.up:
		s.restart(h)
	}
}

// look has a host read something.
func (s *sim) look(h *simHost, l *simLog, limit time.Duration) {
	if !h.up {
		return
	}
	c := h.cores[l.id]
	i := c.Info()
	if c.attachment == nil || !i.Learned {
		return
	}
	k := s.rand.IntN(10)
	if i.Length == 0 || k == 0 {
		h.refresh(c, limit)
		return
	}
	switch {
	case k < 7:
		h.get(c, s.rand.Uint64N(i.Length), limit)
	case k < 8:
		h.extent(c, s.rand.Uint64N(i.Length), limit)
	default:
		h.seek(c, s.rand.Uint64N(i.ByteLength+1), limit)
	}
}

// toggle changes whether a core is attached and downloaded.
func (s *sim) toggle(h *simHost, c *simCore) {
	switch {
	case c.attachment == nil:
		h.attach(c, s.rand.IntN(2) == 0)
	case s.rand.IntN(2) == 0:
		h.attach(c, !c.download)
	default:
		h.detach(c)
	}
	s.tell("%s: %s attached %v, downloaded %v", h.name, c.log.name, c.attachment != nil, c.download)
}

// part parts the network for a while.
func (s *sim) part() {
	side := make(map[*simHost]bool)
	for _, h := range s.hosts {
		side[h] = s.rand.IntN(3) == 0
	}
	var cut []*simLink
	for _, l := range s.links {
		if side[l.hosts[0]] != side[l.hosts[1]] && !l.blocked {
			l.block(true)
			cut = append(cut, l)
		}
	}
	d := time.Duration(s.rand.IntN(1+s.rand.IntN(100_000))) * time.Millisecond
	s.tell("partition of %d links for %s", len(cut), d)
	s.after(d, func() {
		for _, l := range cut {
			l.block(false)
		}
	})
}

// restart ends a host in one of three ways, and starts it again later.
func (s *sim) restart(h *simHost) {
	switch s.rand.IntN(3) {
	case 0:
		h.stop()
	case 1:
		h.kill(false)
	default:
		h.kill(true)
	}
	s.after(time.Duration(s.rand.IntN(20_000))*time.Millisecond, func() { s.start(h) })
}

func (s *sim) start(h *simHost) {
	if h.up {
		return
	}
	if h.boot(); h.up {
		h.final()
	}
}
