package merkle

import (
	"fmt"
	"slices"
)

// Batch grows a tree by blocks without touching storage. It is for one
// goroutine at a time.
type Batch struct {
	fork   uint64
	length uint64
	growth growth
}

// NewBatch starts at t, which stays as it is.
func NewBatch(t Tree) *Batch {
	return &Batch{fork: t.Fork, length: t.Length, growth: newGrowth(t)}
}

// Grow makes room for the nodes of that many blocks.
func (b *Batch) Grow(blocks int) { b.growth.nodes = slices.Grow(b.growth.nodes, 2*blocks+2) }

// Append adds one block. After an error, which means that the log cannot grow
// further, the batch is of no use.
func (b *Batch) Append(block []byte) error {
	if b.length >= MaxLength {
		return fmt.Errorf("log has its largest length of %d blocks", uint64(MaxLength))
	}
	if err := b.growth.add(Leaf(b.length, block)); err != nil {
		return err
	}
	b.length++
	return nil
}

// Nodes are the new nodes in the order made. They are valid until the next
// Append.
func (b *Batch) Nodes() []Node { return b.growth.nodes }

// Length is the length reached so far.
func (b *Batch) Length() uint64 { return b.length }

// ByteLength is the byte length reached so far.
func (b *Batch) ByteLength() uint64 { return b.growth.size }

// Tree is the tree reached so far. It does not change with further appends.
func (b *Batch) Tree() Tree {
	return Tree{Fork: b.fork, Length: b.length, Roots: slices.Clone(b.growth.roots)}
}
