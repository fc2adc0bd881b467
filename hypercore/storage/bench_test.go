package storage_test

import (
	"os"
	"path/filepath"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// BenchmarkWrite appends 64 bytes and two nodes; BenchmarkPwrite does the same
// with nothing of ours in the way.
func BenchmarkWrite(b *testing.B) {
	st, err := storage.Open(b.TempDir(), storage.Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	f := st.Files(storagetest.ID(1))
	block := make([]byte, 64)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		if err := f.WriteBlocks(block, int64(i)*64); err != nil {
			b.Fatal(err)
		}
		nodes := [2]merkle.Node{{Index: 2*i + 1, Size: 1}, {Index: 2 * i, Size: 1}}
		if err := f.WriteNodes(nodes[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPwrite(b *testing.B) {
	blocks, err := os.Create(filepath.Join(b.TempDir(), "blocks"))
	if err != nil {
		b.Fatal(err)
	}
	defer blocks.Close()
	tree, err := os.Create(filepath.Join(b.TempDir(), "tree"))
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	block, node := make([]byte, 64), make([]byte, 80)
	for i := int64(0); b.Loop(); i++ {
		if _, err := blocks.WriteAt(block, i*64); err != nil {
			b.Fatal(err)
		}
		if _, err := tree.WriteAt(node, i*80); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNode(b *testing.B) {
	st, err := storage.Open(b.TempDir(), storage.Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	f := st.Files(storagetest.ID(1))
	if err := f.WriteNodes([]merkle.Node{storagetest.Node(3)}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := f.Node(3); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
