package hypercore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"multicore/hypercore/merkle"
)

// Snapshot is a core as it was at one moment: its length stays as it was,
// whatever is appended. Blocks that a later truncation removed, and other ones
// that came in their places, are ErrTruncated; those before are read on. It
// holds nothing, so there is nothing to close. Safe for concurrent use.
type Snapshot struct {
	core   *Core
	seq    uint64 // cuts up to this one lie before it
	length uint64
	size   uint64
	fork   uint64
}

// Snapshot takes a snapshot of what this machine sees now.
func (c *Core) Snapshot() *Snapshot {
	c.rest()
	defer c.mu.RUnlock()
	return &Snapshot{core: c, seq: c.cuts.seq, length: c.tree.Length,
		size: c.plainSize(c.tree.Length, c.size), fork: c.tree.Fork}
}

// Length is the number of blocks.
func (s *Snapshot) Length() uint64 { return s.length }

// ByteLength is the number of bytes in them.
func (s *Snapshot) ByteLength() uint64 { return s.size }

// Fork is that of the core at the time.
func (s *Snapshot) Fork() uint64 { return s.fork }

// Get is Core.Get up to the length of the snapshot.
func (s *Snapshot) Get(ctx context.Context, i uint64) ([]byte, error) {
	if i >= s.length {
		return nil, fmt.Errorf("block %d of %d: %w", i, s.length, ErrPastEnd)
	}
	block, err := s.core.Get(ctx, i)
	if length, _ := s.Left(); i >= length { // asked afterwards: it may have gone meanwhile
		return nil, fmt.Errorf("block %d: %w", i, ErrTruncated)
	}
	return block, err
}

// Seek is Core.Seek within the snapshot.
func (s *Snapshot) Seek(ctx context.Context, off uint64) (i, within uint64, err error) {
	switch {
	case off == s.size:
		return s.length, 0, nil
	case off > s.size:
		return 0, 0, fmt.Errorf("byte %d of %d: %w", off, s.size, ErrPastEnd)
	}
	i, within, err = s.core.Seek(ctx, off)
	if _, size := s.Left(); off >= size {
		return 0, 0, fmt.Errorf("byte %d: %w", off, ErrTruncated)
	}
	return i, within, err
}

// ReadAt is Core.ReadAt within the snapshot; ErrTruncated with the bytes before
// the cut.
func (s *Snapshot) ReadAt(ctx context.Context, p []byte, off uint64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	rest := s.size - off
	n, err := s.core.ReadAt(ctx, p[:min(uint64(len(p)), rest)], off)
	if _, size := s.Left(); off+uint64(len(p)) > size && size < s.size {
		n = int(min(uint64(n), size-min(size, off)))
		return n, fmt.Errorf("byte %d: %w", size, ErrTruncated)
	}
	if (err == nil || errors.Is(err, io.EOF)) && uint64(len(p)) > rest && uint64(n) == rest {
		err = io.EOF
	} else if errors.Is(err, io.EOF) && n == len(p) {
		err = nil
	}
	return n, err
}

// NewReader reads the bytes of the snapshot from the first on. It is an
// io.ReadSeeker and an io.ReaderAt; its methods end with ctx. As with other
// readers, Read and Seek are for one goroutine at a time.
func (s *Snapshot) NewReader(ctx context.Context) *Reader {
	r := &Reader{ctx: ctx, snapshot: s}
	r.SectionReader = io.NewSectionReader(readerAt{r}, 0, int64(s.size))
	return r
}

// Reader reads the bytes of a snapshot.
type Reader struct {
	*io.SectionReader
	ctx      context.Context
	snapshot *Snapshot
}

type readerAt struct{ r *Reader }

func (a readerAt) ReadAt(p []byte, off int64) (int, error) {
	return a.r.snapshot.ReadAt(a.r.ctx, p, uint64(off))
}

// Left is what still is as it was: how many leading blocks, and bytes in them,
// were neither removed since nor moved behind a head that was adopted.
func (s *Snapshot) Left() (length, size uint64) {
	c := s.core
	c.mu.RLock()
	defer c.mu.RUnlock()
	length, size = s.length, s.size
	if cut, ok := c.cuts.since(s.seq); ok && cut.length < length {
		length, size = cut.length, c.plainSize(cut.length, cut.size)
	}
	return length, size
}

// cuts remembers how far the log was cut back since it was opened.
type cuts struct {
	seq  uint64
	list []cut // of rising seq and length: a cut hides longer ones before it
}

type cut struct{ seq, fork, length, size uint64 }

// add notes that the blocks from length on went, or became others, when the log
// came to a fork. c.mu is held.
func (k *cuts) add(fork, length, size uint64) {
	k.seq++
	for len(k.list) > 0 && k.list[len(k.list)-1].length >= length {
		k.list = k.list[:len(k.list)-1]
	}
	k.list = append(k.list, cut{k.seq, fork, length, size})
}

// since gives the shortest cut behind seq.
func (k *cuts) since(seq uint64) (cut, bool) {
	for _, c := range k.list {
		if c.seq > seq {
			return c, true
		}
	}
	return cut{}, false
}

// TreeHash is the tree hash of the first length blocks: what a signature of
// that length would be about, and the same for everyone who has that prefix
// (spec 4). ErrPastEnd; ErrNotHeld where nodes for it were never fetched.
func (c *Core) TreeHash(length uint64) (merkle.Hash, error) {
	for {
		v, err := c.look()
		if err != nil {
			return merkle.Hash{}, err
		}
		if length > v.tree.Length {
			return merkle.Hash{}, fmt.Errorf("length %d of %d: %w", length, v.tree.Length, ErrPastEnd)
		}
		roots, err := c.roots(v.tree, length)
		if !c.still(v) {
			continue
		}
		if err != nil {
			return merkle.Hash{}, fmt.Errorf("tree hash of length %d: %w", length, err)
		}
		return merkle.TreeHash(roots), nil
	}
}
