package hypercore

import (
	"errors"
	"fmt"
	"sync"

	"multicore/hypercore/merkle"
)

// view is what a reader works on: a state that stays true as long as the era
// does.
type view struct {
	tree merkle.Tree
	size uint64
	era  uint64
}

// look takes a view, or gives why the core is not usable.
func (c *Core) look() (view, error) {
	c.rest()
	defer c.mu.RUnlock()
	return view{tree: c.tree, size: c.size, era: c.era}, c.usableLocked()
}

// rest takes c.mu for reading while nothing is being moved.
func (c *Core) rest() {
	c.mu.RLock()
	for c.moving != nil {
		moved := c.moving
		c.mu.RUnlock()
		<-moved
		c.mu.RLock()
	}
}

// still reports whether what was read under v may be believed.
func (c *Core) still(v view) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.era == v.era
}

// cursor remembers where the block behind the last one read begins, so that
// reading in order needs one node a block. Only what follows from a block that
// is held goes in: of others a peer may have lied about the size (merkle.Check).
type cursor struct {
	mu                 sync.Mutex
	era, index, offset uint64
}

func (k *cursor) get(era, index uint64) (uint64, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.offset, index != 0 && k.index == index && k.era == era
}

func (k *cursor) put(era, index, offset uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.era, k.index, k.offset = era, index, offset
}

// extent finds block i, which is below the length of v, by stored nodes.
// *merkle.MissingNodeError where one is not here.
func (c *Core) extent(v view, i uint64) (off, size uint64, err error) {
	leaf, ok, err := node(v.tree, c.files, 2*i)
	if err != nil {
		return 0, 0, err
	}
	if !ok {
		return 0, 0, &merkle.MissingNodeError{Index: 2 * i}
	}
	off, ok = c.cursor.get(v.era, i)
	if !ok {
		if off, err = c.offset(v, i); err != nil {
			return 0, 0, err
		}
	}
	if off > v.size || leaf.Size > v.size-off {
		return 0, 0, &DamageError{File: "tree", Offset: 2 * i * treeNodeBytes,
			Reason: fmt.Sprintf("block %d ends beyond the %d bytes of the log", i, v.size)}
	}
	return off, leaf.Size, nil
}

// offset is the byte offset of block i.
func (c *Core) offset(v view, i uint64) (uint64, error) {
	if base, ok := c.bases.get(v.era, i); ok {
		if size, ok, err := c.within(v, i); ok || err != nil {
			return base + size, err
		}
	}
	return merkle.ByteOffset(v.tree, c.files, 2*i)
}

// node reads a node where it is stored; roots always are.
func node(t merkle.Tree, nodes merkle.NodeReader, index uint64) (merkle.Node, bool, error) {
	for _, r := range t.Roots {
		if r.Index == index {
			return r, true, nil
		}
	}
	return nodes.Node(index)
}

// LocalExtent is the byte offset and the size of block i by what is stored here,
// which may know it without holding the block. ErrNotHeld where it does not,
// ErrPastEnd. No peer is asked.
func (c *Core) LocalExtent(i uint64) (off, size uint64, err error) {
	for {
		v, err := c.look()
		if err != nil {
			return 0, 0, err
		}
		if i >= v.tree.Length {
			return 0, 0, fmt.Errorf("block %d of %d: %w", i, v.tree.Length, ErrPastEnd)
		}
		off, size, err := c.extent(v, i)
		if !c.still(v) {
			continue
		}
		if errors.Is(err, merkle.ErrMissingNode) {
			err = fmt.Errorf("extent of block %d: %w: %w", i, ErrNotHeld, err)
		}
		return c.plainSize(i, off), c.plainSize(1, size), err
	}
}
