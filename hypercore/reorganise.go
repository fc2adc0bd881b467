package hypercore

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"multicore/hypercore/merkle"
)

// Reorganisation is a verified head of a higher fork on its way into a core,
// while what both forks have in common is looked for (spec 9): blocks below a
// node that is the same in both trees stay. Where nodes of the new tree are
// lacking, Next says which to ask peers for. Install takes the new head with the
// common blocks that are known so far; the others are dropped, and fetched
// again. Nothing of the core changes before. Safe for concurrent use.
type Reorganisation struct {
	core     *Core
	era      uint64
	change   *merkle.Change
	proof    *merkle.Proof
	manifest *Manifest

	mu    sync.Mutex
	nodes map[uint64]merkle.Node // of the new tree
}

// Reorganise verifies a proof of a higher fork, from length 0, and begins the
// change to it. Errors are those of Apply; ErrStale where the core has that fork
// or a higher one.
func (c *Core) Reorganise(p *merkle.Proof) (*Reorganisation, error) {
	_, v, err := c.lookHead()
	if err != nil {
		return nil, err
	}
	if err := c.frozen(); err != nil {
		return nil, err
	}
	if p.Fork <= v.tree.Fork {
		return nil, fmt.Errorf("%w: fork %d, have %d", ErrStale, p.Fork, v.tree.Fork)
	}
	if p.Upgrade == nil || p.Upgrade.Start != 0 || p.Block != nil || p.Hash != nil || p.Seek != nil {
		return nil, fmt.Errorf("%w: a fork is proved from its beginning", ErrBadProof)
	}
	manifest, err := c.proofManifest(p)
	if err != nil {
		return nil, err
	}
	empty := merkle.Tree{Fork: p.Fork}
	change, err := fromNothing(manifest, p)
	if err == nil {
		err = checkPrologue(manifest, empty, p, change)
	}
	if err != nil {
		return nil, err
	}
	r := &Reorganisation{core: c, era: v.era, change: change, proof: p, manifest: manifest, nodes: make(map[uint64]merkle.Node)}
	for _, n := range change.Nodes {
		r.nodes[n.Index] = n
	}
	return r, nil
}

// Tree is the tree that Install leads to.
func (r *Reorganisation) Tree() merkle.Tree { return r.change.Tree }

// Next gives the path of the new tree that decides whether more blocks can stay;
// false where none can.
func (r *Reorganisation) Next() (merkle.HashRequest, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, v, err := r.core.lookHead()
	if err != nil {
		return merkle.HashRequest{}, false, err
	}
	s, err := r.compare(v.tree)
	if err != nil || s.ask == nil {
		return merkle.HashRequest{}, false, err
	}
	return *s.ask, true, nil
}

// Add verifies what a peer answered to Next.
func (r *Reorganisation) Add(p *merkle.Proof) error {
	if p.Hash == nil || p.Block != nil || p.Upgrade != nil || p.Seek != nil {
		return fmt.Errorf("%w: want a path of the new fork", ErrBadProof)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	change, err := merkle.Check(r.change.Tree, nodeMap(r.nodes), p, nil)
	if err != nil {
		return err
	}
	for _, n := range lastOfEach(change.Nodes) {
		if _, ok := r.nodes[n.Index]; !ok {
			r.nodes[n.Index] = n
		}
	}
	return nil
}

// nodeMap is a merkle.NodeReader.
type nodeMap map[uint64]merkle.Node

func (m nodeMap) Node(index uint64) (merkle.Node, bool, error) {
	n, ok := m[index]
	return n, ok, nil
}

// comparison finds the beginning that two trees share, from left to right.
type comparison struct {
	r    *Reorganisation
	old  merkle.Tree
	keep prefix // up to the last shared node with a block that is held
	seen prefix // up to the last shared node
	ask  *merkle.HashRequest
}

func (r *Reorganisation) compare(old merkle.Tree) (*comparison, error) {
	s := &comparison{r: r, old: old}
	for _, root := range r.change.Tree.Roots {
		same, err := s.below(root)
		if err != nil {
			return nil, err
		}
		if !same {
			break
		}
	}
	return s, nil
}

// below goes on over node n of the new tree; false where the first difference,
// or what is not known, lies in it. Where nothing below n is held it does not
// matter where they differ.
func (s *comparison) below(n merkle.Node) (same bool, err error) {
	lo, hi := merkle.Span(n.Index)
	lo, hi = lo/2, hi/2
	holds := s.holds(lo, hi)
	if hi < s.old.Length {
		have, ok, err := node(s.old, s.r.core.files, n.Index)
		if err != nil {
			return false, err
		}
		if ok && have == n {
			s.seen.length, s.seen.size = hi+1, s.seen.size+n.Size
			if holds {
				s.keep = s.seen
			}
			return true, nil
		}
	}
	l, inner := merkle.LeftChild(n.Index)
	if !holds || !inner {
		return false, nil
	}
	left, okLeft := s.r.nodes[l]
	right, okRight := s.r.nodes[merkle.Sibling(l)]
	if !okLeft || !okRight {
		s.ask = &merkle.HashRequest{Index: 2 * lo, Nodes: uint64(merkle.Depth(n.Index))}
		return false, nil
	}
	if same, err = s.below(left); err != nil || !same {
		return false, err
	}
	return s.below(right)
}

// holds reports whether a signed block of [from, to] is held.
func (s *comparison) holds(from, to uint64) bool {
	c := s.r.core
	c.mu.RLock()
	defer c.mu.RUnlock()
	i, ok := c.bits.next(from)
	return ok && i <= to && i < s.old.Length
}

// Install takes the new head. When it returns it is on the disk, with the blocks
// that stayed. What an own core has appended and not yet signed moves behind it.
// ErrStale where the core changed otherwise meanwhile; then it is to be begun
// anew.
func (r *Reorganisation) Install() error {
	c := r.core
	defer c.events.deliver()
	r.mu.Lock()
	defer r.mu.Unlock()
	c.write.Lock()
	defer c.write.Unlock()
	c.committing.Lock()
	defer c.committing.Unlock()
	if err := c.usable(); err != nil {
		return err
	}
	if err := c.frozen(); err != nil {
		return err
	}
	if c.era != r.era || c.head.Fork >= r.change.Tree.Fork {
		return fmt.Errorf("%w: fork is %d", ErrStale, c.head.Fork)
	}
	s, err := r.compare(c.head)
	if err != nil {
		return err
	}
	change := *r.change
	change.Nodes = nil
	for _, n := range r.nodes {
		change.Nodes = append(change.Nodes, n)
	}
	slices.SortFunc(change.Nodes, func(a, b merkle.Node) int { return cmp.Compare(a.Index, b.Index) })
	c.mu.Lock()
	c.learnManifest(r.manifest, r.proof)
	c.mu.Unlock()
	if err := c.adopt(&change, &s.keep); err != nil {
		return fmt.Errorf("fork %d: %w", change.Tree.Fork, err)
	}
	return nil
}
