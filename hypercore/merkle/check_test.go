package merkle

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
)

// clone copies a proof deeply, so that it can be damaged.
func clone(p *Proof) *Proof {
	c := *p
	if p.Block != nil {
		b := *p.Block
		b.Value, b.Nodes = bytes.Clone(b.Value), slices.Clone(b.Nodes)
		c.Block = &b
	}
	if p.Hash != nil {
		h := *p.Hash
		h.Nodes = slices.Clone(h.Nodes)
		c.Hash = &h
	}
	if p.Seek != nil {
		s := *p.Seek
		s.Nodes = slices.Clone(s.Nodes)
		c.Seek = &s
	}
	if p.Upgrade != nil {
		u := *p.Upgrade
		u.Nodes, u.Additional = slices.Clone(u.Nodes), slices.Clone(u.Additional)
		c.Upgrade = &u
	}
	return &c
}

// numbers and lists give everything in a proof that must be right.
func numbers(p *Proof) []*uint64 {
	out := []*uint64{&p.Fork}
	if p.Block != nil {
		out = append(out, &p.Block.Index)
	}
	if p.Hash != nil {
		out = append(out, &p.Hash.Index)
	}
	if p.Upgrade != nil {
		out = append(out, &p.Upgrade.Start, &p.Upgrade.Length)
	}
	return out
}

func lists(p *Proof) []*[]Node {
	var out []*[]Node
	if p.Block != nil {
		out = append(out, &p.Block.Nodes)
	}
	if p.Hash != nil {
		out = append(out, &p.Hash.Nodes)
	}
	if p.Seek != nil {
		out = append(out, &p.Seek.Nodes)
	}
	if p.Upgrade != nil {
		out = append(out, &p.Upgrade.Nodes, &p.Upgrade.Additional)
	}
	return out
}

// bitStep leaves bits out where everything takes ten times as long.
var bitStep = map[bool]int{false: 1, true: 13}[raceEnabled]

// damages calls fn after each flipped bit of p, and puts the bit back.
func damages(p *Proof, fn func(what string, bit int)) {
	flip := func(what string, n *uint64) {
		for bit := 0; bit < 64; bit += bitStep {
			*n ^= 1 << bit
			fn(what, bit)
			*n ^= 1 << bit
		}
	}
	for _, n := range numbers(p) {
		flip("number", n)
	}
	if p.Block != nil {
		for bit := range 8 * len(p.Block.Value) {
			p.Block.Value[bit/8] ^= 1 << (bit % 8)
			fn("block", bit)
			p.Block.Value[bit/8] ^= 1 << (bit % 8)
		}
	}
	for _, list := range lists(p) {
		for i := range *list {
			n := &(*list)[i]
			flip("node index", &n.Index)
			flip("node size", &n.Size)
			for bit := 0; bit < 256; bit += bitStep {
				n.Hash[bit/8] ^= 1 << (bit % 8)
				fn("node hash", bit)
				n.Hash[bit/8] ^= 1 << (bit % 8)
			}
		}
	}
}

// mustRefuse checks every damaged form of an honest proof.
func (w *world) mustRefuse(t *testing.T, rd *reader, p *Proof) {
	t.Helper()
	honest, err := w.check(rd, p)
	if err != nil {
		t.Fatalf("honest proof: %v", err)
	}
	signed := func(tree Tree) error { // a signature is about one length
		if tree.Length != honest.Tree.Length {
			return errors.New("invalid signature")
		}
		return w.signed(tree)
	}
	refuse := func(p *Proof, what string, detail int) {
		t.Helper()
		if c, err := Check(rd.tree, rd.nodes, p, signed); !errors.Is(err, ErrBadProof) {
			t.Fatalf("%s %d of %+v %+v: %v, %v", what, detail, p, p.Upgrade, c != nil, err)
		}
	}
	damaged := clone(p)
	damages(damaged, func(what string, bit int) { refuse(damaged, what+" bit", bit) })
	for which := range lists(p) {
		for i := range *lists(p)[which] {
			short := clone(p)
			list := lists(short)[which]
			seek := p.Seek != nil && (*list)[0] == p.Seek.Nodes[0]
			*list = slices.Delete(*list, i, i+1)
			refuse(short, "removed node", i)
			if i > 1 || i == 1 && !seek { // a seek may end at either of two siblings
				swapped := clone(p)
				list := *lists(swapped)[which]
				list[i], list[i-1] = list[i-1], list[i]
				refuse(swapped, "swapped node", i)
			}
		}
	}
}

func TestDamagedUpgrades(t *testing.T) {
	const most = 8
	w := newWorld(most)
	for length := 1; length <= most; length++ {
		for from := 0; from < length; from++ {
			for to := from + 1; to <= length; to++ {
				rd := w.reader(from)
				for block := -1; block < to; block++ {
					req := Request{Upgrade: &UpgradeRequest{Start: uint64(from), Length: uint64(to - from)}}
					if block >= 0 {
						missing, _ := Missing(rd.tree, rd.nodes, uint64(2*block))
						req.Block = &BlockRequest{Index: uint64(block), Nodes: missing}
					}
					p, err := w.prove(length, req)
					if err != nil {
						t.Fatal(err)
					}
					w.mustRefuse(t, rd, p)
				}
			}
		}
	}
}

func TestDamagedPaths(t *testing.T) {
	const most = 8
	w := newWorld(most)
	for length := 1; length <= most; length++ {
		rd := w.reader(length)
		for index := uint64(0); index < uint64(2*length); index++ {
			if !inside(index, uint64(length)) {
				continue
			}
			missing, _ := Missing(rd.tree, rd.nodes, index)
			hash := &HashRequest{Index: index, Nodes: missing}
			reqs := []Request{{Hash: hash}}
			if index%2 == 0 {
				reqs = append(reqs, Request{Block: &BlockRequest{Index: index / 2, Nodes: missing}})
			}
			start, _ := ByteOffset(w.trees[length], w.nodes, index)
			for b := start; b < start+40; b += 3 {
				reqs = append(reqs, Request{Hash: hash, Seek: &SeekRequest{Bytes: b}})
			}
			for _, req := range reqs {
				p, err := w.prove(length, req)
				if req.Seek != nil && errors.Is(err, ErrInvalidRequest) {
					continue // beyond the requested subtree
				}
				if err != nil {
					t.Fatal(err)
				}
				w.mustRefuse(t, rd, p)
			}
		}
	}
}

func TestDamagedSeekUpgrades(t *testing.T) {
	w := newWorld(8)
	for to := 1; to <= 8; to++ {
		for from := 0; from < to; from++ {
			for b := range w.trees[to].ByteLength() + 2 {
				rd := w.reader(from)
				p, err := w.prove(8, Request{
					Upgrade: &UpgradeRequest{Start: uint64(from), Length: uint64(to - from)},
					Seek:    &SeekRequest{Bytes: b},
				})
				if err != nil {
					t.Fatal(err)
				}
				if b%5 == 0 {
					w.mustRefuse(t, rd, p)
				}
				w.apply(t, rd, p)
			}
		}
	}
}

// A proof that another fork, another length or nobody at all signed.
func TestCheckRefuses(t *testing.T) {
	w := newWorld(8)
	nodes := slices.Repeat([]Node{{Index: 2, Size: 1, Hash: Hash{1}}}, 2000)
	zero := Node{Index: 0}
	for name, p := range map[string]*Proof{
		"block and hash":      {Block: &BlockProof{}, Hash: &HashProof{}},
		"hash without nodes":  {Hash: &HashProof{Index: 3}},
		"hash of another":     {Hash: &HashProof{Index: 3, Nodes: []Node{w.nodes[7]}}},
		"node without a hash": {Hash: &HashProof{Nodes: []Node{zero}}},
		"size beyond 2^53":    {Hash: &HashProof{Nodes: []Node{{Size: MaxSize + 1, Hash: Hash{1}}}}},
		"sum beyond 2^53":     {Hash: &HashProof{Nodes: []Node{{Size: MaxSize, Hash: Hash{1}}, {Index: 2, Size: 1, Hash: Hash{1}}}}},
		"long path":           {Block: &BlockProof{Nodes: nodes}},
		"huge block index":    {Block: &BlockProof{Index: math.MaxUint64}},
		"block at 2^52":       {Block: &BlockProof{Index: MaxLength}},
		"huge hash index":     {Hash: &HashProof{Index: math.MaxUint64, Nodes: []Node{{Index: math.MaxUint64, Hash: Hash{1}}}}},
		"hash at 2^53":        {Hash: &HashProof{Index: MaxSize, Nodes: []Node{{Index: MaxSize, Hash: Hash{1}}}}},
		"block past the end":  {Block: &BlockProof{Index: 5, Value: w.blocks[5]}},
		"seek of nothing":     {Seek: &SeekProof{Nodes: []Node{{Index: MaxSize, Hash: Hash{1}}}}},
		"empty upgrade":       {Upgrade: &UpgradeProof{Start: 5}},
		"huge upgrade":        {Upgrade: &UpgradeProof{Start: 5, Length: math.MaxUint64}},
		"overflowing upgrade": {Upgrade: &UpgradeProof{Start: 5, Length: math.MaxUint64 - 4}},
		"upgrade to 2^52+1":   {Upgrade: &UpgradeProof{Start: 5, Length: MaxLength - 4}},
		"upgrade of another":  {Upgrade: &UpgradeProof{Start: 4, Length: 1, Nodes: []Node{w.nodes[8]}}},
		"no nodes":            {Upgrade: &UpgradeProof{Start: 5, Length: 1}},
		"huge additional": {Upgrade: &UpgradeProof{Start: 5, Length: 1, Nodes: []Node{w.nodes[10]},
			Additional: []Node{{Index: math.MaxUint64, Hash: Hash{1}}}}},
		"additional at 2^53": {Upgrade: &UpgradeProof{Start: 5, Length: 1, Nodes: []Node{w.nodes[10]},
			Additional: []Node{{Index: MaxSize, Hash: Hash{1}}}}},
		"additional before": {Upgrade: &UpgradeProof{Start: 5, Length: 1, Nodes: []Node{w.nodes[10]},
			Additional: []Node{w.nodes[8]}}},
		"surplus additional": {Upgrade: &UpgradeProof{Start: 5, Length: 1, Nodes: []Node{w.nodes[10]},
			Additional: []Node{w.nodes[13], w.nodes[13]}}},
	} {
		rd := w.reader(5)
		if c, err := w.check(rd, p); !errors.Is(err, ErrBadProof) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestCheckSaysWhatDisagrees(t *testing.T) {
	w := newWorld(8)
	rd := w.reader(8)
	p, err := w.prove(8, Request{Block: &BlockRequest{Index: 1, Nodes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	var missing *MissingNodeError
	if _, err := w.check(rd, p); !errors.As(err, &missing) || missing.Index != 1 || !errors.Is(err, ErrBadProof) {
		t.Errorf("path to a node that is not stored: %v", err)
	}
	torn := w.nodes[1]
	torn.Hash[5] ^= 1
	rd.nodes[1] = torn
	var mismatch *MismatchError
	if _, err := w.check(rd, p); !errors.As(err, &mismatch) || mismatch.Index != 1 || !errors.Is(err, ErrBadProof) {
		t.Errorf("path to a torn node: %v", err)
	}
	// What is stored beyond the tree confirms nothing.
	rd = w.reader(4)
	rd.nodes.put([]Node{w.nodes[8]})
	p = &Proof{Block: &BlockProof{Index: 4, Value: w.blocks[4]}}
	if _, err := w.check(rd, p); !errors.Is(err, ErrBadProof) {
		t.Errorf("block confirmed by a stale node: %v", err)
	}
}

// A parent's hash covers only the sum of its children's sizes, so a hash proof
// can shift bytes from one to the other. The blocks below put that right.
func TestShiftedSizesAreRepaired(t *testing.T) {
	w := newWorld(8)
	for _, pair := range [][2]uint64{{4, 6}, {8, 10}, {12, 14}} {
		for _, proveNext := range pair {
			rd := w.reader(8)
			missing, _ := Missing(rd.tree, rd.nodes, pair[0])
			p, err := w.prove(8, Request{Hash: &HashRequest{Index: pair[0], Nodes: missing}})
			if err != nil {
				t.Fatal(err)
			}
			p.Hash.Nodes[0].Size++
			p.Hash.Nodes[1].Size--
			c, err := w.check(rd, p)
			if err != nil {
				t.Fatalf("nodes %d: %v", pair, err)
			}
			rd.nodes.put(c.Nodes)
			if rd.nodes[pair[0]] == w.nodes[pair[0]] {
				t.Fatal("nothing was shifted")
			}
			w.fetchBlock(t, rd, 8, int(proveNext/2))
			for _, index := range pair {
				if rd.nodes[index] != w.nodes[index] {
					t.Errorf("node %d after block %d: %v, want %v", index, proveNext/2, rd.nodes[index], w.nodes[index])
				}
			}
		}
	}
}
