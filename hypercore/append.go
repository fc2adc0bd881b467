package hypercore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"multicore/hypercore/merkle"
)

// Batch is blocks for one core.
type Batch struct {
	Core   *Core
	Blocks [][]byte
}

// Append adds blocks and gives the index of the first. All of them are readable
// here when it returns and survive the end of the process (Flush: the power), or
// none is there and the error says why, with the errno in its chain where the
// disk refused. A full disk leaves the core usable. The blocks may be reused
// afterwards.
func (c *Core) Append(ctx context.Context, blocks ...[]byte) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer c.events.deliver()
	c.write.Lock()
	defer c.write.Unlock()
	a := appendings.Get().(*appending)
	defer a.reuse()
	a.core, a.blocks = c, blocks
	if err := a.plan(); err != nil {
		return 0, err
	}
	if len(blocks) == 0 {
		return a.from.Length, nil
	}
	if err := a.store(); err != nil {
		return 0, undo([]*appending{a}, err)
	}
	if c.lent == 0 {
		a.publish()
		return a.from.Length, nil
	}
	if err := show([]*appending{a}); err != nil {
		return 0, err
	}
	return a.from.Length, nil
}

// Barrier returns once every append, and every other change of the log, that was
// under way at the call has ended. Where the disk hangs, so does Barrier.
func (c *Core) Barrier() {
	c.write.Lock()
	defer c.write.Unlock()
}

// AppendAll appends to several cores of one Flusher, wholly or not at all, as
// Append does for one. Batches of the same core are joined in order.
func AppendAll(ctx context.Context, batches []Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	all, err := join(batches)
	if err != nil {
		return err
	}
	for _, a := range all {
		defer a.core.events.deliver()
	}
	for _, a := range all {
		a.core.write.Lock()
		defer a.core.write.Unlock()
	}
	for _, a := range all {
		if err := a.plan(); err != nil {
			return err
		}
	}
	for i, a := range all {
		if err := a.store(); err != nil {
			return undo(all[:i+1], err)
		}
	}
	return show(all)
}

// join gives one appending for each core that gets blocks, in the order in
// which their locks are taken.
func join(batches []Batch) ([]*appending, error) {
	var all []*appending
	for _, b := range batches {
		if len(b.Blocks) == 0 {
			continue
		}
		if b.Core.flusher != batches[0].Core.flusher {
			return nil, errors.New("batches are for cores of different stores")
		}
		i := slices.IndexFunc(all, func(a *appending) bool { return a.core == b.Core })
		if i < 0 {
			all = append(all, &appending{core: b.Core, blocks: b.Blocks})
			continue
		}
		all[i].blocks = append(slices.Clip(all[i].blocks), b.Blocks...)
	}
	slices.SortFunc(all, func(a, b *appending) int { return bytes.Compare(a.core.id[:], b.core.id[:]) })
	return all, nil
}

// appending is a batch on its way into one core, whose write lock is held.
type appending struct {
	core   *Core
	blocks [][]byte
	from   merkle.Tree // before
	size   uint64      // its byte length
	batch  merkle.Batch
}

// appendings are reused: one of a few blocks is over in microseconds.
var appendings = sync.Pool{New: func() any { return new(appending) }}

// mostReused bounds the nodes that a reused batch keeps.
const mostReused = 4096

func (a *appending) reuse() {
	a.core, a.blocks, a.from = nil, nil, merkle.Tree{}
	if len(a.batch.Nodes()) <= mostReused {
		appendings.Put(a)
	}
}

// plan checks the blocks and computes the nodes.
func (a *appending) plan() error {
	c := a.core
	if c.pair == nil {
		return ErrReadOnly
	}
	if err := c.usable(); err != nil {
		return err
	}
	if err := c.frozen(); err != nil {
		return err
	}
	a.from, a.size = c.tree, c.size // they change under the write lock alone
	a.batch.Reset(a.from)
	if c.encrypted {
		if err := a.encrypt(); err != nil {
			return err
		}
	}
	for _, b := range a.blocks {
		if len(b) > MaxBlock {
			return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(b), MaxBlock)
		}
	}
	return a.batch.AppendAll(a.blocks)
}

// encrypt puts the stored form of the blocks in their place.
func (a *appending) encrypt() error {
	k := a.core.cipher()
	if k == nil {
		return ErrEncrypted
	}
	stored := make([][]byte, len(a.blocks))
	for i, b := range a.blocks {
		if len(b) > MaxBlock-blockPadding {
			return fmt.Errorf("%w: %d bytes, at most %d with encryption", ErrTooLarge, len(b), MaxBlock-blockPadding)
		}
		stored[i] = k.encrypt(a.from.Length+uint64(i), a.from.Fork, b)
	}
	a.blocks = stored
	return nil
}

// store writes the blocks, then the nodes. Nobody reads them before publish. Of
// the nodes, those left of the new leaves wait for the flush: recovery makes
// them from the leaves. Into a file that is lent the blocks come later (show).
func (a *appending) store() error {
	var err error
	if a.core.lent > 0 {
		err = a.core.reserve(a.batch.ByteLength())
	} else {
		err = a.core.writeBlocks(a.size, a.blocks)
	}
	if err != nil {
		return err
	}
	nodes := a.batch.Nodes()
	slices.SortFunc(nodes, func(a, b merkle.Node) int { return cmp.Compare(a.Index, b.Index) })
	// A parent right before the first leaf is written in one go with it.
	first := max(2*a.from.Length, 1) - 1
	left, _ := slices.BinarySearchFunc(nodes, first, func(n merkle.Node, at uint64) int { return cmp.Compare(n.Index, at) })
	if err := a.core.files.DeferNodes(nodes[:left]); err != nil {
		return err
	}
	return a.core.files.WriteNodes(nodes[left:])
}

// publish makes the blocks readable here and has them flushed.
func (a *appending) publish() {
	c := a.core
	tree := a.batch.Tree()
	now := time.Now()
	c.mu.Lock()
	c.tree, c.size, c.grown = tree, a.batch.ByteLength(), now
	c.bits.set(a.from.Length, tree.Length)
	c.headDirty = true
	c.events.add(Event{Kind: Appended, From: a.from.Length, To: tree.Length})
	c.notify()
	c.mu.Unlock()
	c.flusher.counters.blocks.Add(tree.Length - a.from.Length)
	c.flusher.counters.bytes.Add(a.batch.ByteLength() - a.size)
	c.flusher.mark(c)
}

// undo cuts what a failed batch may have written in each core, and gives the
// error of the batch. Where that fails too the core has failed: only opening it
// anew can say what is in its files.
func undo(all []*appending, cause error) error {
	for _, a := range all {
		if err := a.core.cutFiles(a.from.Length, a.size); err != nil {
			cause = errors.Join(cause, a.core.fail(fmt.Errorf("undo a failed append: %w", err)))
		}
	}
	return fmt.Errorf("append: %w", cause)
}

// cutFiles drops what lies beyond a length, with the nodes that span it, and
// syncs: leaf hashes bind no position, so what is left over would look right
// beside the next blocks (invariant 5).
func (c *Core) cutFiles(length, size uint64) error {
	c.reserved = 0
	if err := c.files.Cut(int64(size), firstBeyond(length)); err != nil {
		return err
	}
	if err := c.files.EraseNodes(spanning(length)); err != nil {
		return err
	}
	return c.files.Sync()
}

// firstBeyond is the lowest index from which on no node is below length.
func firstBeyond(length uint64) uint64 {
	if length == 0 {
		return 0
	}
	return 2*length - 1
}

// spanning gives the nodes before firstBeyond that have leaves on both sides of
// length: the ancestors of the last leaf that reach beyond it.
func spanning(length uint64) []uint64 {
	if length == 0 {
		return nil
	}
	var list []uint64
	for n := 2 * (length - 1); ; n = merkle.Parent(n) {
		lo, hi := merkle.Span(n)
		if hi < 2*length {
			continue
		}
		if n < firstBeyond(length) {
			list = append(list, n)
		}
		if lo == 0 {
			return list
		}
	}
}

// gather bounds the bytes of one write of several blocks.
const gather = 1 << 20

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// writeBlocks writes adjacent blocks, in one write where they are small.
func (c *Core) writeBlocks(off uint64, blocks [][]byte) error {
	if len(blocks) == 1 {
		return c.files.WriteBlocks(blocks[0], int64(off))
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for len(blocks) > 0 {
		*buf = append((*buf)[:0], blocks[0]...)
		blocks = blocks[1:]
		for len(blocks) > 0 && len(*buf)+len(blocks[0]) <= gather {
			*buf = append(*buf, blocks[0]...)
			blocks = blocks[1:]
		}
		if err := c.files.WriteBlocks(*buf, int64(off)); err != nil {
			return err
		}
		off += uint64(len(*buf))
	}
	return nil
}
