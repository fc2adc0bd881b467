package merkle

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// Blocks around the size up to which they are hashed from a copy.
func TestLeafHashSizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 118, 119, 120, smallLeaf - 1, smallLeaf, smallLeaf + 1, 4096, 1 << 20} {
		block := make([]byte, size)
		for i := range block {
			block[i] = byte(rng.Uint32())
		}
		if got, want := LeafHash(block), refNode(0, [][]byte{block}).Hash; got != want {
			t.Errorf("leaf hash of %d bytes: %x, want %x", size, got, want)
		}
		before := bytes.Clone(block)
		if LeafHash(block); !bytes.Equal(block, before) {
			t.Errorf("a block of %d bytes was changed", size)
		}
	}
}

func TestParentNodeRefusesLargeSizes(t *testing.T) {
	for _, sizes := range [][2]uint64{{MaxSize, 1}, {1, MaxSize}, {1 << 63, 1 << 63}, {MaxSize + 1, 0}, {0, MaxSize + 1}} {
		if n, err := ParentNode(Node{Size: sizes[0]}, Node{Index: 2, Size: sizes[1]}); err == nil {
			t.Errorf("sizes %d: %v", sizes, n)
		}
	}
	if n, err := ParentNode(Node{Index: 2, Size: 1}, Node{Size: MaxSize - 1}); err != nil || n.Size != MaxSize || n.Index != 1 {
		t.Errorf("largest size: %v, %v", n, err)
	}
}

func TestHashingDoesNotAllocate(t *testing.T) {
	small, large := make([]byte, 64), make([]byte, 64<<10)
	a, b := Leaf(0, small), Leaf(1, large)
	roots := []Node{a, b}
	for name, fn := range map[string]func(){
		"small leaf": func() { LeafHash(small) },
		"large leaf": func() { LeafHash(large) },
		"parent": func() {
			if _, err := ParentNode(a, b); err != nil {
				t.Error(err)
			}
		},
		"tree": func() { TreeHash(roots) },
	} {
		if raceEnabled { // the pool drops things at random then
			break
		}
		if n := testing.AllocsPerRun(200, fn); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkLeafHash(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"64B", 64}, {"1KiB", 1 << 10}, {"64KiB", 64 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			block := make([]byte, c.size)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				LeafHash(block)
			}
		})
	}
}

func BenchmarkBatch(b *testing.B) {
	block := make([]byte, 1<<10)
	tree := Tree{}
	b.SetBytes(1024 << 10)
	b.ReportAllocs()
	for b.Loop() {
		batch := NewBatch(tree)
		for range 1024 {
			if err := batch.Append(block); err != nil {
				b.Fatal(err)
			}
		}
		tree = batch.Tree()
	}
}

func BenchmarkCheckBlock(b *testing.B) {
	w := newWorld(1 << 8)
	rd := w.reader(1 << 8)
	missing, err := Missing(rd.tree, rd.nodes, 100)
	if err != nil {
		b.Fatal(err)
	}
	p, err := w.prove(1<<8, Request{Block: &BlockRequest{Index: 50, Nodes: missing}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.check(rd, p); err != nil {
			b.Fatal(err)
		}
	}
}

// AppendAll makes what Append makes, however many goroutines hash.
func TestAppendAll(t *testing.T) {
	for _, sizes := range [][]int{nil, {0}, {1, 2, 3}, {200 << 10, 0, 7, 100 << 10, 64 << 10}, slices.Repeat([]int{9000}, 100)} {
		blocks := make([][]byte, len(sizes))
		for i, size := range sizes {
			blocks[i] = bytes.Repeat([]byte{byte(i)}, size)
		}
		for from := range uint64(5) {
			one := NewBatch(Tree{Fork: 3})
			for range from {
				if err := one.Append([]byte("before")); err != nil {
					t.Fatal(err)
				}
			}
			all := NewBatch(Tree{})
			if err := all.Append([]byte("of another batch")); err != nil {
				t.Fatal(err)
			}
			all.Reset(one.Tree())
			known := len(one.Nodes())
			for _, block := range blocks {
				if err := one.Append(block); err != nil {
					t.Fatal(err)
				}
			}
			if err := all.AppendAll(blocks); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(one.Tree(), all.Tree()) || !slices.Equal(one.Nodes()[known:], all.Nodes()) || one.ByteLength() != all.ByteLength() {
				t.Fatalf("sizes %v behind %d blocks: %+v, want %+v", sizes, from, all.Tree(), one.Tree())
			}
		}
	}
}
