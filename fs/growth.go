package fs

import (
	"context"
	"os"
	"sync"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"multicore/hypercore"
)

// growth tells of changes of the length of one core, while its log or follow is
// open: it wakes who waits at the end, and has the kernel drop pages of a mapped
// log that are not right any more. Safe for concurrent use.
//
// It takes only those events of a core that matter here. Core.Changed is closed
// for each block that is stored or flushed too, which would wake hundreds of
// waiting readers thousands of times a second while a core is downloaded.
type growth struct {
	t      *tree
	core   *hypercore.Core
	cancel func() // of the subscription
	uses   int    // open files; under tree.mu

	mu      sync.Mutex              // before tree.mu, which spawn takes
	changed chan struct{}           // closed at the next change; nil while nobody waits
	waiting int                     // readers that wait for it
	logs    map[*gofs.Inode]*mapped // open logs
	busy    bool                    // a goroutine tells the kernel
}

// mapped is what the kernel may hold in its page cache of a log: only memory
// mappings are there, as reads are direct.
type mapped struct {
	opens int
	last  bool   // the page that the log ended in,
	end   uint64 // when it was so long; what lies behind in that page is zero
	stale bool   // pages from byte from on are to be dropped
	from  uint64
}

// watch gives the growth of a core for a file that was opened, and how to end
// that at the close. log is the inode of a log, nil for other files.
func (t *tree) watch(c *hypercore.Core, log *gofs.Inode) (g *growth, done func()) {
	t.mu.Lock()
	g = t.growths[c]
	if g == nil {
		g = &growth{t: t, core: c, logs: make(map[*gofs.Inode]*mapped)}
		g.cancel = c.Subscribe(g.event)
		t.growths[c] = g
	}
	g.uses++
	t.mu.Unlock()
	if log != nil {
		g.opened(log)
	}
	return g, func() { g.close(log) }
}

func (g *growth) opened(log *gofs.Inode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.logs[log] == nil {
		g.logs[log] = &mapped{}
	}
	g.logs[log].opens++
}

// close ends one use. A mapping keeps its file open, so that what is closed by
// all is mapped by nobody.
func (g *growth) close(log *gofs.Inode) {
	g.mu.Lock()
	if m := g.logs[log]; m != nil {
		if m.opens--; m.opens == 0 {
			delete(g.logs, log)
		}
	}
	g.mu.Unlock()
	g.t.mu.Lock()
	defer g.t.mu.Unlock()
	if g.uses--; g.uses == 0 {
		delete(g.t.growths, g.core)
		g.cancel()
	}
}

// next is closed when the length changes, or when it never will again. Take it
// before looking, or a change in between is missed.
func (g *growth) next() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.changed
}

// wait returns when what next gave is closed, or with an error when ctx or the
// mount ends.
func (g *growth) wait(ctx context.Context, next <-chan struct{}) error {
	g.count(1)
	defer g.count(-1)
	select {
	case <-next:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-g.t.ctx.Done():
		return g.t.ctx.Err()
	}
}

func (g *growth) count(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting += n
}

// event is called by the core for each of its changes; it must not block.
func (g *growth) event(e hypercore.Event) {
	moved := false // bytes went, or are elsewhere now
	switch e.Kind {
	case hypercore.Appended, hypercore.Failed, hypercore.Conflicted:
	case hypercore.Upgraded:
		moved = g.core.Writable() // it adopted a head, and its own blocks moved behind that
	case hypercore.Truncated:
		moved = true
	default:
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
	for _, m := range g.logs {
		switch {
		case moved:
			m.drop(0)
		case m.last:
			m.drop(m.end)
		}
	}
	g.tell()
}

// drop has pages from a byte on dropped.
func (m *mapped) drop(from uint64) {
	if m.stale {
		from = min(from, m.from)
	}
	m.from, m.stale, m.last = from, true, false
}

// read notes a read of a log that reached its end, which was there: if it was for
// a page of a mapping, that page is wrong once the log is longer.
func (g *growth) read(log *gofs.Inode, off int64, size int, end uint64) {
	if page := os.Getpagesize(); off%int64(page) != 0 || size%page != 0 {
		return // by read(2)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.logs[log]
	if m == nil {
		return
	}
	if !m.last || end < m.end {
		m.last, m.end = true, end
	}
	if g.core.Info().ByteLength != end { // its event may have passed already
		m.drop(m.end)
		g.tell()
	}
}

// tell drops what is stale from the kernel, in the background, as that waits for
// the reads of those pages. g.mu is held.
func (g *growth) tell() {
	if g.busy {
		return
	}
	for _, m := range g.logs {
		if m.stale {
			g.busy = g.t.spawn(g.drop)
			return
		}
	}
}

func (g *growth) drop() {
	for {
		var log *gofs.Inode
		var from uint64
		g.mu.Lock()
		for l, m := range g.logs {
			if m.stale {
				log, from, m.stale = l, m.from, false
				break
			}
		}
		if log == nil || g.t.ctx.Err() != nil {
			g.busy = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		log.NotifyContent(int64(from), 0) // an error says that the kernel knows nothing of it
	}
}
