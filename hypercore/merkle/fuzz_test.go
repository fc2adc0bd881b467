package merkle

import (
	"encoding/binary"
	"testing"
)

// fuzzInput reads a proof or a request from arbitrary bytes. Its numbers are
// small mostly, so that they mean something.
type fuzzInput []byte

func (in *fuzzInput) number() uint64 {
	var b [8]byte
	n := copy(b[:], *in)
	*in = (*in)[n:]
	v := binary.LittleEndian.Uint64(b[:])
	if v>>60 != 0xf {
		v %= 40
	}
	return v
}

func (in *fuzzInput) nodes(w *world) []Node {
	var out []Node
	for range in.number() % 8 {
		index := in.number()
		n := w.nodes[index]
		n.Index = index
		if in.number()%8 == 0 {
			n.Size, n.Hash[0] = in.number(), byte(in.number())
		}
		out = append(out, n)
	}
	return out
}

// Whatever comes, Check ends without a panic, and what it accepts is true but
// for sizes that no hash covers.
func FuzzCheck(f *testing.F) {
	f.Add([]byte{}, uint8(5))
	f.Add([]byte("\x0f000000000000000000000000000000000000000000000000"), uint8(8))
	w := newWorld(16)
	f.Fuzz(func(t *testing.T, b []byte, length uint8) {
		in := fuzzInput(b)
		rd := w.reader(int(length) % 17)
		flags := in.number()
		p := &Proof{}
		if flags&1 != 0 {
			p.Block = &BlockProof{Index: in.number(), Nodes: in.nodes(w)}
			if i := p.Block.Index; i < 16 {
				p.Block.Value = w.blocks[i]
			}
		}
		if flags&2 != 0 {
			p.Hash = &HashProof{Index: in.number(), Nodes: in.nodes(w)}
		}
		if flags&4 != 0 {
			p.Seek = &SeekProof{Bytes: in.number(), Nodes: in.nodes(w)}
		}
		if flags&8 != 0 {
			p.Upgrade = &UpgradeProof{Start: in.number(), Length: in.number(), Nodes: in.nodes(w), Additional: in.nodes(w)}
		}
		c, err := w.check(rd, p)
		if err != nil {
			return
		}
		for _, n := range c.Nodes {
			if w.nodes[n.Index].Hash != n.Hash {
				t.Fatalf("stores %v, want %v", n, w.nodes[n.Index])
			}
		}
	})
}

// Whatever is asked, Prove ends without a panic, and a reader that has what the
// request takes for granted accepts the answer.
func FuzzProve(f *testing.F) {
	f.Add([]byte{}, uint8(5))
	f.Add([]byte("\x0900000000000000000000000000000000"), uint8(16))
	w := newWorld(16)
	f.Fuzz(func(t *testing.T, b []byte, length uint8) {
		in := fuzzInput(b)
		have := int(length) % 17
		flags := in.number()
		r := Request{}
		if flags&1 != 0 {
			r.Block = &BlockRequest{Index: in.number(), Nodes: in.number()}
		}
		if flags&2 != 0 {
			r.Hash = &HashRequest{Index: in.number(), Nodes: in.number()}
		}
		if flags&4 != 0 {
			r.Seek = &SeekRequest{Bytes: in.number(), Padding: in.number() % 3}
		}
		if flags&8 != 0 {
			r.Upgrade = &UpgradeRequest{Start: in.number(), Length: in.number()}
		}
		p, err := w.prove(have, r)
		if err != nil || have == 0 {
			return
		}
		rd := w.reader(have)
		if r.Upgrade != nil {
			rd = w.reader(int(r.Upgrade.Start))
		}
		for index, n := range w.nodes { // a reader that lacks nothing above the leaves
			if inside(index, rd.tree.Length) {
				rd.nodes[index] = n
			}
		}
		if want := requested(r); want != nil && inside(want.index, rd.tree.Length) {
			top := want.index
			for range want.levels {
				top = Parent(top)
			}
			if !inside(top, rd.tree.Length) {
				return // more of the path than a reader of that length may check
			}
		}
		if _, err := w.check(rd, p); err != nil {
			t.Fatalf("%+v is answered with what does not hold: %v", r, err)
		}
	})
}
