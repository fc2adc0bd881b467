package fs

import (
	"context"
	"errors"
	"io"
	"maps"
	"strconv"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/hypercore"
)

// blockFiles are the files of the blocks of one core. A core may have millions,
// and the kernel keeps each that was looked up until it is short of memory, so
// here they are only numbers: the node id says which block it is, and nothing is
// kept for it but a bit in seen. See blockServer.
type blockFiles struct {
	t    *tree
	ref  coreRef
	path string // of the directory blocks
	ino  uint64 // of that directory
	id   uint64 // node id of block 0; those of the others follow

	mu   sync.Mutex
	dirs map[*gofs.Inode]struct{} // directories in which blocks were looked up
}

// The node id of a block: the top bit, which those that go-fuse gives to nodes do
// not have, a number for the core, and the index.
const (
	blockNode  = 1 << 63
	indexBits  = 40
	maxFiles   = 1<<(63-indexBits) - 1 // the last would have go-fuse's own id, all ones
	indexLimit = 1 << indexBits
)

// blockTable has the blockFiles by their number. Safe for concurrent use.
type blockTable struct {
	mu   sync.RWMutex
	list []*blockFiles
	at   map[string]*blockFiles // by path
}

// files gives the blockFiles of a core, with the path of its directory blocks; nil
// where there are too many.
func (t *tree) files(ref coreRef, path string) *blockFiles {
	b := &t.blocks
	b.mu.RLock()
	f := b.at[path]
	b.mu.RUnlock()
	if f != nil {
		return f
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.at[path]; f != nil || len(b.list) == maxFiles {
		return f
	}
	f = &blockFiles{t: t, ref: ref, path: path, ino: inode(path), dirs: make(map[*gofs.Inode]struct{}),
		id: blockNode | uint64(len(b.list))<<indexBits}
	b.list = append(b.list, f)
	if b.at == nil {
		b.at = make(map[string]*blockFiles)
	}
	b.at[path] = f
	return f
}

// block gives what a node id is of.
func (b *blockTable) block(id uint64) (block, bool) {
	if id&blockNode == 0 {
		return block{}, false
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	n := id &^ blockNode >> indexBits
	if n >= uint64(len(b.list)) {
		return block{}, false
	}
	return block{b.list[n], id & (indexLimit - 1)}, true
}

// block is one block. What is known of it does not change, but where the writer
// truncates (see seen).
type block struct {
	*blockFiles
	index uint64
}

// isBlock is what a Lookup gives in place of an inode where it has filled in the
// entry itself; only blockServer sees it.
const isBlock = syscall.Errno(1 << 16)

// lookupBlock answers a Lookup of block i, whose file is in the blocks directory
// at path, in the directory n.
func (n *node) lookupBlock(ref coreRef, path string, i uint64, out *fuse.EntryOut) syscall.Errno {
	c, err := ref.known()
	if err != nil {
		return n.t.fail(path, err)
	}
	files := n.t.files(ref, path)
	if files == nil || i >= indexLimit {
		return syscall.ENOENT
	}
	dir := n.EmbeddedInode()
	files.mu.Lock()
	if _, ok := files.dirs[dir]; !ok {
		maps.DeleteFunc(files.dirs, func(d *gofs.Inode, _ struct{}) bool { return d.Forgotten() })
		files.dirs[dir] = struct{}{}
	}
	files.mu.Unlock()
	var size uint64
	if c != nil {
		info := c.Info()
		if i < info.Length {
			n.t.remember(c, dir, files, i)
			info = c.Info() // of what is gone by now the kernel was not told
		}
		if info.Learned && i >= info.Length {
			return syscall.ENOENT
		}
		if i < info.Length {
			out.SetEntryTimeout(forever)
			if _, n, err := c.LocalExtent(i); err == nil {
				size = n
				out.SetAttrTimeout(forever)
			}
		}
	}
	out.NodeId = files.id + i
	block{files, i}.setAttr(&out.Attr, size)
	return isBlock
}

// setAttr gives every block the same time: when it was appended nobody knows,
// and a time that moves would make copies of blocks look stale.
func (b block) setAttr(a *fuse.Attr, size uint64) {
	b.t.setAttr(a, fileMode, size, time.Unix(0, 0))
	a.Mode |= syscall.S_IFREG
	a.Ino = blockInode(b.ino, b.index)
	a.Blksize = 4096
	a.Blocks = (size + 4095) / 4096 * 8
}

// name is the path of the block.
func (b block) name() string { return join(b.path, strconv.FormatUint(b.index, 10)) }

// sizeWait is how long a stat of a block may wait for its size: what lists a
// directory must not stop at each of many, where a peer is slow or gone and that is
// not known yet.
const sizeWait = 2 * time.Second

// getattr asks a peer for the size where it is not known here, but only one
// that is connected already.
func (b block) getattr(ctx context.Context, out *fuse.AttrOut) syscall.Errno {
	ctx, cancel := b.t.wait(ctx)
	defer cancel()
	c, err := b.find(ctx)
	if err != nil {
		return b.t.fail(b.name(), err)
	}
	b.remember(c)
	_, size, err := c.LocalExtent(b.index)
	if errors.Is(err, hypercore.ErrNotHeld) {
		if s := c.Source(); s == nil || !s.Connected() {
			return syscall.EHOSTUNREACH
		}
		soon, cancel := context.WithTimeout(ctx, sizeWait)
		defer cancel()
		_, size, err = c.Extent(soon, b.index)
	}
	if err != nil {
		return b.t.fail(b.name(), err)
	}
	b.setAttr(&out.Attr, size)
	out.SetTimeout(forever)
	return 0
}

// remember notes that the kernel will know the block, in whatever directory it
// was looked up in.
func (b block) remember(c *hypercore.Core) {
	b.mu.Lock()
	dirs := make([]*gofs.Inode, 0, 2)
	for dir := range b.dirs {
		dirs = append(dirs, dir)
	}
	b.mu.Unlock()
	for _, dir := range dirs {
		b.t.remember(c, dir, b.blockFiles, b.index)
	}
}

// find gives the core, once it is known that it has the block.
func (b block) find(ctx context.Context) (*hypercore.Core, error) {
	c, info, err := b.ref.learned(ctx)
	if err != nil {
		return nil, err
	}
	if b.index >= info.Length {
		return nil, errNotThere
	}
	return c, nil
}

// open fetches the block where it is not here: reads go through the kernel's
// page cache and could not be interrupted.
func (b block) open(ctx context.Context, flags uint32) (*blockHandle, syscall.Errno) {
	if no := readOnly(flags); no != 0 {
		return nil, no
	}
	ctx, cancel := b.t.wait(ctx)
	defer cancel()
	c, err := b.find(ctx)
	if err != nil {
		return nil, b.t.fail(b.name(), err)
	}
	log := c.Snapshot()
	if !c.Has(b.index) {
		if _, err := c.Get(ctx, b.index); err != nil {
			return nil, b.t.fail(b.name(), err)
		}
	}
	off, size, err := c.Extent(ctx, b.index)
	if err != nil {
		return nil, b.t.fail(b.name(), err)
	}
	return &blockHandle{block: b, core: c, log: log, off: off, size: size}, 0
}

// blockHandle is an open block. Once the writer has dropped that block, or it was
// moved, it reads ESTALE, whatever took its place; and where the block was cleared
// here: opened again it is fetched.
type blockHandle struct {
	block
	core      *hypercore.Core
	log       *hypercore.Snapshot // from before the block was found
	off, size uint64              // in the log
}

func (h *blockHandle) read(dest []byte, off uint64) (fuse.ReadResult, syscall.Errno) {
	if off >= h.size {
		return fuse.ReadResultData(nil), 0
	}
	dest = dest[:min(uint64(len(dest)), h.size-off)]
	n, err := h.core.ReadAt(noWait, dest, h.off+off) // the page cache would wait, and not be interrupted
	if left, _ := h.log.Left(); h.index >= left || err != nil && !h.core.Has(h.index) {
		return nil, syscall.ESTALE
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, h.t.fail(h.name(), err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}
