package fs

import (
	"slices"
	"strconv"
	"sync"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"multicore/hypercore"
)

// seen is what the kernel was told of the blocks of one core, and remembers for
// long: where blocks go or move it is told to forget. Safe for concurrent use.
type seen struct {
	t      *tree
	own    bool   // the core is one of ours
	cancel func() // of the subscription

	mu      sync.Mutex
	dirs    map[*gofs.Inode]map[uint64]uint64 // directories, with bits for the blocks that were looked up in them
	from    uint64                            // blocks from here on are to be forgotten,
	pending bool                              // if this is set
	busy    bool                              // a goroutine is at it
}

// remember notes, before anything is said of it, that the kernel will know block
// i of c as an entry of dir.
func (t *tree) remember(c *hypercore.Core, dir *gofs.Inode, i uint64) {
	if dir == nil {
		return
	}
	t.mu.Lock()
	s := t.seen[c]
	if s == nil {
		s = &seen{t: t, own: c.Writable(), dirs: make(map[*gofs.Inode]map[uint64]uint64)}
		t.seen[c] = s
		s.cancel = c.Subscribe(s.event)
	}
	t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirs[dir] == nil {
		s.dirs[dir] = make(map[uint64]uint64)
	}
	s.dirs[dir][i/64] |= 1 << (i % 64)
}

// event has blocks forgotten that the core dropped, and those of an own core
// that moved behind a head which it adopted. The kernel is told from a goroutine:
// it may wait for a request that waits for the core.
func (s *seen) event(e hypercore.Event) {
	if e.Kind != hypercore.Truncated && !(e.Kind == hypercore.Upgraded && s.own) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending {
		e.From = min(e.From, s.from)
	}
	s.from, s.pending = e.From, true
	if !s.busy {
		s.busy = s.t.spawn(s.forget)
	}
}

// forget tells the kernel until nothing is left to tell.
func (s *seen) forget() {
	for {
		s.mu.Lock()
		if !s.pending || s.t.ctx.Err() != nil {
			s.busy = false
			s.mu.Unlock()
			return
		}
		s.pending = false
		names := s.after(s.from)
		s.mu.Unlock()
		for dir, list := range names {
			for _, i := range list {
				if s.t.ctx.Err() != nil {
					break
				}
				name := strconv.FormatUint(i, 10)
				// Errors say that the kernel knows nothing of it.
				dir.NotifyEntry(name)
				if file := dir.GetChild(name); file != nil {
					file.NotifyContent(0, 0)
				}
			}
		}
	}
}

// after lists the blocks from one on that were looked up. s.mu is held.
func (s *seen) after(from uint64) map[*gofs.Inode][]uint64 {
	names := make(map[*gofs.Inode][]uint64)
	for dir, words := range s.dirs {
		for at, word := range words {
			for b := range uint64(64) {
				if i := 64*at + b; word&(1<<b) != 0 && i >= from {
					names[dir] = append(names[dir], i)
				}
			}
		}
		slices.Sort(names[dir])
	}
	return names
}
