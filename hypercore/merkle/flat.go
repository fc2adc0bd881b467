package merkle

import "math/bits"

// MaxSize is the largest index, length or byte count that JavaScript peers can
// represent; larger numbers are refused everywhere.
const MaxSize = 1<<53 - 1

// MaxLength is the largest length of a tree: the indexes of its nodes are twice
// its length, and must not exceed MaxSize.
const MaxLength = (MaxSize + 1) / 2

// Depth is the height of node n above the leaves: 0 for a leaf (spec 6).
func Depth(n uint64) uint { return uint(bits.TrailingZeros64(^n)) }

// Offset is the position of node n among the nodes of its depth.
func Offset(n uint64) uint64 { return n >> (Depth(n) + 1) }

// Parent is the index of the node above n.
func Parent(n uint64) uint64 {
	d := Depth(n)
	return n>>(d+2)<<(d+2) | (1<<(d+1) - 1)
}

// Sibling is the index of the other child of n's parent.
func Sibling(n uint64) uint64 { return n ^ 1<<(Depth(n)+1) }

// LeftChild is the lower child of n; false for a leaf.
func LeftChild(n uint64) (uint64, bool) {
	d := Depth(n)
	if d == 0 {
		return 0, false
	}
	return n - 1<<(d-1), true
}

// RightChild is the upper child of n; false for a leaf.
func RightChild(n uint64) (uint64, bool) {
	d := Depth(n)
	if d == 0 {
		return 0, false
	}
	return n + 1<<(d-1), true
}

// Span gives the indexes of the first and the last leaf below n, both even and
// both included. They are node indexes, not block indexes.
func Span(n uint64) (lo, hi uint64) {
	w := uint64(1)<<Depth(n) - 1
	return n - w, n + w
}

// Leaves is the number of leaves below n.
func Leaves(n uint64) uint64 { return 1 << Depth(n) }

// Chunks are the maximal aligned subtrees that grow a tree of from leaves to
// one of to leaves, left to right (the chunk rule of spec 6). Chunks(0, n) are
// the roots of a tree of length n. It is empty for from >= to; to is at most
// MaxLength, so there are never more than 2*53 chunks.
func Chunks(from, to uint64) []uint64 {
	var out []uint64
	for n := from; n < to; {
		s := uint64(1) << (bits.Len64(to-n) - 1)
		if n > 0 {
			s = min(s, n&-n)
		}
		out = append(out, 2*n+s-1)
		n += s
	}
	return out
}

// inside reports whether all leaves of node n belong to a tree of length.
func inside(n, length uint64) bool {
	if n > MaxSize {
		return false
	}
	_, hi := Span(n)
	return hi < 2*length
}

// contains reports whether node n is node top or lies below it.
func contains(top, n uint64) bool {
	lo, hi := Span(top)
	return Depth(n) <= Depth(top) && lo <= n && n <= hi
}
