package fs

import (
	"context"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// blocksDir shows each block of a core as a file.
type blocksDir struct {
	node
	parent string
	ref    coreRef
}

func (d *blocksDir) entry(out *fuse.EntryOut) {
	out.SetEntryTimeout(forever)
	d.t.setAttr(&out.Attr, dirMode, 0, time.Time{})
}

func (d *blocksDir) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	ctx, cancel := d.t.wait(ctx)
	defer cancel()
	_, info, err := d.ref.learned(ctx)
	if err != nil {
		return d.t.fail(d.path, err)
	}
	d.t.setAttr(&out.Attr, dirMode, 0, info.Grown)
	return 0
}

func (d *blocksDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if name == lastName {
		return d.lookupLast(ctx, out)
	}
	i, ok := parseIndex(name)
	if !ok {
		return nil, syscall.ENOENT
	}
	return nil, d.lookupBlock(d.ref, d.path, i, out)
}

// OpendirHandle lists the blocks that the core has now, by name only. The kernel
// does not keep the listing: to store it takes as long again as to get it, and 40
// bytes a block, for one that is half the time only while the core does not grow.
func (d *blocksDir) OpendirHandle(ctx context.Context, _ uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	ctx, cancel := d.t.wait(ctx)
	defer cancel()
	c, _, err := d.ref.learned(ctx)
	if err != nil {
		return nil, 0, d.t.fail(d.path, err)
	}
	return newBlockList(c, d.path, d.parent), 0, 0
}
