package multicore

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"multicore/corestore"
	"multicore/hypercore"
)

// Cache bounds the room of blocks that are held only because somebody read them:
// those of cores that are not followed, and those that Keep leaves out or that
// were cleared. When they take more than the limit, the least recently read are
// cleared, a stretch of neighbouring blocks at a time. Own cores and what is
// kept of followed ones are never touched.
//
// What was read before the process started counts as read before all else. What
// is remembered of reads is a number a stretch. Safe for concurrent use.
type Cache struct {
	st    *corestore.Store
	log   *slog.Logger
	limit uint64
	bytes uint64 // of a stretch, about

	kick chan struct{} // there may be too much; holds one

	mu    sync.Mutex
	clock uint64
	cores map[hypercore.DiscoveryKey]*recency
	known bool   // it was measured
	used  uint64 // then
	grown uint64 // stored since, about
	freed uint64 // in all
}

// recency is when the stretches of a core were last read.
type recency struct {
	blocks uint64            // of a stretch
	read   map[uint64]uint64 // stretch -> Cache.clock
	last   uint64            // stretch that was read last
}

const (
	largestStretch  = 2 << 20
	smallestStretch = 64 << 10
	maxStretch      = 1 << 15 // blocks
	// firstLook is when what there is is first measured, if nothing is stored
	// before: what starts has better things to do.
	firstLook = 5 * time.Second
	// maxStretches bounds what is remembered of one core; beyond it that begins
	// anew.
	maxStretches = 1 << 16
)

// NewCache limits what is only read of st to a number of bytes; log may be nil.
// Run does the work.
func NewCache(st *corestore.Store, limit uint64, log *slog.Logger) *Cache {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Cache{st: st, log: log, limit: limit, kick: make(chan struct{}, 1), cores: make(map[hypercore.DiscoveryKey]*recency)}
	c.bytes = min(max(limit/64, smallestStretch), largestStretch)
	return c
}

// Run clears what is too much, until ctx ends.
func (c *Cache) Run(ctx context.Context) {
	begin := time.NewTimer(firstLook)
	defer begin.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-begin.C:
		case <-c.kick:
		}
		if err := c.Sweep(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("what was only read could not be cleared", "err", err)
		}
	}
}

// watch follows what is read and stored of a core until cancel.
func (c *Cache) watch(core *hypercore.Core) (cancel func()) {
	if core.Writable() {
		return func() {}
	}
	d := core.DiscoveryKey()
	core.OnRead(func(from, to uint64) { c.touch(core, d, from, to, false) })
	return core.Subscribe(func(e hypercore.Event) {
		if e.Kind == hypercore.Stored {
			c.touch(core, d, e.From, e.To, true)
		}
	})
}

// touch notes that blocks were read, or have come.
func (c *Cache) touch(core *hypercore.Core, d hypercore.DiscoveryKey, from, to uint64, stored bool) {
	if from >= to {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.cores[d]
	if r == nil || stored {
		info := core.Info()
		average := max(1, info.ByteLength/max(1, info.Length))
		if r == nil {
			r = &recency{blocks: min(max(1, c.bytes/average), maxStretch), read: make(map[uint64]uint64)}
			c.cores[d] = r
		}
		if stored {
			c.grown += (to - from) * average
			if !c.known || c.used+c.grown > c.high() && c.grown > c.bytes/4 {
				select {
				case c.kick <- struct{}{}:
				default:
				}
			}
		}
	}
	first, last := from/r.blocks, (to-1)/r.blocks
	if first == last && first == r.last && r.read[first] != 0 && r.read[first] == c.clock {
		return // nothing else was read since
	}
	c.clock++
	if len(r.read) > maxStretches {
		clear(r.read)
	}
	for s := first; s <= last && s-first < maxStretches; s++ {
		r.read[s] = c.clock
	}
	r.last = last
}

// Usage says how many bytes are held only because they were read, about, since
// they are measured now and then; how many there may be; and how many were
// cleared since the process started.
func (c *Cache) Usage() (used, limit, cleared uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used + c.grown, c.limit, c.freed
}

// When there is more than high, as much is cleared as leaves low.
func (c *Cache) high() uint64 { return c.limit - c.limit/16 }
func (c *Cache) low() uint64  { return c.limit - c.limit/8 }

// stretch is blocks [from, to) of a core, of which some are held.
type stretch struct {
	core     hypercore.DiscoveryKey
	from, to uint64
	bytes    uint64 // held
	read     uint64 // Cache.clock; 0: before the process started
}

// Sweep measures, and clears the least recently read where there is too much.
func (c *Cache) Sweep(ctx context.Context) error {
	c.mu.Lock()
	c.grown, c.known = 0, true
	c.mu.Unlock()
	list, err := c.survey(ctx)
	if err != nil {
		return err
	}
	used := uint64(0)
	for _, s := range list {
		used += s.bytes
	}
	if used > c.high() {
		used, err = c.evict(ctx, list, used)
	}
	c.mu.Lock()
	c.used, c.known = used, true
	c.mu.Unlock()
	return err
}

// evict clears the stretches that were read longest ago and gives what is left.
func (c *Cache) evict(ctx context.Context, list []stretch, used uint64) (uint64, error) {
	slices.SortFunc(list, func(a, b stretch) int {
		return cmp.Or(cmp.Compare(a.read, b.read), slices.Compare(a.core[:], b.core[:]), cmp.Compare(a.from, b.from))
	})
	n, goal := 0, used
	for ; n < len(list) && goal > c.low(); n++ {
		goal -= list[n].bytes
	}
	list = list[:n]
	slices.SortFunc(list, func(a, b stretch) int {
		return cmp.Or(slices.Compare(a.core[:], b.core[:]), cmp.Compare(a.from, b.from))
	})
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].core == list[0].core {
			n++
		}
		freed, err := c.clear(ctx, list[:n])
		used -= min(used, freed)
		if err != nil {
			return used, err
		}
		list = list[n:]
	}
	return used, nil
}

// clear clears stretches of one core, those that touch each other at once.
func (c *Cache) clear(ctx context.Context, list []stretch) (freed uint64, err error) {
	core, err := c.st.OpenDiscovery(list[0].core)
	if err != nil {
		return 0, err
	}
	defer core.Close()
	if err := core.Flush(ctx); err != nil { // what is not durable is not cleared
		return 0, err
	}
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].from == list[n-1].to {
			n++
		}
		got, err := core.Clear(ctx, list[0].from, list[n-1].to)
		freed += got.Bytes
		c.mu.Lock()
		c.freed += got.Bytes
		c.mu.Unlock()
		if err != nil {
			return freed, err
		}
		list = list[n:]
	}
	return freed, nil
}
