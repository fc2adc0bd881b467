package fs

import (
	"context"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// text is what a small file says now, and since when.
type text struct {
	bytes    []byte
	modified time.Time // zero: since the mount
}

// textFile is a small file made when it is asked for. An open file goes on
// saying what it said when it was opened.
type textFile struct {
	node
	// content may wait for a network.
	content func(ctx context.Context) (text, error)
}

func (f *textFile) entry(out *fuse.EntryOut) {
	out.SetEntryTimeout(forever)
	f.t.setAttr(&out.Attr, fileMode, 0, time.Time{})
}

func (f *textFile) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	ctx, cancel := f.t.wait(ctx)
	defer cancel()
	now, err := f.content(ctx)
	if err != nil {
		return f.t.fail(f.path, err)
	}
	f.t.setAttr(&out.Attr, fileMode, uint64(len(now.bytes)), now.modified)
	return 0
}

func (f *textFile) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	if no := readOnly(flags); no != 0 {
		return nil, 0, no
	}
	ctx, cancel := f.t.wait(ctx)
	defer cancel()
	now, err := f.content(ctx)
	if err != nil {
		return nil, 0, f.t.fail(f.path, err)
	}
	return textHandle(now.bytes), fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, 0
}

// textHandle is the content at the time of the open.
type textHandle []byte

func (h textHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off >= int64(len(h)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, h[off:])]), 0
}
