package merkle

import "fmt"

// NodeReader reads stored nodes. Node reports false where none is stored.
type NodeReader interface {
	Node(index uint64) (Node, bool, error)
}

// Tree is a snapshot of a log's tree: the roots of a length, and its fork. It
// is not changed by anything in this package, so copies may share Roots.
type Tree struct {
	Fork   uint64
	Length uint64 // blocks
	Roots  []Node // the nodes of Chunks(0, Length)
}

// ByteLength is the number of bytes in all blocks.
func (t Tree) ByteLength() uint64 {
	var n uint64
	for _, r := range t.Roots {
		n += r.Size
	}
	return n
}

// Hash is the tree hash: what a signature is about (spec 2, 4).
func (t Tree) Hash() Hash { return TreeHash(t.Roots) }

// root gives the root with that index.
func (t Tree) root(index uint64) (Node, bool) {
	for _, r := range t.Roots {
		if r.Index == index {
			return r, true
		}
	}
	return Node{}, false
}

// lookup reads node index; the roots of t are always there.
func (t Tree) lookup(nodes NodeReader, index uint64) (Node, bool, error) {
	if n, ok := t.root(index); ok {
		return n, true, nil
	}
	n, ok, err := nodes.Node(index)
	if err != nil {
		return Node{}, false, fmt.Errorf("node %d: %w", index, err)
	}
	return n, ok, nil
}

// required is lookup where a node that is not stored is an error.
func (t Tree) required(nodes NodeReader, index uint64) (Node, error) {
	n, ok, err := t.lookup(nodes, index)
	if err == nil && !ok {
		err = &MissingNodeError{Index: index}
	}
	return n, err
}

// growth adds roots to a tree and remembers each node that this makes.
type growth struct {
	roots []Node
	size  uint64 // sum of the sizes of roots
	nodes []Node // new nodes, in the order made
}

func newGrowth(t Tree) growth {
	roots := make([]Node, len(t.Roots), len(t.Roots)+8)
	copy(roots, t.Roots)
	return growth{roots: roots, size: t.ByteLength()}
}

// add appends the next subtree (spec 7).
func (g *growth) add(n Node) error {
	g.nodes = append(g.nodes, n)
	return g.merge(n)
}

// merge is add for a node that is among nodes already: it becomes the last root
// and is joined with those that it makes siblings of.
func (g *growth) merge(n Node) error {
	size, err := addSizes(g.size, n.Size)
	if err != nil {
		return err
	}
	g.size = size
	for len(g.roots) > 0 {
		last := g.roots[len(g.roots)-1]
		if Sibling(n.Index) != last.Index {
			break
		}
		if n, err = ParentNode(last, n); err != nil {
			return err
		}
		g.nodes = append(g.nodes, n)
		g.roots = g.roots[:len(g.roots)-1]
	}
	g.roots = append(g.roots, n)
	return nil
}
