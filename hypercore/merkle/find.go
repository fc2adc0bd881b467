package merkle

import "fmt"

// Missing counts the nodes above node index, itself included, that a requester
// does not hold: the `nodes` field of a request for that node (spec 8.1). For
// block i, index is 2i. It is 0 for what is not in the tree yet.
func Missing(t Tree, nodes NodeReader, index uint64) (uint64, error) {
	var count uint64
	for n := index; inside(n, t.Length); n = Parent(n) {
		_, ok, err := t.lookup(nodes, n)
		if err != nil || ok {
			return count, err
		}
		count++
	}
	return count, nil
}

// ByteOffset is the number of bytes before node index, from stored nodes. The
// index may be that of the next leaf to come, 2*Length. ErrMissingNode
// (MissingNodeError) says what to ask for.
func ByteOffset(t Tree, nodes NodeReader, index uint64) (uint64, error) {
	if index == 2*t.Length {
		return t.ByteLength(), nil
	}
	if !inside(index, t.Length) {
		return 0, fmt.Errorf("%w: node %d is not below length %d", ErrInvalidRequest, index, t.Length)
	}
	var offset uint64
	for _, root := range t.Roots {
		if !contains(root.Index, index) {
			offset += root.Size
			continue
		}
		for n := root.Index; n != index; {
			left, _ := LeftChild(n)
			if index < n {
				n = left
				continue
			}
			size, err := leftSize(t, nodes, n)
			if err != nil {
				return 0, err
			}
			offset += size
			n = Sibling(left)
		}
		break
	}
	return offset, nil
}

// leftSize is the size of the left child of n: stored, or what the right one
// leaves of n.
func leftSize(t Tree, nodes NodeReader, n uint64) (uint64, error) {
	left, _ := LeftChild(n)
	node, ok, err := t.lookup(nodes, left)
	if err != nil || ok {
		return node.Size, err
	}
	right, ok, err := t.lookup(nodes, Sibling(left))
	if err != nil {
		return 0, err
	}
	if ok {
		whole, ok, err := t.lookup(nodes, n)
		if err != nil {
			return 0, err
		}
		if ok && right.Size <= whole.Size {
			return whole.Size - right.Size, nil
		}
	}
	return 0, &MissingNodeError{Index: left}
}

// Find walks to the leaf that holds byte `bytes` as far as stored nodes allow;
// empty blocks hold no byte. Of each block padding bytes do not count, neither
// in bytes nor in offset: those that encryption adds (spec 17), else 0. Where
// found is false, at is the smallest stored subtree known to hold the byte, and
// offset the byte offset of that subtree (what a seek request needs). A byte at
// or beyond the byte length is an ErrInvalidRequest.
func Find(t Tree, nodes NodeReader, bytes, padding uint64) (at Node, offset uint64, found bool, err error) {
	for _, root := range t.Roots {
		size := padded(root, padding)
		if bytes-offset >= size {
			offset += size
			continue
		}
		return findBelow(t, nodes, root, offset, bytes, padding)
	}
	return Node{}, 0, false, fmt.Errorf("%w: byte %d of %d", ErrInvalidRequest, bytes, offset)
}

// padded is the size of a node without the padding of its blocks; 0 where they
// are smaller than that.
func padded(n Node, padding uint64) uint64 {
	if padding == 0 {
		return n.Size
	}
	size, err := unpad(n.Size, Leaves(n.Index), padding)
	if err != nil {
		return 0
	}
	return size
}

// findBelow is Find within node at, which starts at offset and holds the byte.
func findBelow(t Tree, nodes NodeReader, at Node, offset, bytes, padding uint64) (Node, uint64, bool, error) {
	for {
		l, ok := LeftChild(at.Index)
		if !ok {
			return at, offset, true, nil
		}
		left, ok, err := t.lookup(nodes, l)
		if err != nil || !ok {
			return at, offset, false, err
		}
		if bytes-offset < padded(left, padding) {
			at = left
			continue
		}
		right, ok, err := t.lookup(nodes, Sibling(l))
		if err != nil || !ok {
			return at, offset, false, err
		}
		if bytes-offset-padded(left, padding) >= padded(right, padding) {
			// The sizes do not add up: only damage or a peer's lie about how
			// the size of at is shared does this (see Check). A proof of any
			// block below at repairs it.
			return at, offset, false, nil
		}
		offset += padded(left, padding)
		at = right
	}
}
