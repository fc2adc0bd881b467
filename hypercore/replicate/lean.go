package replicate

import (
	"sync"

	"multicore/hypercore/merkle"
)

// leanBelow is the size of blocks, about, up to which a download asks for fewer
// nodes. Proofs of larger ones are little next to them, and more would be lost
// where the answers come in another order.
const leanBelow = 4 << 10

// coming are the nodes of the tree that downloads under way on a channel will
// bring. A request sent after those leans on them: it asks only for the part of
// its path below a node that is coming, as if that was stored. Where the answers
// come in the order of the requests, each node crosses once.
//
// Where they do not, or one fails, the proofs that lean on it end at a node that
// is not stored: nothing of them is stored, the blocks are asked for again, and
// leaning ends for that channel.
//
// It has a lock of its own because the sender completes requests outside of the
// machine.
type coming struct {
	mu  sync.Mutex
	by  map[uint64]*request // by node
	off bool
}

// lean gives how many of the nodes above its block r is to ask for, of those
// that are not stored.
func (c *coming) lean(r *request, nodes uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off || r.ended {
		return nodes
	}
	if c.by == nil {
		c.by = make(map[uint64]*request)
	}
	n := 2 * r.index
	for level := range nodes {
		if c.by[n] != nil {
			r.leans = true
			return level
		}
		for _, x := range [2]uint64{n, merkle.Sibling(n)} {
			if c.by[x] == nil {
				c.by[x] = r
				r.brings = append(r.brings, x)
			}
		}
		n = merkle.Parent(n)
	}
	return nodes
}

// end forgets what r was to bring: it is stored now, or will not come.
func (c *coming) end(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.ended = true
	for _, x := range r.brings {
		delete(c.by, x)
	}
	r.brings = nil
	if len(c.by) == 0 {
		c.by = nil
	}
}

// fell says whether r leaned on a node that did not come, and ends leaning.
func (c *coming) fell(r *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = c.off || r.leans
	return r.leans
}
