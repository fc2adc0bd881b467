package merkle

import (
	"fmt"
	"slices"
)

// maxPath bounds the nodes of one path; a tree of MaxLength is 52 levels high.
const maxPath = 64

// Check verifies p against t (spec 8.3) and changes nothing. Where p has an
// upgrade, signed is called once, when everything else has passed, with the new
// tree; it must return nil only where the signature in p holds for that tree.
// Check does not look at p.Manifest, and not at what was asked for.
//
// ErrBadProof (wrapped) is for a proof that is wrong for t. It may also mean
// that t moved on since the request was made, or that a stored node is damaged:
// MismatchError says which one did not agree, MissingNodeError which one was
// needed. Other errors are those of nodes.
//
// What is certain afterwards: every hash, every size on the path of a block,
// and the sizes of roots. The node that a hash or seek proof starts with and its
// sibling are certain only in the sum of their sizes, because a parent's hash
// covers nothing else, and so are two nodes of an upgrade that merge. They can
// mislead a seek, never the content: the proof of a block below either of
// them puts both right.
//
// As in JavaScript, surplus nodes at the end of Upgrade.Nodes are ignored.
func Check(t Tree, nodes NodeReader, p *Proof, signed func(Tree) error) (*Change, error) {
	if p.Fork != t.Fork {
		return nil, badProof("fork %d, want %d", p.Fork, t.Fork)
	}
	if p.Block != nil && p.Hash != nil {
		return nil, badProof("both a block and a hash")
	}
	c := checker{tree: t, nodes: nodes}
	if p.Upgrade != nil {
		c.growth = newGrowth(t)
	}
	if err := c.paths(p); err != nil {
		return nil, err
	}
	change := &Change{Block: p.Block, Tree: t}
	if p.Upgrade != nil {
		length, err := c.upgrade(p.Upgrade)
		if err != nil {
			return nil, err
		}
		change.Upgraded = true
		change.Tree = Tree{Fork: t.Fork, Length: length, Roots: slices.Clone(c.growth.roots)}
		change.Signature = p.Upgrade.Signature
	}
	if err := c.confirm(); err != nil {
		return nil, err
	}
	if p.Upgrade != nil {
		if err := signed(change.Tree); err != nil {
			return nil, fmt.Errorf("%w: upgrade to length %d: %w", ErrBadProof, change.Tree.Length, err)
		}
	}
	change.Nodes = c.growth.nodes
	return change, nil
}

// checker verifies one proof. New nodes gather in growth.nodes.
type checker struct {
	tree   Tree
	nodes  NodeReader
	growth growth
	top    *subtree // not yet trusted
}

// subtree is the root of a path that was climbed.
type subtree struct {
	Node
	computed bool // from a block or from children, so that its hash proves its size
}

// paths climbs from what the proof says about a seek, a block or a node to the
// top of that path.
func (c *checker) paths(p *Proof) error {
	if s := p.Seek; s != nil && len(s.Nodes) > 0 {
		top, err := c.climb(subtree{Node: s.Nodes[0]}, s.Nodes[1:], nil)
		if err != nil {
			return fmt.Errorf("seek: %w", err)
		}
		c.top = top
	}
	if b := p.Block; b != nil {
		if b.Index >= MaxLength {
			return badProof("block %d is out of range", b.Index)
		}
		leaf := subtree{Node: b.leaf(), computed: true}
		top, err := c.climb(leaf, b.Nodes, c.top)
		if err != nil {
			return fmt.Errorf("block %d: %w", b.Index, err)
		}
		c.top = top
	}
	if h := p.Hash; h != nil {
		if len(h.Nodes) == 0 || h.Nodes[0].Index != h.Index {
			return badProof("hash %d does not start with that node", h.Index)
		}
		top, err := c.climb(subtree{Node: h.Nodes[0]}, h.Nodes[1:], c.top)
		if err != nil {
			return fmt.Errorf("hash %d: %w", h.Index, err)
		}
		c.top = top
	}
	return nil
}

// climb computes the nodes above cur from the siblings in list. extra, a
// subtree that was climbed before, stands for one of them and must be used.
func (c *checker) climb(cur subtree, list []Node, extra *subtree) (*subtree, error) {
	if len(list) > maxPath {
		return nil, badProof("path of %d nodes", len(list))
	}
	if err := checkNode(cur.Node); err != nil {
		return nil, err
	}
	c.growth.nodes = append(c.growth.nodes, cur.Node)
	for len(list) > 0 || extra != nil {
		var next Node
		if want := Sibling(cur.Index); extra != nil && extra.Index == want {
			next, extra = extra.Node, nil
		} else {
			var err error
			if next, list, err = take(list, want); err != nil {
				return nil, err
			}
			c.growth.nodes = append(c.growth.nodes, next)
		}
		parent, err := ParentNode(cur.Node, next)
		if err != nil {
			return nil, badProof("node %d: %v", Parent(cur.Index), err)
		}
		cur = subtree{Node: parent, computed: true}
		c.growth.nodes = append(c.growth.nodes, parent)
	}
	return &cur, nil
}

// upgrade grows the tree and gives its new length.
func (c *checker) upgrade(u *UpgradeProof) (uint64, error) {
	if u.Start != c.tree.Length {
		return 0, badProof("upgrade from %d, length is %d", u.Start, c.tree.Length)
	}
	if u.Length == 0 || u.Start > MaxLength || u.Length > MaxLength-u.Start {
		return 0, badProof("upgrade of %d from %d", u.Length, u.Start)
	}
	end := u.Start + u.Length
	if _, err := c.grow(u.Start, end, u.Nodes, true); err != nil {
		return 0, fmt.Errorf("upgrade from %d to %d: %w", u.Start, end, err)
	}
	if len(u.Additional) == 0 {
		return end, nil
	}
	last := u.Additional[len(u.Additional)-1].Index
	if last > MaxSize {
		return 0, badProof("additional node %d is out of range", last)
	}
	_, hi := Span(last)
	length := hi/2 + 1
	if length > MaxLength {
		return 0, badProof("additional node %d is out of range", last)
	}
	rest, err := c.grow(end, length, u.Additional, false)
	if err != nil {
		return 0, fmt.Errorf("additional nodes to %d: %w", length, err)
	}
	if len(rest) > 0 {
		return 0, badProof("%d surplus additional nodes", len(rest))
	}
	return length, nil
}

// grow adds the chunks that lead from one length to the next: with path, the
// top of the path where it is one of them, else the next node of list. It gives
// what is left of list. Additional nodes come without path: what was asked for
// is below the end of the upgrade.
func (c *checker) grow(from, to uint64, list []Node, path bool) ([]Node, error) {
	for _, chunk := range Chunks(from, to) {
		var err error
		if path && c.top != nil && c.top.Index == chunk {
			err = c.growth.merge(c.top.Node)
			c.top = nil
		} else {
			var node Node
			if node, list, err = take(list, chunk); err != nil {
				return nil, err
			}
			err = c.growth.add(node)
		}
		if err != nil {
			return nil, badProof("node %d: %v", chunk, err)
		}
	}
	return list, nil
}

// confirm compares the top of a path that no upgrade took with the stored node.
func (c *checker) confirm() error {
	if c.top == nil {
		return nil
	}
	top := *c.top
	if !inside(top.Index, c.tree.Length) {
		return badProof("node %d is not below length %d", top.Index, c.tree.Length)
	}
	stored, ok, err := c.tree.lookup(c.nodes, top.Index)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: %w", ErrBadProof, &MissingNodeError{Index: top.Index})
	}
	if stored.Hash != top.Hash || stored.Size != top.Size && !top.computed {
		return &MismatchError{Index: top.Index}
	}
	if stored.Size != top.Size {
		return c.repair(top.Node)
	}
	c.forget(top.Index)
	return nil
}

// repair stores a node that was stored with the right hash and a wrong size,
// and its sibling, which then got the rest of the parent's.
func (c *checker) repair(n Node) error {
	parent, ok, err := c.tree.lookup(c.nodes, Parent(n.Index))
	if err != nil {
		return err
	}
	sibling, have, err := c.tree.lookup(c.nodes, Sibling(n.Index))
	if err != nil {
		return err
	}
	if ok && have && inside(parent.Index, c.tree.Length) && n.Size <= parent.Size {
		sibling.Size = parent.Size - n.Size
		c.growth.nodes = append(c.growth.nodes, sibling)
	}
	return nil
}

// forget takes a node that is stored already off the new ones.
func (c *checker) forget(index uint64) {
	for i := len(c.growth.nodes) - 1; i >= 0; i-- {
		if c.growth.nodes[i].Index == index {
			c.growth.nodes = append(c.growth.nodes[:i], c.growth.nodes[i+1:]...)
			return
		}
	}
}

// take removes the first node of list, which must have that index.
func take(list []Node, index uint64) (Node, []Node, error) {
	if len(list) == 0 {
		return Node{}, nil, badProof("node %d is missing", index)
	}
	if list[0].Index != index {
		return Node{}, nil, badProof("node %d, want %d", list[0].Index, index)
	}
	return list[0], list[1:], checkNode(list[0])
}

// checkNode refuses what cannot be stored.
func checkNode(n Node) error {
	if n.Index > MaxSize || n.Size > MaxSize {
		return badProof("node %d of size %d is out of range", n.Index, n.Size)
	}
	if n.Hash == (Hash{}) {
		return badProof("node %d has no hash", n.Index)
	}
	return nil
}
