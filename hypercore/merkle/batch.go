package merkle

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
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
	b := new(Batch)
	b.Reset(t)
	return b
}

// Reset starts anew at t, which stays as it is.
func (b *Batch) Reset(t Tree) {
	b.fork, b.length = t.Fork, t.Length
	b.growth = growth{
		roots: append(slices.Grow(b.growth.roots[:0], len(t.Roots)+2), t.Roots...),
		size:  t.ByteLength(),
		nodes: b.growth.nodes[:0],
	}
}

// Append adds one block. After an error, which means that the log cannot grow
// further, the batch is of no use.
func (b *Batch) Append(block []byte) error {
	if b.length >= MaxLength {
		return fmt.Errorf("log has its largest length of %d blocks", uint64(MaxLength))
	}
	return b.addLeaf(Leaf(b.length, block))
}

func (b *Batch) addLeaf(leaf Node) error {
	if err := b.growth.add(leaf); err != nil {
		return err
	}
	b.length++
	return nil
}

// hashAlone is how many bytes one goroutine hashes before another is worth it.
const hashAlone = 64 << 10

// AppendAll adds blocks as Append does, and hashes many bytes on all processors.
func (b *Batch) AppendAll(blocks [][]byte) error {
	if uint64(len(blocks)) > MaxLength-b.length {
		return fmt.Errorf("%d blocks are too many for a log of length %d", len(blocks), b.length)
	}
	var bytes int
	for _, block := range blocks {
		bytes += len(block)
	}
	b.growth.nodes = slices.Grow(b.growth.nodes, 2*len(blocks)+2)
	workers := min(runtime.GOMAXPROCS(0), len(blocks), bytes/hashAlone)
	if workers < 2 {
		for _, block := range blocks {
			if err := b.Append(block); err != nil {
				return err
			}
		}
		return nil
	}
	leaves := make([]Node, len(blocks))
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			const share = 16 // blocks taken at a time
			for {
				from := int(next.Add(share)) - share
				if from >= len(blocks) {
					return
				}
				for i := from; i < min(from+share, len(blocks)); i++ {
					leaves[i] = Leaf(b.length+uint64(i), blocks[i])
				}
			}
		})
	}
	group.Wait()
	for _, leaf := range leaves {
		if err := b.addLeaf(leaf); err != nil {
			return err
		}
	}
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
