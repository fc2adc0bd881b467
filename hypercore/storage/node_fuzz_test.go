package storage

import (
	"bytes"
	"testing"

	"multicore/hypercore/merkle"
)

// FuzzNode: bytes that are read as a node are those that are written for it, and
// a node that is written is read again.
func FuzzNode(f *testing.F) {
	b := make([]byte, nodeSize)
	f.Add(bytes.Clone(b))
	putNode(b, &merkle.Node{Size: 77, Hash: merkle.Hash{1, 2, 3}})
	f.Add(bytes.Clone(b))
	putNode(b, &merkle.Node{Size: merkle.MaxSize, Hash: merkle.Hash{31: 9}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != nodeSize {
			return
		}
		want := bytes.Clone(b)
		n, ok := getNode(b, 5)
		again := make([]byte, nodeSize)
		if ok {
			if putNode(again, &n); !bytes.Equal(again, want) || n.Size > merkle.MaxSize || n.Index != 5 {
				t.Fatalf("%x is read as %+v", want, n)
			}
			return
		}
		if n = (merkle.Node{Index: 5, Hash: merkle.Hash(want[8:])}); n.Hash == (merkle.Hash{}) {
			return
		}
		putNode(again, &n)
		if got, ok := getNode(again, 5); !ok || got != n {
			t.Fatalf("%+v is read as %+v, %t", n, got, ok)
		}
	})
}
