package fs

import (
	"context"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/corestore/multicore"
)

// appendFile takes messages: routed by length at the root, into one core in
// the directory of that.
type appendFile struct {
	node
	core string // "" routes
}

func (f *appendFile) entry(out *fuse.EntryOut) {
	out.SetEntryTimeout(forever)
	out.SetAttrTimeout(0) // the kernel takes a write for growth
	f.t.setAttr(&out.Attr, appendMode, 0, time.Time{})
}

func (f *appendFile) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.t.setAttr(&out.Attr, appendMode, 0, time.Time{})
	return 0
}

// Setattr takes a truncation, as the shell's > makes one, and new times, and
// does nothing; mode and owner stay.
func (f *appendFile) Setattr(_ context.Context, _ gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if in.Valid&(fuse.FATTR_MODE|fuse.FATTR_UID|fuse.FATTR_GID) != 0 {
		return syscall.EROFS
	}
	f.t.setAttr(&out.Attr, appendMode, 0, time.Time{})
	return 0
}

func (f *appendFile) Access(_ context.Context, mask uint32) syscall.Errno {
	if mask&(mayRead|mayExecute) != 0 {
		return syscall.EACCES
	}
	return 0
}

func (f *appendFile) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_WRONLY {
		return nil, 0, syscall.EACCES
	}
	h := &appendHandle{t: f.t, path: f.path, framer: f.t.newFramer(f.core), opener: f.t.openers.opener(ctx)}
	f.t.mu.Lock()
	f.t.handles[h] = struct{}{}
	f.t.mu.Unlock()
	return h, fuse.FOPEN_DIRECT_IO, 0
}

// Fsync is asked of the file rather than of the handle, as every node has it.
func (f *appendFile) Fsync(ctx context.Context, h gofs.FileHandle, _ uint32) syscall.Errno {
	open, ok := h.(*appendHandle)
	if !ok {
		return syscall.EBADF
	}
	return open.sync(ctx)
}

// appendHandle is an open append file. Several processes may share it.
type appendHandle struct {
	t      *tree
	path   string
	opener opener

	mu     sync.Mutex
	framer *multicore.Framer
}

// Write appends the whole messages in data before it returns. It is not
// interrupted: it waits for no network, and a program that gets a signal should
// not have to guess what was written.
func (h *appendHandle) Write(ctx context.Context, data []byte, _ int64) (uint32, syscall.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.t.ctx.Err() != nil {
		return 0, syscall.ENOTCONN
	}
	n, err := h.framer.Write(context.WithoutCancel(ctx), data)
	if err != nil {
		return 0, h.t.fail(h.path, err)
	}
	return uint32(n), 0
}

// Flush comes with each close of a descriptor. That by the opener ends the
// message that waits. Children that inherited the descriptor close it as well,
// which says nothing; and so does a shell that moves it, before a write.
func (h *appendHandle) Flush(ctx context.Context) syscall.Errno {
	if !h.opener.asks(ctx) {
		return 0
	}
	return h.t.fail(h.path, h.end(ctx))
}

// sync ends the message that waits, and returns when all is on the disk.
func (h *appendHandle) sync(ctx context.Context) syscall.Errno {
	if err := h.end(ctx); err != nil {
		return h.t.fail(h.path, err)
	}
	return h.t.fail(h.path, h.t.own.Flush(context.WithoutCancel(ctx)))
}

// Release comes after the last close, when nobody can be told of an error.
func (h *appendHandle) Release(ctx context.Context) syscall.Errno {
	err := h.end(ctx)
	if err != nil {
		h.t.Log.Warn("mount: message lost at the end of an open file", "path", inLog(h.path), "err", err)
	}
	h.t.mu.Lock()
	delete(h.t.handles, h)
	h.t.mu.Unlock()
	return 0
}

func (h *appendHandle) end(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.framer.End(context.WithoutCancel(ctx))
}
