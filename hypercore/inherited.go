package hypercore

import "multicore/hypercore/merkle"

// inherited reads the stored nodes of a core whose files an earlier process
// wrote. A crash may have kept a node and lost those above it, or the head that
// it came with. Such a node is right, but a block that is proved by it alone
// could not be proved to others, so below t it counts as missing until its path
// is there: each node up to the root, and the sibling of each.
type inherited struct {
	tree  merkle.Tree
	nodes merkle.NodeReader
}

func (i inherited) Node(index uint64) (merkle.Node, bool, error) {
	n, ok, err := i.nodes.Node(index)
	if err != nil || !ok {
		return n, ok, err
	}
	root, ok := rootAbove(i.tree, index)
	if !ok {
		return n, true, nil // of what is not below the tree
	}
	for at := index; at != root.Index; {
		if _, ok, err := i.nodes.Node(merkle.Sibling(at)); err != nil || !ok {
			return merkle.Node{}, false, err
		}
		if at = merkle.Parent(at); at == root.Index {
			break
		}
		if _, ok, err := i.nodes.Node(at); err != nil || !ok {
			return merkle.Node{}, false, err
		}
	}
	return n, true, nil
}

// connected reads stored nodes that lie below t with all above them.
func (c *Core) connected(t merkle.Tree) merkle.NodeReader {
	if !c.inherits {
		return c.files
	}
	return inherited{tree: t, nodes: c.files}
}
