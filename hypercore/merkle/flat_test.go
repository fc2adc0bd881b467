package merkle

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestFlatTreeVectors(t *testing.T) {
	var v struct {
		Nodes []struct {
			Index, Depth, Offset, Parent, Sibling, LeftSpan, RightSpan, CountLeaves uint64
			LeftChild, RightChild                                                   int64
		}
		FullRoots []struct {
			Length uint64
			Roots  []uint64
		}
		Patch []struct {
			FromLength, ToLength uint64
			Patch                []uint64
		}
	}
	readVectors(t, "flat-tree", &v)
	child := func(n uint64, ok bool) int64 {
		if !ok {
			return -1
		}
		return int64(n)
	}
	for _, n := range v.Nodes {
		lo, hi := Span(n.Index)
		got := []uint64{uint64(Depth(n.Index)), Offset(n.Index), Parent(n.Index), Sibling(n.Index), lo, hi, Leaves(n.Index)}
		want := []uint64{n.Depth, n.Offset, n.Parent, n.Sibling, n.LeftSpan, n.RightSpan, n.CountLeaves}
		if !slices.Equal(got, want) {
			t.Errorf("node %d: %d, want %d", n.Index, got, want)
		}
		if l, r := child(LeftChild(n.Index)), child(RightChild(n.Index)); l != n.LeftChild || r != n.RightChild {
			t.Errorf("node %d: children %d and %d, want %d and %d", n.Index, l, r, n.LeftChild, n.RightChild)
		}
	}
	for _, r := range v.FullRoots {
		if got := Chunks(0, r.Length); !slices.Equal(got, r.Roots) {
			t.Errorf("roots of %d: %d, want %d", r.Length, got, r.Roots)
		}
	}
	for _, p := range v.Patch { // the chunks, each followed by the parents that it completes
		var g growth
		for _, root := range Chunks(0, p.FromLength) {
			g.roots = append(g.roots, Node{Index: root})
		}
		for _, chunk := range Chunks(p.FromLength, p.ToLength) {
			if err := g.add(Node{Index: chunk}); err != nil {
				t.Fatal(err)
			}
		}
		if got := indexes(g.nodes); !slices.Equal(got, p.Patch) {
			t.Errorf("new nodes from %d to %d: %d, want %d", p.FromLength, p.ToLength, got, p.Patch)
		}
	}
}

func indexes(nodes []Node) []uint64 {
	var out []uint64
	for _, n := range nodes {
		out = append(out, n.Index)
	}
	return out
}

func TestUpgradeShapeVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			SenderLength, Start, Length uint64
			Nodes, AdditionalNodes      []uint64
		}
	}
	readVectors(t, "upgrade-shapes", &v)
	w := newWorld(24)
	for _, c := range v.Cases {
		p, err := w.prove(int(c.SenderLength), Request{Upgrade: &UpgradeRequest{Start: c.Start, Length: c.Length}})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if u := p.Upgrade; !slices.Equal(indexes(u.Nodes), c.Nodes) || !slices.Equal(indexes(u.Additional), c.AdditionalNodes) {
			t.Errorf("%+v: nodes %d and %d", c, indexes(u.Nodes), indexes(u.Additional))
		}
	}
}

// Every node knows its family, also at the far end of what is allowed.
func TestFlatTreeFamily(t *testing.T) {
	indexes := []uint64{MaxSize, MaxSize - 1, MaxSize - 2, MaxSize / 2, MaxLength, MaxLength - 1}
	for n := range uint64(4096) {
		indexes = append(indexes, n)
	}
	for _, n := range indexes {
		p, s := Parent(n), Sibling(n)
		l, _ := LeftChild(p)
		r, _ := RightChild(p)
		if l != min(n, s) || r != max(n, s) || Parent(s) != p || Sibling(s) != n || Depth(p) != Depth(n)+1 {
			t.Fatalf("node %d: sibling %d, parent %d with children %d and %d", n, s, p, l, r)
		}
		lo, hi := Span(p)
		if llo, _ := Span(l); lo != llo {
			t.Fatalf("node %d starts at %d, its left child at %d", p, lo, llo)
		}
		if _, rhi := Span(r); hi != rhi {
			t.Fatalf("node %d ends at %d, its right child at %d", p, hi, rhi)
		}
		if Leaves(p) != (hi-lo)/2+1 || !contains(p, n) || contains(n, p) || contains(n, s) || !contains(n, n) {
			t.Fatalf("node %d: parent %d spans %d to %d", n, p, lo, hi)
		}
	}
}

// Chunks cover their range without gaps, none can be larger, and there are few.
func TestChunksCover(t *testing.T) {
	check := func(from, to uint64) {
		t.Helper()
		chunks := Chunks(from, to)
		if len(chunks) > 106 {
			t.Fatalf("%d chunks from %d to %d", len(chunks), from, to)
		}
		at := from
		for _, c := range chunks {
			lo, hi := Span(c)
			if lo != 2*at {
				t.Fatalf("from %d to %d: chunk %d starts at leaf %d, want %d", from, to, c, lo/2, at)
			}
			at = hi/2 + 1
			if plo, phi := Span(Parent(c)); plo == lo && phi < 2*to {
				t.Fatalf("from %d to %d: chunk %d could be %d", from, to, c, Parent(c))
			}
		}
		if at != max(from, to) && from < to {
			t.Fatalf("from %d to %d: ends at %d", from, to, at)
		}
	}
	for from := range uint64(70) {
		for to := range uint64(140) {
			check(from, to)
		}
	}
	for _, to := range []uint64{MaxLength, MaxLength - 1, MaxLength/2 + 1} {
		for _, from := range []uint64{0, 1, 2, 1<<51 - 1, 1 << 51, 0x5555555555555, MaxLength - 1} {
			check(from, to)
		}
	}
}
