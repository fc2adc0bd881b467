package merkle

import "fmt"

// Prove answers a request from the tree t (spec 8.2). It fills everything but
// Block.Value, Upgrade.Signature and Manifest, which the caller holds, and it
// does not compare the request's fork with that of t. A tree of length 0 gives
// a proof without parts.
//
// ErrInvalidRequest is for what no prover of t could answer, ErrMissingNode for
// what this one cannot.
func Prove(t Tree, nodes NodeReader, r Request) (*Proof, error) {
	p := &Proof{Fork: t.Fork}
	if r.Block != nil && r.Hash != nil {
		return nil, fmt.Errorf("%w: both a block and a hash", ErrInvalidRequest)
	}
	if t.Length == 0 {
		return p, nil
	}
	v := prover{tree: t, nodes: nodes, end: t.Length}
	if u := r.Upgrade; u != nil {
		if u.Length == 0 || u.Start > t.Length || u.Length > t.Length-u.Start {
			return nil, fmt.Errorf("%w: upgrade of %d from %d, length is %d", ErrInvalidRequest, u.Length, u.Start, t.Length)
		}
		v.end = u.Start + u.Length
	}
	if err := v.prove(p, r); err != nil {
		return nil, err
	}
	return p, nil
}

// prover answers one request.
type prover struct {
	tree  Tree
	nodes NodeReader
	end   uint64 // length that the proof leads to, before additional nodes
}

// target is the node that a block or hash request is about.
type target struct {
	index, levels uint64
	hash          bool
}

func requested(r Request) *target {
	switch {
	case r.Block != nil:
		return &target{index: 2 * r.Block.Index, levels: r.Block.Nodes}
	case r.Hash != nil:
		return &target{index: r.Hash.Index, levels: r.Hash.Nodes, hash: true}
	}
	return nil
}

func (v *prover) prove(p *Proof, r Request) error {
	if r.Block != nil && r.Block.Index >= v.end {
		return fmt.Errorf("%w: block %d of %d", ErrInvalidRequest, r.Block.Index, v.end)
	}
	want := requested(r)
	if want != nil && !inside(want.index, v.end) {
		return fmt.Errorf("%w: node %d is not below length %d", ErrInvalidRequest, want.index, v.end)
	}
	alone := want != nil && (r.Upgrade == nil || inside(want.index, r.Upgrade.Start))
	switch {
	case alone:
		if err := v.standAlone(p, want, r.Seek); err != nil {
			return err
		}
	case r.Seek != nil && want != nil:
		return fmt.Errorf("%w: seek with a block or hash in the upgrade", ErrInvalidRequest)
	case r.Seek != nil && r.Upgrade == nil:
		return fmt.Errorf("%w: seek alone", ErrInvalidRequest)
	}
	if r.Upgrade == nil {
		return nil
	}
	if alone {
		return v.upgrade(p, *r.Upgrade, nil, nil)
	}
	return v.upgrade(p, *r.Upgrade, want, r.Seek)
}

// standAlone proves a node up to an ancestor that the requester holds (case A
// of spec 8.2) and lets a seek below that ancestor travel along (case D).
func (v *prover) standAlone(p *Proof, want *target, seek *SeekRequest) error {
	top := want.index
	for range want.levels {
		if top = Parent(top); !inside(top, v.end) {
			return fmt.Errorf("%w: %d nodes above %d leave the tree of length %d", ErrInvalidRequest, want.levels, want.index, v.end)
		}
	}
	if seek == nil {
		list, err := v.path(want.index, top)
		if err != nil {
			return err
		}
		return v.put(p, want, list)
	}
	found, err := v.seekBelow(top, *seek)
	if err != nil {
		return err
	}
	var list []Node
	for n := want.index; n != top; n = Parent(n) {
		sibling := Sibling(n)
		if sibling != found && contains(sibling, found) {
			if err := v.putSeek(p, seek.Bytes, found, sibling); err != nil {
				return err
			}
			continue
		}
		node, err := v.tree.required(v.nodes, sibling)
		if err != nil {
			return err
		}
		list = append(list, node)
	}
	return v.put(p, want, list)
}

// upgrade proves the growth from u.Start to v.end, and on to the length of the
// tree, because only that is signed (case B). A target in a chunk takes the
// chunk's place (case C), and so does what a seek ends at (case D).
func (v *prover) upgrade(p *Proof, u UpgradeRequest, want *target, seek *SeekRequest) error {
	p.Upgrade = &UpgradeProof{Start: u.Start, Length: u.Length}
	var found uint64
	if seek != nil {
		var err error
		if found, seek, err = v.seekFromRoots(seek); err != nil {
			return err
		}
	}
	for _, chunk := range Chunks(u.Start, v.end) {
		var err error
		switch {
		case want != nil && contains(chunk, want.index):
			var list []Node
			if list, err = v.path(want.index, chunk); err == nil {
				err = v.put(p, want, list)
			}
		case seek != nil && contains(chunk, found):
			err = v.putSeek(p, seek.Bytes, found, chunk)
		default:
			var node Node
			node, err = v.tree.required(v.nodes, chunk)
			p.Upgrade.Nodes = append(p.Upgrade.Nodes, node)
		}
		if err != nil {
			return err
		}
	}
	if want != nil && p.Block == nil && p.Hash == nil {
		return fmt.Errorf("%w: node %d spans the start %d of the upgrade", ErrInvalidRequest, want.index, u.Start)
	}
	for _, chunk := range Chunks(v.end, v.tree.Length) {
		node, err := v.tree.required(v.nodes, chunk)
		if err != nil {
			return err
		}
		p.Upgrade.Additional = append(p.Upgrade.Additional, node)
	}
	return nil
}

// path lists the siblings on the way from node n up to top.
func (v *prover) path(n, top uint64) ([]Node, error) {
	var list []Node
	for ; n != top; n = Parent(n) {
		node, err := v.tree.required(v.nodes, Sibling(n))
		if err != nil {
			return nil, err
		}
		list = append(list, node)
	}
	return list, nil
}

// put adds the target with its path. A node goes along; a block's value is
// added by the caller.
func (v *prover) put(p *Proof, want *target, list []Node) error {
	if !want.hash {
		p.Block = &BlockProof{Index: want.index / 2, Nodes: list}
		return nil
	}
	node, err := v.tree.required(v.nodes, want.index)
	if err != nil {
		return err
	}
	p.Hash = &HashProof{Index: want.index, Nodes: append([]Node{node}, list...)}
	return nil
}

// putSeek adds what a seek ended at, with its path up to top.
func (v *prover) putSeek(p *Proof, bytes, found, top uint64) error {
	node, err := v.tree.required(v.nodes, found)
	if err != nil {
		return err
	}
	list, err := v.path(found, top)
	if err != nil {
		return err
	}
	p.Seek = &SeekProof{Bytes: bytes, Nodes: append([]Node{node}, list...)}
	return nil
}
