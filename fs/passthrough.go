package fs

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"multicore/hypercore"
)

// kernel is what the kernel that serves a mount was found to do.
type kernel struct {
	server  atomic.Pointer[fuse.Server] // nil until it serves
	refuses atomic.Bool                 // to read files by itself
}

// serving says who serves the mount.
func (k *kernel) serving(s *fuse.Server) {
	k.refuses.Store(s.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH == 0)
	k.server.Store(s)
}

// mayRead reports whether the kernel would read a file by itself. go-fuse finds
// that out too, but only after the flags of the open were chosen.
func (k *kernel) mayRead(file int) bool {
	s := k.server.Load()
	if s == nil || k.refuses.Load() {
		return false
	}
	id, no := s.RegisterBackingFd(&fuse.BackingMap{Fd: int32(file)})
	if no != 0 {
		k.refuses.Store(true)
		return false
	}
	s.UnregisterBackingFd(id)
	return true
}

// stackDepth is how deep the kernel may stack file systems for a mount of a
// store. One that is deep itself cannot be a layer of others, so it is no deeper
// than need be.
func stackDepth(store string) int {
	var s unix.Statfs_t
	if unix.Statfs(store, &s) == nil && s.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return 2
	}
	return 1
}

// through is whether and how the kernel reads one log by itself. It wants all
// open handles of a file to have it so, or none, and one file for all of them:
// the first handle decides. Safe for concurrent use.
type through struct {
	mu      sync.Mutex
	backing *hypercore.Backing // nil: it does not
	handles int                // open
}

// open adds a handle on the log of c. backed: the kernel knows the file. reads:
// and is to read it.
func (x *through) open(t *tree, c *hypercore.Core) (backed, reads bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.handles++
	if x.handles > 1 {
		return x.backing != nil, x.backing != nil && x.backing.Whole()
	}
	if !c.Writable() || t.kernel.refuses.Load() {
		return false, false
	}
	b, err := c.Backing()
	if err != nil {
		return false, false
	}
	if !t.kernel.mayRead(int(b.File().Fd())) || !t.lend(b) {
		giveBack(t, b)
		return false, false
	}
	x.backing = b
	return true, true
}

// close ends one.
func (x *through) close(t *tree) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.handles--; x.handles > 0 || x.backing == nil {
		return
	}
	giveBack(t, x.backing)
	x.backing = nil
}

// size is the size that the log has for who may read it through the kernel.
func (x *through) size(info hypercore.Info) uint64 {
	x.mu.Lock()
	b := x.backing
	x.mu.Unlock()
	if b == nil {
		return info.ByteLength
	}
	return b.ByteLength()
}

// lend notes a file that the kernel reads, for the end of the mount: handles of
// one that was unmounted lazily live on.
func (t *tree) lend(b *hypercore.Backing) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	t.lent[b] = struct{}{}
	return true
}

// giveBack ends the loan of a file that is in no open handle.
func giveBack(t *tree, b *hypercore.Backing) {
	t.mu.Lock()
	delete(t.lent, b)
	t.mu.Unlock()
	if err := b.Return(); err != nil {
		t.Log.Warn("mount: give back the room beyond a log", "err", err)
	}
	b.File().Close()
}

// served closes what was left open by handles that will not be released.
func (t *tree) served() {
	t.mu.Lock()
	left := slices.Collect(maps.Keys(t.lent))
	t.mu.Unlock()
	for _, b := range left {
		giveBack(t, b)
	}
}

// PassthroughFd gives go-fuse the file that the kernel is to read for a handle.
func (h *logHandle) PassthroughFd() (int, bool) {
	if !h.backed {
		return 0, false
	}
	h.through.mu.Lock()
	defer h.through.mu.Unlock()
	if h.through.backing == nil {
		return 0, false
	}
	return int(h.through.backing.File().Fd()), true
}
