package storage

import (
	"io"
	"sync"

	"multicore/hypercore/merkle"
)

// The node cache keeps stretches of tree files as the files have them: whoever
// verifies or proves blocks in order needs the same nodes again and again.
//
// A stretch has one slot where it may lie, so the memory is bounded and there
// is nothing to evict. A slot's lock is held while it is filled from the file,
// and a write changes the slot after the file: whatever the order, the slot ends
// up with what the file has.
//
// The last node of a stretch is the ancestor of all others that a path comes
// through, and those above it are the last of other stretches. They are kept one
// by one: who reads a large log here and there needs few of them often, and
// nothing else of their stretches.
const (
	cacheNodes = 128  // nodes of a stretch
	cacheSlots = 4096 // 20 MiB if all are in use
	cacheBytes = cacheNodes * nodeSize

	cacheAncestors = 1 << 14 // 1.5 MiB

	// A store in memory has files that are as fast as the cache.
	memorySlots     = 64
	memoryAncestors = 256
)

type nodeCache struct {
	slots     []nodeSlot
	ancestors []ancestorSlot
}

func newNodeCache(slots, ancestors int) nodeCache {
	return nodeCache{slots: make([]nodeSlot, slots), ancestors: make([]ancestorSlot, ancestors)}
}

type nodeSlot struct {
	mu   sync.Mutex
	core *core // nil: empty
	at   uint64
	data *[cacheBytes]byte
	node [nodeSize]byte // the one that is being read
}

type ancestorSlot struct {
	mu     sync.Mutex
	core   *core  // nil: empty
	drops  uint64 // core.drops when it was filled
	node   merkle.Node
	stored bool
}

func isAncestor(index uint64) bool { return index%cacheNodes == cacheNodes-1 }

// ancestor is where such a node may lie.
func (n *nodeCache) ancestor(c *core, index uint64) *ancestorSlot {
	return &n.ancestors[(index/cacheNodes*0x9E3779B97F4A7C15>>50+c.salt)%uint64(len(n.ancestors))]
}

// readAncestor is read for the last node of a stretch.
func (n *nodeCache) readAncestor(c *core, index uint64) (merkle.Node, bool, error) {
	s := n.ancestor(c, index)
	s.mu.Lock()
	defer s.mu.Unlock()
	drops := c.drops.Load() // before the file is read: see drop
	if s.core == c && s.drops == drops && s.node.Index == index && c.failed.Load() == nil {
		if !s.stored {
			return merkle.Node{}, false, nil
		}
		return s.node, true, nil
	}
	s.core = nil
	buf := nodeBuffer(nodeSize)
	defer nodeBuffers.Put(buf)
	got, err := c.tree.readAt(*buf, int64(index)*nodeSize)
	if err != nil && err != io.EOF {
		return merkle.Node{}, false, err
	}
	s.node, s.stored = merkle.Node{}, false
	if got == nodeSize {
		s.node, s.stored = getNode(*buf, index)
	}
	node := s.node
	s.core, s.drops, s.node.Index = c, drops, index
	return node, s.stored, nil
}

// slot is where the stretch `at` of a core may lie.
func (n *nodeCache) slot(c *core, at uint64) *nodeSlot {
	return &n.slots[(at*0x9E3779B97F4A7C15>>52+c.salt)%uint64(len(n.slots))]
}

// read gives node index of a core.
func (n *nodeCache) read(c *core, index uint64) (merkle.Node, bool, error) {
	if isAncestor(index) {
		return n.readAncestor(c, index)
	}
	at := index / cacheNodes
	s := n.slot(c, at)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.core != c || s.at != at || c.failed.Load() != nil { // after a failed sync only the disk counts
		s.core = nil
		if !c.cached.Load() {
			c.cached.Store(true) // before the file is read: see drop
		}
		if s.data == nil {
			s.data = new([cacheBytes]byte)
		}
		got, err := c.tree.readAt(s.data[:], int64(at)*cacheBytes)
		if err != nil && err != io.EOF {
			return merkle.Node{}, false, err
		}
		clear(s.data[got/nodeSize*nodeSize:]) // a node that the file ends in is none
		s.core, s.at = c, at
	}
	copy(s.node[:], s.data[index%cacheNodes*nodeSize:])
	node, ok := getNode(s.node[:], index)
	return node, ok, nil
}

// wrote takes over what was written at node index. failed: nobody knows what is
// there now.
func (n *nodeCache) wrote(c *core, b []byte, index uint64, failed bool) {
	for len(b) > 0 {
		at, off := index/cacheNodes, index%cacheNodes*nodeSize
		size := min(uint64(len(b)), cacheBytes-off)
		s := n.slot(c, at)
		s.mu.Lock()
		if s.core == c && s.at == at {
			copy(s.data[off:], b[:size])
			if failed {
				s.core = nil
			}
		}
		s.mu.Unlock()
		if last := at*cacheNodes + cacheNodes - 1; last < index+size/nodeSize {
			a := n.ancestor(c, last)
			a.mu.Lock()
			if a.core == c && a.node.Index == last {
				a.core = nil // it is read again, if at all
			}
			a.mu.Unlock()
		}
		b = b[size:]
		index += size / nodeSize
	}
}

// drop forgets all of a core, after its file was changed in another way. Who
// fills a slot without being seen here reads the file after that change.
func (n *nodeCache) drop(c *core) {
	c.drops.Add(1)
	if !c.cached.Swap(false) {
		return
	}
	for i := range n.slots {
		s := &n.slots[i]
		s.mu.Lock()
		if s.core == c {
			s.core = nil
		}
		s.mu.Unlock()
	}
}
