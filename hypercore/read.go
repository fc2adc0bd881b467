package hypercore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"multicore/hypercore/merkle"
)

// Has reports whether block i is held here.
func (c *Core) Has(i uint64) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return i < c.tree.Length && c.bits.has(i)
}

// Held copies the held bits of the blocks [start, start+32*len(words)); start is
// a multiple of 32, and bit j of words[w] is block start+32*w+j.
func (c *Core) Held(start uint64, words []uint32) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	c.bits.copyTo(start, words)
}

// Block reads a block that is held here: ErrNotHeld, ErrPastEnd. It is not
// verified again.
func (c *Core) Block(i uint64) ([]byte, error) {
	for {
		v, err := c.look()
		if err != nil {
			return nil, err
		}
		if i >= v.tree.Length {
			return nil, fmt.Errorf("block %d of %d: %w", i, v.tree.Length, ErrPastEnd)
		}
		if !c.Has(i) {
			return nil, fmt.Errorf("block %d: %w", i, ErrNotHeld)
		}
		block, err := c.readBlock(v, i, nil)
		if !c.still(v) {
			continue
		}
		if errors.Is(err, merkle.ErrMissingNode) || errors.Is(err, io.EOF) {
			return nil, c.lose(v, i, err)
		}
		if fn := c.reads.Load(); fn != nil && err == nil {
			(*fn)(i, i+1)
		}
		if k := c.cipher(); k != nil && err == nil {
			return k.decrypt(i, block)
		}
		return block, err
	}
}

// readBlock reads block i, into buf where that has the capacity.
func (c *Core) readBlock(v view, i uint64, buf []byte) ([]byte, error) {
	off, size, err := c.extent(v, i)
	if err != nil {
		return nil, err
	}
	if size > MaxBlock {
		return nil, &DamageError{File: "tree", Offset: 2 * i * treeNodeBytes,
			Reason: fmt.Sprintf("block %d of %d bytes, at most %d", i, size, MaxBlock)}
	}
	c.cursor.put(v.era, i+1, off+size)
	c.remember(v, i, off)
	if uint64(cap(buf)) < size || buf == nil {
		buf = make([]byte, size)
	}
	block := buf[:size]
	if _, err := c.files.ReadBlocks(block, int64(off)); err != nil && (size > 0 || err != io.EOF) {
		return nil, fmt.Errorf("block %d: %w", i, err)
	}
	return block, nil
}

// lose gives up block i, which is recorded as held but is not there, so that it
// is fetched again. An own block that no peer can have is damage.
func (c *Core) lose(v view, i uint64, cause error) error {
	defer c.events.deliver()
	c.write.Lock()
	defer c.write.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if i >= c.head.Length {
		return &DamageError{File: "blocks", Reason: fmt.Sprintf("block %d: %v", i, cause)}
	}
	if c.era == v.era && c.bits.has(i) && c.usableLocked() == nil {
		c.log.Warn("block is damaged and will be fetched again", "core", c.id.String(), "block", i, "err", cause)
		c.flusher.counters.damaged.Add(1)
		c.bits.clear(i, i+1)
		c.headDirty = true
		c.events.add(Event{Kind: Damaged, From: i, To: i + 1})
		c.notify()
		c.flusher.mark(c)
	}
	return fmt.Errorf("block %d: %w: %w", i, ErrNotHeld, cause)
}

// Get reads a block, fetching it where it is not held. ErrPastEnd at or beyond
// the length, joined with ErrTruncated where the log became so short meanwhile;
// ErrNotHeld and ErrNoPeers where there is no Source; else the Source's error.
func (c *Core) Get(ctx context.Context, i uint64) ([]byte, error) {
	if err := c.AwaitHead(ctx); err != nil {
		return nil, err
	}
	fork := c.Info().Fork
	c.ahead.read(ctx, c, i, i)
	for {
		block, err := c.Block(i)
		if !errors.Is(err, ErrNotHeld) {
			return block, c.truncated(fork, err)
		}
		if err := c.fetch(ctx, err, func(s Source) error { return s.FetchBlock(ctx, i) }); err != nil {
			return nil, err
		}
	}
}

// Extent is the byte offset and the size of block i. Where they are not known
// here, peers are asked for that node of the tree. Errors as of Get.
func (c *Core) Extent(ctx context.Context, i uint64) (off, size uint64, err error) {
	if err := c.AwaitHead(ctx); err != nil {
		return 0, 0, err
	}
	fork := c.Info().Fork
	for {
		off, size, err := c.LocalExtent(i)
		if !errors.Is(err, ErrNotHeld) {
			return off, size, c.truncated(fork, err)
		}
		if err := c.fetch(ctx, err, func(s Source) error { return s.FetchNode(ctx, 2*i) }); err != nil {
			return 0, 0, err
		}
	}
}

// Seek finds the block that holds byte off, and the position in it; the byte
// length itself is (length, 0), what lies beyond is ErrPastEnd. Peers are asked
// for nodes where it takes some. Errors as of Get.
func (c *Core) Seek(ctx context.Context, off uint64) (i, within uint64, err error) {
	if err := c.AwaitHead(ctx); err != nil {
		return 0, 0, err
	}
	fork := c.Info().Fork
	for {
		v, err := c.look()
		if err != nil {
			return 0, 0, err
		}
		i, within, found, err := c.seek(v, off)
		if !c.still(v) {
			continue
		}
		if err != nil || found {
			return i, within, c.truncated(fork, err)
		}
		missing := fmt.Errorf("byte %d: %w", off, ErrNotHeld)
		if err := c.fetch(ctx, missing, func(s Source) error { return s.FetchSeek(ctx, within) }); err != nil {
			return 0, 0, err
		}
	}
}

// seek is Seek by stored nodes. Where they do not decide it, within is a byte
// of the files to seek for at a peer, which brings the answer closer.
func (c *Core) seek(v view, off uint64) (i, within uint64, found bool, err error) {
	size := c.plainSize(v.tree.Length, v.size)
	if off == size {
		return v.tree.Length, 0, true, nil
	}
	if off > size {
		return 0, 0, false, fmt.Errorf("byte %d of %d: %w", off, size, ErrPastEnd)
	}
	at, start, found, err := merkle.Find(v.tree, c.files, off, c.padding())
	switch {
	case err != nil:
		return 0, 0, false, err
	case found:
		return at.Index / 2, off - start, true, nil
	case c.padding() == 0:
		return 0, off, false, nil
	}
	lo, _ := merkle.Span(at.Index)
	raw := start + c.padding()*(lo/2)
	if _, _, found, err = merkle.Find(v.tree, c.files, raw, 0); err == nil && found {
		// Nothing is missing: the sizes are not those of encrypted blocks.
		err = fmt.Errorf("byte %d: %w", off, ErrNotEncrypted)
	}
	return 0, raw, false, err
}

// fetches bounds how many blocks one ReadAt asks for at a time.
const fetches = 64

// ReadAt reads bytes of the log, fetching just the blocks that they lie in.
// io.EOF at the end, as with io.ReaderAt; ErrTruncated where the log came to end
// before off while this waited. All bytes are of one fork.
func (c *Core) ReadAt(ctx context.Context, p []byte, off uint64) (int, error) {
	if err := c.AwaitHead(ctx); err != nil {
		return 0, err
	}
	fork := c.Info().Fork
	dropped := 0 // times that the file was found too short
	for {
		v, err := c.look()
		if err != nil {
			return 0, err
		}
		size := c.plainSize(v.tree.Length, v.size)
		if off >= size {
			if v.tree.Fork != fork {
				return 0, fmt.Errorf("byte %d of %d: %w", off, size, ErrTruncated)
			}
			return 0, io.EOF
		}
		n := int(min(uint64(len(p)), size-off))
		if n == 0 {
			return 0, nil
		}
		if err := c.cover(ctx, v, off, uint64(n)); err != nil {
			if errors.Is(err, ErrPastEnd) && !c.still(v) {
				continue
			}
			return 0, err
		}
		if c.padding() == 0 {
			_, err = c.files.ReadBlocks(p[:n], int64(off))
		} else {
			err = c.readPlain(ctx, p[:n], off)
		}
		if !c.still(v) {
			continue
		}
		if err == io.EOF {
			if dropped++; dropped > 2 { // what is stored of the tree tells of bytes that no block has
				return 0, &DamageError{File: "blocks", Offset: off, Reason: fmt.Sprintf("the file ends within the %d bytes of the log", v.size)}
			}
			if err = c.dropBeyond(); err == nil {
				continue
			}
		}
		if err != nil {
			return 0, err
		}
		c.tellRead(v, off, uint64(n))
		if n < len(p) {
			err = io.EOF
		}
		return n, err
	}
}

// readPlain reads bytes of encrypted blocks, which cover brought here.
func (c *Core) readPlain(ctx context.Context, p []byte, off uint64) error {
	i, within, err := c.Seek(ctx, off)
	for ; err == nil && len(p) > 0; i, within = i+1, 0 {
		var block []byte
		if block, err = c.Get(ctx, i); err != nil {
			break
		}
		p = p[copy(p, block[min(within, uint64(len(block))):]):]
	}
	return err
}

// cover fetches what is missing of the blocks that hold the bytes
// [off, off+n), n > 0. It looks again after it fetched something: until a block
// is here, how its bytes and its neighbour's are shared may be a peer's lie
// (merkle.Check), and then others hold these bytes.
func (c *Core) cover(ctx context.Context, v view, off, n uint64) error {
	for again := false; !c.holdsAll(v); again = true {
		first, within, err := c.Seek(ctx, off)
		if err != nil {
			return err
		}
		last := first
		if _, size, err := c.LocalExtent(first); err != nil || n > size-within {
			if last, _, err = c.Seek(ctx, off+n-1); err != nil {
				return err
			}
		}
		if !again {
			c.ahead.read(ctx, c, first, last)
		}
		group, gctx := errgroup.WithContext(ctx)
		group.SetLimit(fetches)
		complete := true
		for i := first; i <= last; i++ {
			if c.Has(i) {
				continue
			}
			complete = false
			group.Go(func() error {
				missing := fmt.Errorf("block %d: %w", i, ErrNotHeld)
				return c.fetch(gctx, missing, func(s Source) error { return s.FetchBlock(gctx, i) })
			})
			if gctx.Err() != nil {
				break // a fetch says why, also where ctx had ended before the first
			}
		}
		if err := group.Wait(); err != nil || complete {
			return err
		}
	}
	return nil
}

// holdsAll reports whether every block of v is held.
func (c *Core) holdsAll(v view) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.bits.contiguous >= v.tree.Length
}
