package storage

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"
)

const coresDir = "cores"

// coreFiles holds the files of all cores of a store.
type coreFiles struct {
	fs     FS
	volume Volume     // nil where it tells of no errors
	mass   sync.Mutex // one SyncAll of many at a time; guards closed
	closed bool
	open   descriptors
	nodes  nodeCache

	mu    sync.Mutex
	cores map[ID]*core

	dirs directories
}

func newCoreFiles(fsys FS, volume Volume, nodes nodeCache, maxFiles int) *coreFiles {
	if maxFiles <= 0 {
		maxFiles = defaultMaxFiles
	}
	s := &coreFiles{fs: fsys, volume: volume, nodes: nodes, cores: make(map[ID]*core)}
	s.open.max = maxFiles
	s.dirs.fs = fsys
	return s
}

func (s *coreFiles) Files(id ID) Files {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cores[id]
	if c == nil {
		c = &core{files: s, dir: path.Join(coresDir, hex.EncodeToString(id[:]))}
		c.blocks.core, c.blocks.name = c, "blocks"
		c.tree.core, c.tree.name = c, "tree"
		c.salt = binary.LittleEndian.Uint64(id[:])
		c.inherit()
		s.cores[id] = c
	}
	return c
}

func (s *coreFiles) close() error {
	s.open.close()
	s.mass.Lock()
	defer s.mass.Unlock()
	if s.volume == nil || s.closed {
		return nil
	}
	s.closed = true
	return s.volume.Close()
}

// directories remembers which entries of cores/ may not be on the disk.
type directories struct {
	fs     FS
	made   atomic.Uint64 // directories made so far
	mu     sync.Mutex    // held while syncing
	synced uint64        // value of made that the last sync covered
}

// sync puts the entries of the first n directories that were made on the disk;
// cores that are made together share it.
func (d *directories) sync(n uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n <= d.synced {
		return nil
	}
	made := d.made.Load()
	if err := d.fs.SyncDir(coresDir); err != nil {
		return err
	}
	d.synced = made
	return nil
}

// covered says that the first n directories that were made are on the disk.
func (d *directories) covered(n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.synced = max(d.synced, n)
}

// core is the pair of files of one core.
type core struct {
	files        *coreFiles
	dir          string
	blocks, tree descriptor
	pages        sync.RWMutex // held shared by who uses Pages, and to punch or cut blocks; before blocks.mu
	deferred     deferred
	salt         uint64        // tells cores apart in the node cache
	cached       atomic.Bool   // the node cache may have stretches
	drops        atomic.Uint64 // times that the node cache dropped all
	nodesMu      sync.Mutex    // one change of the file tree at a time, so that the node cache sees the last

	syncMu  sync.Mutex    // one Sync at a time, so that none returns before what another took over is done
	entries atomic.Bool   // the entries of dir were synced since a file was made or first opened here
	made    atomic.Uint64 // directories.made when dir was made here, else 0
	failed  atomic.Pointer[error]
}

// open opens one of the files, making the directory if need be.
func (c *core) open(name string, create bool) (File, error) {
	full := path.Join(c.dir, name)
	f, err := c.files.fs.Open(full, false)
	if err == nil || !create || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	// After the file is there, so that a Sync meanwhile does not miss it.
	defer c.entries.Store(false)
	f, err = c.files.fs.Open(full, true)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := c.files.fs.Mkdir(c.dir); err == nil {
		c.made.Store(c.files.dirs.made.Add(1))
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return c.files.fs.Open(full, true)
}

func (c *core) fail(err error) {
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	c.failed.CompareAndSwap(nil, &err)
}

func (c *core) failure() error {
	if err := c.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *core) Sync() error {
	c.syncMu.Lock()
	defer c.syncMu.Unlock()
	if err := c.failure(); err != nil {
		return err
	}
	err := c.writeDeferred()
	if isFull(err) {
		return err // nothing is lost: they wait on
	}
	if err == nil {
		err = c.sync()
	}
	if errors.Is(err, errLoose) {
		c.files.syncVolume([]*core{c})
	} else if err != nil {
		c.fail(err)
		c.blocks.forget()
		c.tree.forget()
	}
	// Not err: closing a descriptor may have failed at the same time.
	return c.failure()
}

// sync puts both files on the disk. What is in the second one is on its way
// while the first is waited for, so that the disk does both at once.
func (c *core) sync() error {
	c.tree.start()
	if err := c.blocks.sync(); err != nil {
		return err
	}
	if err := c.tree.sync(); err != nil {
		return err
	}
	if c.entries.Swap(true) {
		return nil
	}
	if err := c.files.fs.SyncDir(c.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.files.dirs.sync(c.made.Load())
}

// inherit makes the next Sync put everything on the disk, whoever wrote it.
func (c *core) inherit() {
	c.entries.Store(false)
	c.blocks.inherited.Store(true)
	c.tree.inherited.Store(true)
}

func (c *core) Reopen() error {
	c.syncMu.Lock()
	defer c.syncMu.Unlock()
	c.blocks.forget()
	c.tree.forget()
	c.deferred.forget(func(uint64) bool { return true })
	c.files.nodes.drop(c)
	c.inherit()
	c.failed.Store(nil)
	return nil
}

func (c *core) ReadBlocks(p []byte, off int64) (int, error) { return c.blocks.readAt(p, off) }

func (c *core) WriteBlocks(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	return c.blocks.writeAt(p, off)
}

func (c *core) Punch(off, n int64) error {
	if n <= 0 {
		return nil
	}
	c.pages.Lock()
	defer c.pages.Unlock()
	f, err := c.blocks.acquire(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.blocks.release()
	return f.Punch(off, n)
}

func (c *core) Cut(blocks int64, nodes uint64) error {
	if err := c.cutBlocks(blocks); err != nil {
		return err
	}
	size, err := nodeOffset(nodes)
	if err != nil {
		return err
	}
	c.nodesMu.Lock()
	defer c.nodesMu.Unlock()
	c.deferred.forget(func(index uint64) bool { return index >= nodes })
	defer c.files.nodes.drop(c)
	return c.tree.cut(size)
}

func (c *core) cutBlocks(size int64) error {
	c.pages.Lock()
	defer c.pages.Unlock()
	return c.blocks.cut(size)
}

func (c *core) Sizes() (blocks int64, nodes uint64, err error) {
	if blocks, err = c.blocks.size(); err != nil {
		return 0, 0, err
	}
	tree, err := c.tree.size()
	if err != nil {
		return 0, 0, err
	}
	return blocks, max(uint64(tree/nodeSize), c.deferred.end()), nil
}

// The operations of a descriptor on its file, where a missing one is empty.

func (d *descriptor) readAt(p []byte, off int64) (int, error) {
	f, err := d.acquire(false)
	if errors.Is(err, fs.ErrNotExist) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	if err != nil {
		return 0, err
	}
	defer d.release()
	return f.ReadAt(p, off)
}

func (d *descriptor) writeAt(p []byte, off int64) error {
	f, err := d.acquire(true)
	if err != nil {
		return err
	}
	defer d.release()
	_, err = f.WriteAt(p, off)
	d.dirty.Store(true) // also after an error: a part may be there
	return err
}

func (d *descriptor) size() (int64, error) {
	f, err := d.acquire(false)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer d.release()
	return f.Size()
}

func (d *descriptor) cut(size int64) error {
	f, err := d.acquire(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.release()
	now, err := f.Size()
	if err != nil || now <= size {
		return err
	}
	err = f.Truncate(size)
	d.dirty.Store(true)
	return err
}
