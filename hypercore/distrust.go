package hypercore

import (
	"errors"
	"fmt"

	"multicore/hypercore/merkle"
)

// refuse says who is to blame for a proof that did not verify: the peer, unless
// our state moved on meanwhile or a node of ours contradicts its parents. Such a
// node is erased, so that it is asked for again.
func (c *Core) refuse(v view, p *merkle.Proof, cause error) error {
	if !errors.Is(cause, ErrBadProof) {
		return cause
	}
	c.write.Lock()
	defer c.write.Unlock()
	if _, now, err := c.lookHead(); err != nil || now.era != v.era || now.tree.Length != v.tree.Length {
		return fmt.Errorf("%w: %w", ErrStale, errors.New(cause.Error()))
	}
	for _, index := range subjects(p) {
		erased, err := c.distrust(v.tree, index)
		if err != nil {
			return err
		}
		if erased {
			return fmt.Errorf("%w: a stored node was damaged", ErrStale)
		}
	}
	return cause
}

// subjects are the nodes that a proof is about.
func subjects(p *merkle.Proof) []uint64 {
	var list []uint64
	if p.Block != nil {
		list = append(list, 2*min(p.Block.Index, merkle.MaxLength))
	}
	for _, nodes := range [][]merkle.Node{hashNodes(p), seekNodes(p)} {
		if len(nodes) > 0 {
			list = append(list, nodes[0].Index)
		}
	}
	return list
}

// distrust walks from the root above a node down to it and erases what is
// stored where two children do not confirm their parent, with all below on that
// path: nodes are stored as pairs below a stored parent, so a whole tree loses
// nothing. It reports whether something was erased. c.write is held.
func (c *Core) distrust(t merkle.Tree, index uint64) (erased bool, err error) {
	at, ok := rootAbove(t, index)
	if !ok {
		return false, nil
	}
	var doubtful []uint64
	trusted := true
	for at.Index != index {
		l, ok := merkle.LeftChild(at.Index)
		if !ok {
			return false, nil
		}
		left, okLeft, err := c.files.Node(l)
		if err != nil {
			return false, err
		}
		right, okRight, err := c.files.Node(merkle.Sibling(l))
		if err != nil {
			return false, err
		}
		if trusted {
			parent, err := merkle.ParentNode(left, right)
			trusted = okLeft && okRight && err == nil && parent.Hash == at.Hash
		}
		if !trusted {
			if okLeft {
				doubtful = append(doubtful, l)
			}
			if okRight {
				doubtful = append(doubtful, merkle.Sibling(l))
			}
		}
		at = left
		if at.Index = l; index > merkle.Parent(l) {
			at = right
			at.Index = merkle.Sibling(l)
		}
	}
	if len(doubtful) == 0 {
		return false, nil
	}
	given := index%2 == 0 && c.Has(index/2)
	if err := c.eraseDoubtful(doubtful); err != nil || given {
		return true, err
	}
	// Nobody would fetch what was erased. A block that is given up with its whole
	// path brings it back.
	top, _ := rootAbove(t, index)
	for n := index; ; n = merkle.Parent(n) {
		lo, hi := merkle.Span(n)
		if i, ok := c.bits.next(lo / 2); ok && i <= hi/2 {
			_, err := c.distrust(t, 2*i)
			return true, err
		}
		if n == top.Index {
			return true, nil
		}
	}
}

// rootAbove is the root of t that has node index below it.
func rootAbove(t merkle.Tree, index uint64) (merkle.Node, bool) {
	for _, r := range t.Roots {
		if lo, hi := merkle.Span(r.Index); lo <= index && index <= hi {
			return r, true
		}
	}
	return merkle.Node{}, false
}

// eraseDoubtful erases nodes and gives up the blocks whose leaves they are.
func (c *Core) eraseDoubtful(indexes []uint64) error {
	c.log.Warn("stored nodes contradict their parents and will be fetched again", "core", c.id.String(), "nodes", indexes)
	c.flusher.counters.damaged.Add(uint64(len(indexes)))
	if err := c.files.EraseNodes(indexes); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erased++
	for _, index := range indexes {
		if block := index / 2; index%2 == 0 && c.bits.has(block) {
			c.bits.clear(block, block+1)
			c.headDirty = true
			c.events.add(Event{Kind: Damaged, From: block, To: block + 1})
		}
	}
	if c.headDirty {
		c.notify()
		c.flusher.mark(c)
	}
	return nil
}
