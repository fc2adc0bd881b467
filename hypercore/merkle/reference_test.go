package merkle

import (
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/crypto/blake2b"
)

// nodeMap is a NodeReader in memory.
type nodeMap map[uint64]Node

func (m nodeMap) Node(index uint64) (Node, bool, error) {
	n, ok := m[index]
	return n, ok, nil
}

func (m nodeMap) put(nodes []Node) {
	for _, n := range nodes {
		m[n.Index] = n
	}
}

// refSpan counts its way to the leaves of a node: the slow way.
func refSpan(index uint64) (lo, hi uint64) {
	half, gap := uint64(0), uint64(1)
	for rest := index; rest%2 == 1; rest /= 2 {
		half += gap
		gap *= 2
	}
	return index - half, index + half
}

// refNode hashes a whole subtree from its blocks, as spec 2 says.
func refNode(index uint64, blocks [][]byte) Node {
	if index%2 == 0 {
		b := blocks[index/2]
		in := append([]byte{0}, binary.LittleEndian.AppendUint64(nil, uint64(len(b)))...)
		return Node{Index: index, Size: uint64(len(b)), Hash: blake2b.Sum256(append(in, b...))}
	}
	lo, hi := refSpan(index)
	quarter := (hi - lo + 2) / 4
	l, r := refNode(index-quarter, blocks), refNode(index+quarter, blocks)
	in := append([]byte{1}, binary.LittleEndian.AppendUint64(nil, l.Size+r.Size)...)
	in = append(append(in, l.Hash[:]...), r.Hash[:]...)
	return Node{Index: index, Size: l.Size + r.Size, Hash: blake2b.Sum256(in)}
}

// refRoots finds the roots of blocks by trying every node: the largest that
// starts at each place and ends inside.
func refRoots(blocks [][]byte) []Node {
	length := uint64(len(blocks))
	var roots []Node
	for at := uint64(0); at < length; {
		best, end := uint64(0), at
		for index := uint64(0); index < 2*length; index++ {
			if lo, hi := refSpan(index); lo == 2*at && hi < 2*length && hi/2+1 > end {
				best, end = index, hi/2+1
			}
		}
		roots = append(roots, refNode(best, blocks))
		at = end
	}
	return roots
}

// refTree is the tree of blocks with all its nodes.
func refTree(blocks [][]byte) (Tree, nodeMap) {
	m := nodeMap{}
	length := uint64(len(blocks))
	for index := uint64(0); index+1 < 2*length; index++ {
		if _, hi := refSpan(index); hi < 2*length {
			m[index] = refNode(index, blocks)
		}
	}
	return Tree{Length: length, Roots: refRoots(blocks)}, m
}

// testBlocks are n blocks of different sizes, empty ones among them.
func testBlocks(n int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = []byte(fmt.Sprintf("block %d of some length", i))[:i*7%20]
	}
	return blocks
}

func TestReferenceSpan(t *testing.T) {
	for n := range uint64(5000) {
		lo, hi := Span(n)
		if rlo, rhi := refSpan(n); lo != rlo || hi != rhi {
			t.Fatalf("Span(%d) = %d, %d, want %d, %d", n, lo, hi, rlo, rhi)
		}
	}
}

func TestBatchAgreesWithReference(t *testing.T) {
	const most = 70
	blocks := testBlocks(most)
	for from := 0; from <= most; from += 3 {
		base, m := refTree(blocks[:from])
		b := NewBatch(base)
		for to := from; to <= most; to++ {
			want, all := refTree(blocks[:to])
			got := b.Tree()
			if got.Length != want.Length || fmt.Sprint(got.Roots) != fmt.Sprint(want.Roots) {
				t.Fatalf("batch %d to %d: %v, want %v", from, to, got, want)
			}
			if b.Length() != want.Length || b.ByteLength() != want.ByteLength() {
				t.Fatalf("batch %d to %d: lengths %d, %d", from, to, b.Length(), b.ByteLength())
			}
			if len(m)+len(b.Nodes()) != len(all) {
				t.Fatalf("batch %d to %d: %d nodes, want %d", from, to, len(m)+len(b.Nodes()), len(all))
			}
			for _, n := range b.Nodes() {
				if all[n.Index] != n {
					t.Fatalf("batch %d to %d: node %v, want %v", from, to, n, all[n.Index])
				}
			}
			if to < most {
				if err := b.Append(blocks[to]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestBatchRefusesLongestLog(t *testing.T) {
	b := NewBatch(Tree{Length: MaxLength, Roots: []Node{{Index: MaxLength - 1}}})
	if err := b.Append(nil); err == nil {
		t.Fatal("a block beyond the largest length was taken")
	}
	b = NewBatch(Tree{Length: 4, Roots: []Node{{Index: 3, Size: MaxSize}}})
	if err := b.Append([]byte("x")); err == nil {
		t.Fatal("a byte beyond the largest size was taken")
	}
}
