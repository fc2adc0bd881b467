package hypercore

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// Truncate drops the blocks from length on, of an own core, and raises its fork
// by one (spec 9). What it leaves is signed and on the disk when it returns, and
// peers see nothing of it before. At the length that the core has it does
// nothing.
//
// ErrReadOnly, ErrHeld, ErrConflict; ErrPastEnd beyond the length; ErrNotHeld
// where nodes that the shorter tree needs were never fetched. After ErrFailed
// the core is at the new length once it was opened anew, if the head got to the
// disk, else at the old one.
//
// The steps, each on the disk before the next: what stays; a head with a cut
// mark; the files cut, with the nodes that span the cut; the head without the
// mark. Opening goes on where it finds the mark, and nothing is appended before
// it is gone.
func (c *Core) Truncate(ctx context.Context, length uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer c.events.deliver()
	c.write.Lock()
	defer c.write.Unlock()
	c.committing.Lock()
	defer c.committing.Unlock()
	if err := c.mayTruncate(length); err != nil {
		return fmt.Errorf("truncate to %d: %w", length, err)
	}
	if length == c.tree.Length {
		return nil
	}
	if err := c.truncate(length); err != nil {
		return fmt.Errorf("truncate to %d: %w", length, err)
	}
	return nil
}

// mayTruncate says what is against it. c.write is held.
func (c *Core) mayTruncate(length uint64) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	switch {
	case c.pair == nil:
		return ErrReadOnly
	case c.usableLocked() != nil:
		return c.usableLocked()
	case c.conflict != nil:
		return ErrConflict
	case c.held || c.settling:
		return ErrHeld
	case length > c.tree.Length:
		return fmt.Errorf("%w: length %d", ErrPastEnd, c.tree.Length)
	}
	return nil
}

// truncate is Truncate to a lower length. c.write and c.committing are held.
func (c *Core) truncate(length uint64) error {
	tree, err := c.shorter(length)
	if err != nil {
		return err
	}
	signature, err := c.pair.Sign(c.manifest, tree)
	if err == nil {
		err = c.manifest.Verify(tree, signature) // a prologue has no other trees
	}
	if err != nil {
		return err
	}
	if err := c.files.Sync(); err != nil {
		if isFull(err) {
			return err
		}
		return c.fail(err)
	}

	c.mu.Lock()
	bits := c.bits.clone()
	info := c.record().append(nil)
	c.mu.Unlock()
	bits.clear(length, merkle.MaxLength)
	pages := bits.takeChanged()
	record := headRecord{fork: tree.Fork, tree: recordTree(tree), signature: signature,
		contiguous: bits.contiguous, grown: time.Now(), cut: true}
	if err := c.flusher.store.Update(func(tx storage.Tx) error { return putRecords(tx, c.id, info, &record, pages) }); err != nil {
		if isFull(err) {
			return err
		}
		return c.fail(err)
	}

	c.mu.Lock()
	old := c.tree.Length
	c.era++
	c.cuts.add(tree.Fork, length, tree.ByteLength())
	c.tree, c.head, c.size, c.signature = tree, tree, tree.ByteLength(), signature
	c.durable, c.stored, c.grown, c.bits = length, length, record.grown, bits
	c.recorded, c.headDirty, c.infoDirty = true, false, false
	c.events.add(Event{Kind: Truncated, From: length, To: old})
	c.notify()
	c.mu.Unlock()

	if err := c.cutFiles(length, tree.ByteLength()); err != nil {
		return c.fail(err)
	}
	record.cut = false
	if err := c.flusher.store.Update(func(tx storage.Tx) error { return putRecords(tx, c.id, nil, &record, nil) }); err != nil {
		return c.fail(err)
	}
	return nil
}

// Kept says what became of a log that Info showed with that fork: the fork that it
// has now, and how many leading blocks stayed since, as far as the core can tell
// (it may be fewer than there are, where blocks were not held). The fork that it
// has: all blocks.
func (c *Core) Kept(since uint64) (fork, length uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, x := range c.cuts.list {
		if x.fork > since {
			return c.tree.Fork, x.length
		}
	}
	return c.tree.Fork, c.tree.Length
}

// shorter is the tree of a lower length, in the next fork.
func (c *Core) shorter(length uint64) (merkle.Tree, error) {
	tree := merkle.Tree{Fork: c.head.Fork + 1, Length: length}
	var err error
	if tree.Roots, err = c.roots(c.tree, length); err != nil {
		return merkle.Tree{}, err
	}
	return tree, nil
}

// roots reads the roots that t had at a lower length.
func (c *Core) roots(t merkle.Tree, length uint64) ([]merkle.Node, error) {
	var roots []merkle.Node
	for _, index := range merkle.Chunks(0, length) {
		n, ok, err := node(t, c.files, index)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("%w: %w", ErrNotHeld, &merkle.MissingNodeError{Index: index})
		}
		roots = append(roots, n)
	}
	return roots, nil
}

// isFull says whether a commit failed for want of space alone, and left the
// records as they were.
func isFull(err error) bool {
	return (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) && !errors.Is(err, storage.ErrFailed)
}

// truncated says that a reader met the end of the log because the log became
// shorter, which from, the fork that it began in, tells.
func (c *Core) truncated(from uint64, err error) error {
	if errors.Is(err, ErrPastEnd) && c.Info().Fork != from {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return err
}
