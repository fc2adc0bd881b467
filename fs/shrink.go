package fs

import (
	"maps"
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
	dirs    map[*gofs.Inode]*seenIn // directories in which blocks were looked up
	from    uint64                  // blocks from here on are to be forgotten,
	pending bool                    // if this is set
	busy    bool                    // a goroutine is at it
}

// seenIn are the blocks that the kernel was told of in one directory.
type seenIn struct {
	files *blockFiles
	bits  map[uint64]uint64 // of 64 blocks each
}

// remember notes, before anything is said of it, that the kernel will know block
// i of c, one of files, as an entry of dir.
func (t *tree) remember(c *hypercore.Core, dir *gofs.Inode, files *blockFiles, i uint64) {
	t.mu.Lock()
	s := t.seen[c]
	if s == nil {
		s = &seen{t: t, own: c.Writable(), dirs: make(map[*gofs.Inode]*seenIn)}
		t.seen[c] = s
		s.cancel = c.Subscribe(s.event)
	}
	t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirs[dir] == nil {
		// A directory that the kernel forgot has no names in it that it knows.
		maps.DeleteFunc(s.dirs, func(d *gofs.Inode, _ *seenIn) bool { return d.Forgotten() })
		s.dirs[dir] = &seenIn{files: files, bits: make(map[uint64]uint64)}
	}
	s.dirs[dir].bits[i/64] |= 1 << (i % 64)
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
		names, files := s.after(s.from)
		s.mu.Unlock()
		server := s.t.kernel.server.Load()
		for dir, list := range names {
			for _, i := range list {
				if s.t.ctx.Err() != nil {
					break
				}
				// Errors say that the kernel knows nothing of it.
				dir.NotifyEntry(strconv.FormatUint(i, 10))
				if server != nil {
					server.InodeNotify(files[dir].id+i, 0, 0)
				}
			}
		}
	}
}

// after lists the blocks from one on that were looked up. s.mu is held.
func (s *seen) after(from uint64) (names map[*gofs.Inode][]uint64, files map[*gofs.Inode]*blockFiles) {
	names, files = make(map[*gofs.Inode][]uint64), make(map[*gofs.Inode]*blockFiles)
	for dir, in := range s.dirs {
		files[dir] = in.files
		for at, word := range in.bits {
			for b := range uint64(64) {
				if i := 64*at + b; word&(1<<b) != 0 && i >= from {
					names[dir] = append(names[dir], i)
				}
			}
		}
		slices.Sort(names[dir])
	}
	return names, files
}
