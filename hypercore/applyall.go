package hypercore

import (
	"fmt"
	"sync"

	"multicore/hypercore/merkle"
)

// ApplyAll is Apply for one proof after the other, and gives the error of each.
// Proofs of nothing but blocks are stored many at a time, so that those of one
// frame cost few writes and wake who waits for them once.
func (c *Core) ApplyAll(proofs []*merkle.Proof) []error {
	errs := make([]error, len(proofs))
	defer c.events.deliver()
	for i := 0; i < len(proofs); {
		n, stored := c.applyRun(proofs[i:])
		if stored {
			i += n
			continue
		}
		for range max(n, 1) {
			errs[i] = c.Apply(proofs[i])
			i++
		}
	}
	return errs
}

// applyRun verifies and stores the proofs that list begins with, as far as they
// are of blocks alone and hold, and says how many. Where they were not stored,
// Apply knows what to do.
func (c *Core) applyRun(list []*merkle.Proof) (n int, stored bool) {
	if len(list) < 2 {
		return 0, false
	}
	_, v, err := c.lookHead()
	if err != nil {
		return len(list), false
	}
	r := runs.Get().(*run)
	defer r.release()
	r.stored = c.connected(v.tree)
	for _, p := range list {
		if !r.check(v.tree, p) {
			break
		}
	}
	n = len(r.blocks)
	return n, n > 0 && c.commitRun(v, r)
}

// run gathers what proofs of blocks allow to be stored.
type run struct {
	stored merkle.NodeReader
	blocks []*merkle.BlockProof
	nodes  []merkle.Node  // new ones, the last of each index
	at     map[uint64]int // where in nodes an index is

	from, to []uint64 // stretches of blocks that were not held
	gathered []byte   // small blocks that are to be written at once,
	offset   int64    // there
}

var runs = sync.Pool{New: func() any { return &run{at: make(map[uint64]int)} }}

// release keeps the memory for another run.
func (r *run) release() {
	clear(r.blocks)
	clear(r.at)
	*r = run{
		blocks: r.blocks[:0], nodes: r.nodes[:0], at: r.at,
		from: r.from[:0], to: r.to[:0], gathered: r.gathered[:0],
	}
	runs.Put(r)
}

// Node gives a node as it will be once the run is stored.
func (r *run) Node(index uint64) (merkle.Node, bool, error) {
	if i, ok := r.at[index]; ok {
		return r.nodes[i], true, nil
	}
	return r.stored.Node(index)
}

// check verifies one more proof on top of those before it.
func (r *run) check(t merkle.Tree, p *merkle.Proof) bool {
	if p.Block == nil || p.Hash != nil || p.Seek != nil || p.Upgrade != nil || p.Manifest != nil ||
		p.Fork != t.Fork || len(p.Block.Value) > MaxBlock {
		return false
	}
	change, err := merkle.Check(t, r, p, nil)
	if err != nil {
		return false
	}
	for _, n := range change.Nodes {
		i, ok := r.at[n.Index]
		if !ok {
			i = len(r.nodes)
			r.at[n.Index] = i
			r.nodes = append(r.nodes, merkle.Node{})
		}
		r.nodes[i] = n
	}
	r.blocks = append(r.blocks, p.Block)
	return true
}

// commitRun is commit for a run. It reports whether all of it is stored.
func (c *Core) commitRun(v view, r *run) bool {
	c.write.Lock()
	defer c.write.Unlock()
	if c.own {
		c.committing.Lock() // or a round moves the head
		defer c.committing.Unlock()
	}
	if c.usable() != nil || c.frozen() != nil || c.era != v.era {
		return false
	}
	if c.writeRun(v, r) != nil || c.files.WriteNodes(r.nodes) != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, from := range r.from {
		c.bits.set(from, r.to[i])
		c.events.add(Event{Kind: Stored, From: from, To: r.to[i]})
	}
	if len(r.from) > 0 {
		c.headDirty = true
		c.notify()
		c.flusher.mark(c)
	}
	return true
}

// Blocks up to gatherBelow are copied together, up to gatherMost, since a copy
// costs less than a write.
const (
	gatherBelow = 16 << 10
	gatherMost  = 256 << 10
)

// writeRun writes the blocks that are not held, neighbours at once. c.write is
// held.
func (c *Core) writeRun(v view, r *run) error {
	next, known := uint64(0), uint64(0) // where the block behind the last one begins
	for _, b := range r.blocks {
		if c.bits.has(b.Index) || r.has(b.Index) {
			continue
		}
		off := known
		if next != b.Index || next == 0 {
			var err error
			if off, err = merkle.ByteOffset(v.tree, r, 2*b.Index); err != nil {
				return fmt.Errorf("offset of block %d: %w", b.Index, err)
			}
		}
		next, known = b.Index+1, off+uint64(len(b.Value))
		if err := r.write(c, b.Value, int64(off)); err != nil {
			return err
		}
		if n := len(r.to); n > 0 && r.to[n-1] == b.Index {
			r.to[n-1]++
		} else {
			r.from, r.to = append(r.from, b.Index), append(r.to, b.Index+1)
		}
	}
	return r.flush(c)
}

// has says whether a block of the run was taken already.
func (r *run) has(block uint64) bool {
	for i, from := range r.from {
		if from <= block && block < r.to[i] {
			return true
		}
	}
	return false
}

// write writes a block, or gathers it with those before it.
func (r *run) write(c *Core, value []byte, off int64) error {
	if len(r.gathered) > 0 && (off != r.offset+int64(len(r.gathered)) || len(r.gathered)+len(value) > gatherMost) {
		if err := r.flush(c); err != nil {
			return err
		}
	}
	if len(value) >= gatherBelow {
		if err := r.flush(c); err != nil {
			return err
		}
		return c.files.WriteBlocks(value, off)
	}
	if len(r.gathered) == 0 {
		r.offset = off
	}
	r.gathered = append(r.gathered, value...)
	return nil
}

// flush writes what was gathered.
func (r *run) flush(c *Core) error {
	err := c.files.WriteBlocks(r.gathered, r.offset)
	r.gathered = r.gathered[:0]
	return err
}
