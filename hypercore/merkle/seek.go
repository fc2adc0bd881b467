package merkle

import (
	"fmt"
	"math/bits"
)

// seekBelow finds where a seek ends within node top.
func (v *prover) seekBelow(top uint64, seek SeekRequest) (uint64, error) {
	node, err := v.tree.required(v.nodes, top)
	if err != nil {
		return 0, err
	}
	before, err := ByteOffset(v.tree, v.nodes, top)
	if err != nil {
		return 0, err
	}
	lo, _ := Span(top)
	if before, err = unpad(before, lo/2, seek.Padding); err != nil {
		return 0, err
	}
	size, err := unpad(node.Size, Leaves(top), seek.Padding)
	if err != nil {
		return 0, err
	}
	if seek.Bytes < before || seek.Bytes-before >= size {
		return 0, fmt.Errorf("%w: byte %d is not below node %d", ErrInvalidRequest, seek.Bytes, top)
	}
	return v.descend(top, seek.Bytes-before, seek.Padding)
}

// seekFromRoots finds where a seek ends in the tree of length v.end. The
// request comes back as nil where that is beyond the tree.
func (v *prover) seekFromRoots(seek *SeekRequest) (uint64, *SeekRequest, error) {
	rest := seek.Bytes
	for _, root := range Chunks(0, v.end) {
		node, err := v.tree.required(v.nodes, root)
		if err != nil {
			return 0, nil, err
		}
		size, err := unpad(node.Size, Leaves(root), seek.Padding)
		if err != nil {
			return 0, nil, err
		}
		if rest == size {
			return root, seek, nil
		}
		if rest < size {
			found, err := v.descend(root, rest, seek.Padding)
			return found, seek, err
		}
		rest -= size
	}
	return 0, nil, nil
}

// descend walks down from node n towards its byte rest, as far as nodes are
// stored.
func (v *prover) descend(n, rest, padding uint64) (uint64, error) {
	for rest > 0 {
		left, ok := LeftChild(n)
		if !ok {
			break
		}
		node, ok, err := v.tree.lookup(v.nodes, left)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		size, err := unpad(node.Size, Leaves(left), padding)
		if err != nil {
			return 0, err
		}
		if size >= rest {
			n = left
			if size == rest {
				break
			}
			continue
		}
		right := Sibling(left)
		if _, ok, err := v.tree.lookup(v.nodes, right); err != nil {
			return 0, err
		} else if !ok {
			break
		}
		rest -= size
		n = right
	}
	return n, nil
}

// unpad takes padding bytes for each of leaves blocks off size.
func unpad(size, leaves, padding uint64) (uint64, error) {
	hi, pad := bits.Mul64(leaves, padding)
	if hi != 0 || pad > size {
		return 0, fmt.Errorf("%w: padding of %d bytes for %d blocks exceeds %d", ErrInvalidRequest, padding, leaves, size)
	}
	return size - pad, nil
}
