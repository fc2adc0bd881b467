// Package merkle holds the arithmetic of a Hypercore's Merkle tree: flat tree
// indexes, node hashes, the growth of a tree by blocks, and the making and
// checking of proofs. Everything here is a pure function of its arguments;
// stored nodes are reached through NodeReader alone.
//
// Words: leaf i is the node of block i and has index 2i; inner nodes have odd
// indexes. The length of a tree is its number of leaves. The roots of a tree of
// length n are the nodes of Chunks(0, n), left to right. The size of a node is
// the number of bytes in the blocks below it.
//
// Sections named in comments are those of the Hypercore 11 specification.
package merkle
