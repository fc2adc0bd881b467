package fs

import (
	"context"
	"errors"
	"io"
	"strconv"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/hypercore"
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
	return d.lookupBlock(ctx, d.ref, d.path, i, out)
}

// OpendirHandle lists the blocks that the core has now, by name only.
func (d *blocksDir) OpendirHandle(ctx context.Context, _ uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	ctx, cancel := d.t.wait(ctx)
	defer cancel()
	c, _, err := d.ref.learned(ctx)
	if err != nil {
		return nil, 0, d.t.fail(d.path, err)
	}
	return newBlockList(c, d.path, d.parent), 0, 0
}

// lookupBlock answers a Lookup of block i, whose file is in the blocks
// directory at path.
func (n *node) lookupBlock(ctx context.Context, ref coreRef, path string, i uint64, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	c, err := ref.known()
	if err != nil {
		return nil, n.t.fail(path, err)
	}
	if c != nil {
		if i < c.Info().Length {
			n.t.remember(c, n.EmbeddedInode(), i)
		}
		if info := c.Info(); info.Learned && i >= info.Length {
			return nil, syscall.ENOENT
		}
	}
	f := &blockFile{node: node{place: place{n.t, join(path, strconv.FormatUint(i, 10))}}, ref: ref, index: i}
	return n.give(ctx, f, syscall.S_IFREG, blockInode(inode(path), i), out)
}

// blockFile is one block. What is known of it does not change, but where the
// writer truncates (see seen).
type blockFile struct {
	node
	ref   coreRef
	index uint64
}

func (f *blockFile) entry(out *fuse.EntryOut) {
	var size uint64
	if c, err := f.ref.known(); c != nil && err == nil && f.index < c.Info().Length {
		out.SetEntryTimeout(forever)
		if _, n, err := c.LocalExtent(f.index); err == nil {
			size = n
			out.SetAttrTimeout(forever)
		}
	}
	f.setAttr(&out.Attr, size)
}

// setAttr gives every block the same time: when it was appended nobody knows,
// and a time that moves would make copies of blocks look stale.
func (f *blockFile) setAttr(a *fuse.Attr, size uint64) {
	f.t.setAttr(a, fileMode, size, time.Unix(0, 0))
}

// sizeWait is how long a stat of a block may wait for its size: what lists a
// directory must not stop at each of many, where a peer is slow or gone and that is
// not known yet.
const sizeWait = 2 * time.Second

// Getattr asks a peer for the size where it is not known here, but only one
// that is connected already.
func (f *blockFile) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	ctx, cancel := f.t.wait(ctx)
	defer cancel()
	c, err := f.find(ctx)
	if err != nil {
		return f.t.fail(f.path, err)
	}
	_, parent := f.Parent()
	f.t.remember(c, parent, f.index)
	_, size, err := c.LocalExtent(f.index)
	if errors.Is(err, hypercore.ErrNotHeld) {
		if s := c.Source(); s == nil || !s.Connected() {
			return syscall.EHOSTUNREACH
		}
		soon, cancel := context.WithTimeout(ctx, sizeWait)
		defer cancel()
		_, size, err = c.Extent(soon, f.index)
	}
	if err != nil {
		return f.t.fail(f.path, err)
	}
	f.setAttr(&out.Attr, size)
	out.SetTimeout(forever)
	return 0
}

// find gives the core, once it is known that it has the block.
func (f *blockFile) find(ctx context.Context) (*hypercore.Core, error) {
	c, info, err := f.ref.learned(ctx)
	if err != nil {
		return nil, err
	}
	if f.index >= info.Length {
		return nil, errNotThere
	}
	return c, nil
}

// Open fetches the block where it is not here: reads go through the kernel's
// page cache and could not be interrupted.
func (f *blockFile) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	if no := readOnly(flags); no != 0 {
		return nil, 0, no
	}
	ctx, cancel := f.t.wait(ctx)
	defer cancel()
	c, err := f.find(ctx)
	if err != nil {
		return nil, 0, f.t.fail(f.path, err)
	}
	log := c.Snapshot()
	if !c.Has(f.index) {
		if _, err := c.Get(ctx, f.index); err != nil {
			return nil, 0, f.t.fail(f.path, err)
		}
	}
	off, size, err := c.Extent(ctx, f.index)
	if err != nil {
		return nil, 0, f.t.fail(f.path, err)
	}
	h := &blockHandle{t: f.t, path: f.path, core: c, log: log, index: f.index, off: off, size: size}
	return h, fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH, 0
}

// blockHandle is an open block. Once the writer has dropped that block, or it was
// moved, it reads ESTALE, whatever took its place; and where the block was cleared
// here: opened again it is fetched.
type blockHandle struct {
	t         *tree
	path      string
	core      *hypercore.Core
	log       *hypercore.Snapshot // from before the block was found
	index     uint64
	off, size uint64 // in the log
}

func (h *blockHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off < 0 || uint64(off) >= h.size {
		return fuse.ReadResultData(nil), 0
	}
	dest = dest[:min(uint64(len(dest)), h.size-uint64(off))]
	n, err := h.core.ReadAt(noWait, dest, h.off+uint64(off)) // the page cache would wait, and not be interrupted
	if left, _ := h.log.Left(); h.index >= left || err != nil && !h.core.Has(h.index) {
		return nil, syscall.ESTALE
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, h.t.fail(h.path, err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}
