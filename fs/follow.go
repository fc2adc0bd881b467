package fs

import (
	"context"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/hypercore"
)

// followFile is log, but a read at the end waits for more. It has the size of
// log, by which programs do the right thing: tail finds the last lines by seeking
// to the end (of an empty file it would read to the end, which never comes), tar
// and rsync copy so many bytes and are done, less shows them before it waits. cat
// and grep do not care and go on. Who copies until there is no more, as cp does,
// waits for ever, as it would for tail -f.
type followFile struct {
	node
	ref coreRef
}

func (f *followFile) entry(out *fuse.EntryOut) {
	out.SetEntryTimeout(forever)
	f.t.setAttr(&out.Attr, fileMode, 0, time.Time{})
}

func (f *followFile) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	ctx, cancel := f.t.wait(ctx)
	defer cancel()
	_, info, err := f.ref.learned(ctx)
	if err != nil {
		return f.t.fail(f.path, err)
	}
	f.t.setAttr(&out.Attr, fileMode, info.ByteLength, info.Grown)
	return 0
}

// Open waits until the length was learned, as that of log does.
func (f *followFile) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	if no := readOnly(flags); no != 0 {
		return nil, 0, no
	}
	wait, cancel := f.t.wait(ctx)
	defer cancel()
	c, _, err := f.ref.learned(wait)
	if err != nil {
		return nil, 0, f.t.fail(f.path, err)
	}
	h := &followHandle{t: f.t, path: f.path, core: c, log: c.Snapshot(), nonblock: flags&syscall.O_NONBLOCK != 0}
	h.growth, h.unwatch = f.t.watch(c, nil)
	return h, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, 0
}

// followHandle is an open follow. Each read that waits is one goroutine: the
// kernel has no bound on such requests, as it has on those that it makes on its
// own.
type followHandle struct {
	t        *tree
	path     string
	core     *hypercore.Core
	growth   *growth
	unwatch  func()
	nonblock bool // it was opened to fail with EAGAIN rather than to wait

	mu  sync.Mutex
	log *hypercore.Snapshot // the log as it was last seen
}

func (h *followHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	for {
		next := h.growth.next()
		log, no := h.look()
		switch {
		case no != 0:
			return nil, no
		case len(dest) == 0 || off < 0:
			return fuse.ReadResultData(nil), 0
		case uint64(off) < log.ByteLength():
			return h.some(ctx, dest, uint64(off), log)
		}
		if err := h.ended(); err != nil {
			return nil, h.t.fail(h.path, err)
		}
		if h.nonblock {
			return nil, syscall.EAGAIN
		}
		if err := h.growth.wait(ctx, next); err != nil {
			return nil, h.t.fail(h.path, err)
		}
	}
}

// look gives the log as it is now. It is ESTALE from when some of the log that
// was there before is gone: a reader could not tell which of what it read counts.
func (h *followHandle) look() (*hypercore.Snapshot, syscall.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.core.Snapshot()
	if left, _ := h.log.Left(); left < h.log.Length() {
		return nil, syscall.ESTALE
	}
	h.log = now
	return now, 0
}

// some reads what there is from off on, which is before the end.
func (h *followHandle) some(ctx context.Context, dest []byte, off uint64, log *hypercore.Snapshot) (fuse.ReadResult, syscall.Errno) {
	if rest := log.ByteLength() - off; uint64(len(dest)) >= rest {
		// Were a request filled that ends right at the end, and more of the same
		// read(2) left, then the kernel would make another request, which waits,
		// before the program sees what was read. It cuts reads as it does writes.
		if uint64(len(dest)) == rest && len(dest) >= h.t.uncut && rest > 1 {
			rest--
		}
		dest = dest[:rest]
	}
	result, no := h.t.read(ctx, h.path, h.core, dest, off)
	if left, _ := log.Left(); left < log.Length() {
		if result != nil {
			result.Done()
		}
		return nil, syscall.ESTALE
	}
	return result, no
}

// ended says why nothing more can come, if that is so.
func (h *followHandle) ended() error {
	info := h.core.Info()
	if info.Failed != nil {
		return info.Failed
	}
	if info.Conflict {
		return hypercore.ErrConflict
	}
	return nil
}

func (h *followHandle) Release(context.Context) syscall.Errno {
	h.unwatch()
	return 0
}
