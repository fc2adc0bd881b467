package merkle

import (
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"golang.org/x/crypto/blake2b"
)

// Hash is a BLAKE2b-256 hash.
type Hash [32]byte

// Node is one node of the tree: its flat tree index, the bytes in the blocks
// below it and its hash. The zero Hash never belongs to a stored node.
type Node struct {
	Index uint64
	Size  uint64
	Hash  Hash
}

// The first hashed byte keeps leaves, parents and trees apart (spec 2).
const (
	leafType   = 0
	parentType = 1
	rootType   = 2
)

// smallLeaf is the largest block that is hashed from a copy on the stack.
const smallLeaf = 512 - 9

// leafHasher hashes blocks that are too large to be copied.
type leafHasher struct {
	hash   hash.Hash
	prefix [9]byte
	sum    Hash
}

var leafHashers = sync.Pool{New: func() any {
	h, err := blake2b.New256(nil)
	if err != nil {
		panic("merkle: " + err.Error()) // only a key can be wrong
	}
	return &leafHasher{hash: h}
}}

// LeafHash is the hash of a block: BLAKE2b(00 || u64 length || block) (spec 2).
func LeafHash(block []byte) Hash {
	if len(block) <= smallLeaf {
		var buf [9 + smallLeaf]byte
		buf[0] = leafType
		binary.LittleEndian.PutUint64(buf[1:], uint64(len(block)))
		return blake2b.Sum256(buf[:9+copy(buf[9:], block)])
	}
	h := leafHashers.Get().(*leafHasher)
	defer leafHashers.Put(h)
	h.prefix[0] = leafType
	binary.LittleEndian.PutUint64(h.prefix[1:], uint64(len(block)))
	h.hash.Reset()
	h.hash.Write(h.prefix[:])
	h.hash.Write(block)
	h.hash.Sum(h.sum[:0])
	return h.sum
}

// Leaf is the node of block i.
func Leaf(i uint64, block []byte) Node {
	return Node{Index: 2 * i, Size: uint64(len(block)), Hash: LeafHash(block)}
}

// ParentNode is the node above two siblings, given in any order:
// BLAKE2b(01 || u64 size || left hash || right hash) (spec 2). It fails where
// the sizes add up to more than MaxSize.
func ParentNode(a, b Node) (Node, error) {
	if b.Index < a.Index {
		a, b = b, a
	}
	size, err := addSizes(a.Size, b.Size)
	if err != nil {
		return Node{}, err
	}
	var buf [9 + 64]byte
	buf[0] = parentType
	binary.LittleEndian.PutUint64(buf[1:], size)
	copy(buf[9:], a.Hash[:])
	copy(buf[41:], b.Hash[:])
	return Node{Index: Parent(a.Index), Size: size, Hash: blake2b.Sum256(buf[:])}, nil
}

// addSizes adds two byte counts and refuses what exceeds MaxSize.
func addSizes(a, b uint64) (uint64, error) {
	if a > MaxSize || b > MaxSize-a {
		return 0, fmt.Errorf("size %d + %d exceeds %d", a, b, uint64(MaxSize))
	}
	return a + b, nil
}

// TreeHash is the hash of roots, left to right:
// BLAKE2b(02 || hash || u64 index || u64 size || ...) (spec 2).
func TreeHash(roots []Node) Hash {
	var room [1 + 24*48]byte // enough for most trees without an allocation
	buf := append(room[:0], rootType)
	for _, r := range roots {
		buf = append(buf, r.Hash[:]...)
		buf = binary.LittleEndian.AppendUint64(buf, r.Index)
		buf = binary.LittleEndian.AppendUint64(buf, r.Size)
	}
	return blake2b.Sum256(buf)
}
