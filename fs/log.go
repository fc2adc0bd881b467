package fs

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/hypercore"
)

// logFile is all blocks of a core in a row. Its size is the verified byte
// length, also where nothing of it is here yet. The kernel caches neither its
// size nor its bytes, so that each read sees what there is and can be
// interrupted. The log of an own core it reads from the store by itself, where
// it may.
type logFile struct {
	node
	ref     coreRef
	through through
}

func (f *logFile) entry(out *fuse.EntryOut) {
	out.SetEntryTimeout(forever)
	f.t.setAttr(&out.Attr, fileMode, 0, time.Time{})
}

func (f *logFile) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	ctx, cancel := f.t.wait(ctx)
	defer cancel()
	_, info, err := f.ref.learned(ctx)
	if err != nil {
		return f.t.fail(f.path, err)
	}
	f.t.setAttr(&out.Attr, fileMode, f.through.size(info), info.Grown)
	return 0
}

func (f *logFile) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	if no := readOnly(flags); no != 0 {
		return nil, 0, no
	}
	ctx, cancel := f.t.wait(ctx)
	defer cancel()
	c, _, err := f.ref.learned(ctx)
	if err != nil {
		return nil, 0, f.t.fail(f.path, err)
	}
	h := &logHandle{t: f.t, path: f.path, core: c, inode: f.EmbeddedInode(), through: &f.through}
	var reads bool
	if h.backed, reads = f.through.open(f.t, c); reads {
		return h, fuse.FOPEN_NOFLUSH, 0
	}
	h.growth, h.unwatch = f.t.watch(c, h.inode)
	// What mappings of the file hold is not dropped for this open: the kernel would
	// wait for pages that somebody else waits for, and could not be interrupted.
	return h, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH, 0
}

// logHandle is an open log.
type logHandle struct {
	t       *tree
	path    string
	core    *hypercore.Core
	inode   *gofs.Inode
	through *through
	backed  bool    // the kernel knows the file of the blocks
	growth  *growth // nil where the kernel reads that
	unwatch func()
}

func (h *logHandle) Release(context.Context) syscall.Errno {
	h.through.close(h.t)
	if h.growth != nil {
		h.unwatch()
	}
	return 0
}

func (h *logHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	length := h.core.Info().ByteLength
	if size := uint64(len(dest)); h.growth != nil && off >= 0 && uint64(off)+size > length {
		h.growth.read(h.inode, off, len(dest), length)
	}
	if off < 0 || uint64(off) >= length || len(dest) == 0 {
		return fuse.ReadResultData(nil), 0
	}
	start := uint64(off)
	dest = dest[:min(uint64(len(dest)), length-start)]
	return h.t.read(ctx, h.path, h.core, dest, start)
}

// read answers a Read of bytes of the log of c. Where not all of them can be
// had, those before the first that is missing are given; the error comes back
// with the next read.
func (t *tree) read(ctx context.Context, path string, c *hypercore.Core, dest []byte, off uint64) (fuse.ReadResult, syscall.Errno) {
	ctx, cancel := t.wait(ctx)
	defer cancel()
	if spliced(len(dest), off) {
		if p, err := c.PagesAt(ctx, len(dest), off); err == nil {
			return &pagesRead{p}, 0
		}
	}
	n, err := c.ReadAt(ctx, dest, off)
	if errors.Is(err, hypercore.ErrTruncated) {
		return fuse.ReadResultData(nil), 0 // as of any file that became shorter
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fuse.ReadResultData(dest[:n]), 0
	}
	if held := heldFrom(c, off, uint64(len(dest))); held > 0 {
		if n, err := c.ReadAt(noWait, dest[:held], off); err == nil {
			return fuse.ReadResultData(dest[:n]), 0
		}
	}
	return nil, t.fail(path, err)
}

// noWait is a context for what is to be done only if it takes no peer.
var noWait = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// heldFrom counts the bytes from off on, at most n, that are in blocks held
// here in a row.
func heldFrom(c *hypercore.Core, off, n uint64) uint64 {
	i, _, err := c.Seek(noWait, off)
	if err != nil {
		return 0
	}
	end := off
	for ; end < off+n && c.Has(i); i++ {
		start, size, err := c.LocalExtent(i)
		if err != nil {
			break
		}
		end = start + size
	}
	return min(end-off, n)
}
