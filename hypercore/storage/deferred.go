package storage

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"multicore/hypercore/merkle"
)

// deferred holds nodes of a core that the next Sync writes: a log that grows
// makes one node in two left of its end, each of which would be a write of its
// own, and they follow from the leaves anyhow.
type deferred struct {
	some  atomic.Bool // spares readers the lock
	mu    sync.RWMutex
	nodes map[uint64]merkle.Node
}

// mostDeferred bounds the nodes kept in memory for one core.
const mostDeferred = 4096

func (c *core) DeferNodes(nodes []merkle.Node) error {
	if len(nodes) == 0 {
		return nil
	}
	if err := checkNodes(nodes); err != nil {
		return err
	}
	d := &c.deferred
	d.mu.Lock()
	if d.nodes == nil {
		d.nodes = make(map[uint64]merkle.Node)
	}
	for _, n := range nodes {
		d.nodes[n.Index] = n
	}
	d.some.Store(true)
	full := len(d.nodes) > mostDeferred
	d.mu.Unlock()
	if full {
		return c.writeDeferred()
	}
	return nil
}

// get gives a node that waits.
func (d *deferred) get(index uint64) (merkle.Node, bool) {
	if !d.some.Load() {
		return merkle.Node{}, false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	n, ok := d.nodes[index]
	return n, ok
}

// end is the index behind the last node that waits.
func (d *deferred) end() (end uint64) {
	if !d.some.Load() {
		return 0
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for index := range d.nodes {
		end = max(end, index+1)
	}
	return end
}

// forget drops the nodes for which gone says so.
func (d *deferred) forget(gone func(index uint64) bool) {
	if !d.some.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.nodes, func(index uint64, _ merkle.Node) bool { return gone(index) })
	d.some.Store(len(d.nodes) > 0)
}

// drop is forget for n nodes.
func (d *deferred) drop(n int, index func(int) uint64) {
	if !d.some.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range n {
		delete(d.nodes, index(i))
	}
	d.some.Store(len(d.nodes) > 0)
}

// writeDeferred writes all that waits; after an error it waits on.
func (c *core) writeDeferred() error {
	if !c.deferred.some.Load() {
		return nil
	}
	c.nodesMu.Lock()
	defer c.nodesMu.Unlock()
	c.deferred.mu.RLock()
	nodes := slices.Collect(maps.Values(c.deferred.nodes))
	c.deferred.mu.RUnlock()
	slices.SortFunc(nodes, func(a, b merkle.Node) int { return cmp.Compare(a.Index, b.Index) })
	if err := c.writeNodes(nodes); err != nil {
		return err
	}
	d := &c.deferred
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range nodes {
		if d.nodes[n.Index] == n { // else it was deferred once more meanwhile
			delete(d.nodes, n.Index)
		}
	}
	d.some.Store(len(d.nodes) > 0)
	return nil
}
