package hypercore

import "sync"

// The offset of a block takes a node of each level of the tree above it. Where
// the stretch around it begins is remembered, so that the next read there takes
// few nodes, which lie side by side in the file. As with the cursor, only what
// follows from a block that is held goes in.
const (
	baseLevels = 6 // a stretch is 64 blocks, whose nodes the node cache keeps together
	mostBases  = 1 << 12
)

// bases remembers where stretches begin, each in the one place where it may be.
type bases struct {
	mu   sync.Mutex
	era  uint64
	list []base // as many as a power of two
}

type base struct{ stretch, offset uint64 } // stretch counts from 1; 0: empty

func (b *bases) get(era, i uint64) (offset uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) == 0 || b.era != era {
		return 0, false
	}
	at := b.list[i>>baseLevels&uint64(len(b.list)-1)]
	return at.offset, at.stretch == i>>baseLevels+1
}

// put notes where the stretch of block i of a log of that length begins.
func (b *bases) put(era, i, length, offset uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := max(len(b.list), 1)
	for size < mostBases && uint64(size)<<baseLevels < length {
		size *= 2
	}
	if b.era != era || len(b.list) != size {
		b.era, b.list = era, make([]base, size)
	}
	b.list[i>>baseLevels&uint64(size-1)] = base{i>>baseLevels + 1, offset}
}

// within is how many bytes of its stretch lie before block i, by stored nodes.
// ok is false where one is not stored.
func (c *Core) within(v view, i uint64) (size uint64, ok bool, err error) {
	for level := range baseLevels {
		if i>>level&1 == 0 {
			continue
		}
		// The node to the left, of 1<<level blocks.
		n, ok, err := node(v.tree, c.files, (i>>level-1)<<(level+1)|(1<<level-1))
		if err != nil || !ok {
			return 0, false, err
		}
		size += n.Size
	}
	return size, true, nil
}

// remember notes what follows from the offset of block i, which is held.
func (c *Core) remember(v view, i, off uint64) {
	if _, ok := c.bases.get(v.era, i); ok {
		return
	}
	if size, ok, err := c.within(v, i); ok && err == nil && size <= off {
		c.bases.put(v.era, i, v.tree.Length, off-size)
	}
}
