package hypercore

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"multicore/hypercore/merkle"
)

// Prove answers a peer's request from Head, the block, the signature and the
// manifest included. ErrNotHeld where something is not here or the request is
// about another fork; merkle.ErrInvalidRequest.
func (c *Core) Prove(r merkle.Request) (*merkle.Proof, error) { return c.ProveInto(r, nil) }

// ProveInto is Prove with a block that lies in buf where that has the capacity.
func (c *Core) ProveInto(r merkle.Request, buf []byte) (*merkle.Proof, error) {
	for {
		h, v, err := c.lookHead()
		if err != nil {
			return nil, err
		}
		p, err := c.prove(h, v, r, buf)
		if c.still(v) {
			return p, err
		}
	}
}

// lookHead is look for what peers see.
func (c *Core) lookHead() (Head, view, error) {
	c.rest()
	defer c.mu.RUnlock()
	h := Head{Tree: c.head, Signature: c.signature, HasManifest: c.manifest != nil && !c.manifest.Legacy}
	return h, view{tree: c.head, size: c.head.ByteLength(), era: c.era}, c.usableLocked()
}

func (c *Core) prove(h Head, v view, r merkle.Request, buf []byte) (*merkle.Proof, error) {
	var manifest []byte
	if r.Manifest && h.HasManifest {
		manifest = c.Manifest().Encode()
	}
	if r.Fork != h.Fork {
		if manifest == nil {
			return nil, fmt.Errorf("fork %d, have %d: %w", r.Fork, h.Fork, ErrNotHeld)
		}
		return &merkle.Proof{Fork: r.Fork, Manifest: manifest}, nil
	}
	if r.Block != nil && r.Block.Index < h.Length && !c.Has(r.Block.Index) {
		return nil, fmt.Errorf("block %d: %w", r.Block.Index, ErrNotHeld)
	}
	r, err := aroundPrologue(c.Manifest(), r)
	if err != nil {
		return nil, err
	}
	p, err := merkle.Prove(h.Tree, c.files, r)
	if errors.Is(err, merkle.ErrMissingNode) {
		err = fmt.Errorf("%w: %w", ErrNotHeld, err)
	}
	if err != nil {
		return nil, err
	}
	if p.Block != nil {
		if p.Block.Value, err = c.readBlock(v, p.Block.Index, buf); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotHeld, err)
		}
	}
	if p.Upgrade != nil {
		p.Upgrade.Signature = h.Signature
	}
	p.Manifest = manifest
	return p, nil
}

// aroundPrologue makes an upgrade that begins within the prologue one to the end
// of it, so that the reader sees its roots; what follows comes as additional
// nodes (spec 8.3).
func aroundPrologue(m *Manifest, r merkle.Request) (merkle.Request, error) {
	if r.Upgrade == nil || m == nil || m.Prologue == nil || r.Upgrade.Start >= m.Prologue.Length {
		return r, nil
	}
	if r.Block != nil && r.Block.Index >= m.Prologue.Length {
		return r, fmt.Errorf("block %d with an upgrade within the prologue: %w", r.Block.Index, ErrNotHeld)
	}
	r.Upgrade = &merkle.UpgradeRequest{Length: m.Prologue.Length}
	return r, nil
}

// Missing is the `nodes` field of a request for a flat tree node, 2i for block i
// (spec 8.1).
func (c *Core) Missing(index uint64) (uint64, error) {
	_, v, err := c.lookHead()
	if err != nil {
		return 0, err
	}
	return merkle.Missing(v.tree, c.connected(v.tree), index)
}

// SeekPath is the hash request that a seek for that byte travels with: the path
// of a leaf near it (spec 13.3). done where stored nodes decide the seek
// already.
func (c *Core) SeekPath(bytes uint64) (hash merkle.HashRequest, done bool, err error) {
	_, v, err := c.lookHead()
	if err != nil {
		return hash, false, err
	}
	at, _, found, err := merkle.Find(v.tree, c.files, bytes, 0)
	if err != nil || found {
		return hash, found, err
	}
	lo, _ := merkle.Span(at.Index)
	return merkle.HashRequest{Index: lo, Nodes: uint64(merkle.Depth(at.Index))}, false, nil
}

// Apply verifies a peer's proof and then stores what it proves: nodes, a block,
// a longer head, the manifest. What was stored already does no harm.
//
// ErrBadProof (wrapped) where the peer is to blame; ErrStale where our state
// moved on, or a node of ours turned out to be damaged and was erased: ask
// again; ErrFork for a fork above ours, of which nothing is stored. Other errors
// are those of the disk. Proofs are verified in parallel and stored one by one.
//
// A longer head of an own core, which only its own key can have signed, is
// adopted: what was appended here and not yet signed moves behind it.
func (c *Core) Apply(p *merkle.Proof) error {
	_, v, err := c.lookHead()
	if err != nil {
		return err
	}
	manifest, err := c.proofManifest(p)
	if err != nil {
		return err
	}
	defer c.events.deliver()
	if p.Block == nil && p.Hash == nil && p.Upgrade == nil && p.Seek == nil {
		return c.commit(v, p, manifest, &merkle.Change{Tree: v.tree})
	}
	switch {
	case p.Fork > v.tree.Fork:
		return fmt.Errorf("%w: %d, have %d", ErrFork, p.Fork, v.tree.Fork)
	case p.Fork < v.tree.Fork:
		return fmt.Errorf("%w: fork %d, have %d", ErrStale, p.Fork, v.tree.Fork)
	case p.Upgrade != nil && p.Upgrade.Start != v.tree.Length:
		return fmt.Errorf("%w: upgrade from %d, length is %d", ErrStale, p.Upgrade.Start, v.tree.Length)
	case p.Block != nil && len(p.Block.Value) > MaxBlock:
		return fmt.Errorf("%w: block of %d bytes", ErrBadProof, len(p.Block.Value))
	}
	change, err := merkle.Check(v.tree, c.connected(v.tree), p, func(t merkle.Tree) error {
		return manifest.Verify(t, p.Upgrade.Signature)
	})
	if err == nil {
		err = checkPrologue(manifest, v.tree, p, change)
	}
	if err != nil {
		return c.refuse(v, p, err)
	}
	return c.commit(v, p, manifest, change)
}

// proofManifest is the manifest to verify p with: the one that is known, the one
// in p, or that of a legacy core (spec 8.3).
func (c *Core) proofManifest(p *merkle.Proof) (*Manifest, error) {
	known := c.Manifest()
	if p.Manifest == nil {
		if known == nil {
			known = LegacyManifest(c.key)
		}
		return known, nil
	}
	m, err := ParseManifest(p.Manifest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadProof, err)
	}
	if m.Key() != c.key {
		return nil, fmt.Errorf("%w: manifest of another core", ErrBadProof)
	}
	return m, nil
}

// checkPrologue refuses an upgrade that does not contain the prologue (spec
// 8.3, last point).
func checkPrologue(m *Manifest, t merkle.Tree, p *merkle.Proof, change *merkle.Change) error {
	if !change.Upgraded || m.Prologue == nil || t.Length >= m.Prologue.Length {
		return nil
	}
	length := m.Prologue.Length
	if t.Length != 0 || p.Upgrade.Length < length {
		return fmt.Errorf("%w: upgrade of %d blocks within a prologue of %d", ErrBadProof, p.Upgrade.Length, length)
	}
	if change.Tree.Length == length {
		return nil // Verify compared it
	}
	roots, err := readRoots(overlay{change: change.Nodes, stored: noNodes{}}, length)
	if err != nil || merkle.TreeHash(roots) != m.Prologue.Hash {
		return fmt.Errorf("%w: not the prologue of %d blocks", ErrBadProof, length)
	}
	return nil
}

// overlay reads nodes as they will be once a change is stored.
type overlay struct {
	change []merkle.Node
	stored merkle.NodeReader
}

func (o overlay) Node(index uint64) (merkle.Node, bool, error) {
	for i := len(o.change) - 1; i >= 0; i-- { // the last one of an index counts
		if o.change[i].Index == index {
			return o.change[i], true, nil
		}
	}
	return o.stored.Node(index)
}

// commit stores a checked change, if it still fits.
func (c *Core) commit(v view, p *merkle.Proof, manifest *Manifest, change *merkle.Change) error {
	c.write.Lock()
	defer c.write.Unlock()
	if c.own {
		c.committing.Lock() // or a round moves the head
		defer c.committing.Unlock()
	}
	if err := c.usable(); err != nil {
		return err
	}
	if err := c.frozen(); err != nil {
		return err
	}
	if c.era != v.era || change.Upgraded && c.head.Length != v.tree.Length {
		return fmt.Errorf("%w: length is %d", ErrStale, c.head.Length)
	}
	if change.Upgraded && c.own {
		return c.adopt(change, nil)
	}
	after := c.head // stays: write is held, and committing where the core is our own
	if change.Upgraded {
		after = change.Tree
	}
	nodes, err := c.newNodes(p, change.Nodes)
	if err != nil {
		return err
	}
	var stored uint64 // blocks
	if b := change.Block; b != nil && !c.bits.has(b.Index) {
		off, err := merkle.ByteOffset(after, overlay{change: nodes, stored: c.files}, 2*b.Index)
		if errors.Is(err, merkle.ErrMissingNode) {
			if _, err := c.distrust(after, 2*b.Index); err != nil {
				return err
			}
			return fmt.Errorf("%w: offset of block %d: %w", ErrStale, b.Index, err)
		}
		if err != nil {
			return err
		}
		if err := c.files.WriteBlocks(b.Value, int64(off)); err != nil {
			return fmt.Errorf("block %d: %w", b.Index, err)
		}
		stored = 1
	}
	if len(nodes) > 0 {
		if err := c.files.WriteNodes(nodes); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learnManifest(manifest, p)
	if change.Upgraded {
		c.events.add(Event{Kind: Upgraded, From: c.head.Length, To: after.Length})
		c.tree, c.head, c.size, c.signature = after, after, after.ByteLength(), slices.Clone(change.Signature)
		c.grown = time.Now()
		c.headDirty = true
	}
	if stored > 0 {
		i := change.Block.Index
		c.bits.set(i, i+1)
		c.headDirty = true
		c.events.add(Event{Kind: Stored, From: i, To: i + 1})
	}
	if c.headDirty || c.infoDirty {
		c.notify()
		c.flusher.mark(c)
	}
	return nil
}

// learnManifest keeps the manifest of a proof. c.mu is held.
func (c *Core) learnManifest(m *Manifest, p *merkle.Proof) {
	if c.manifest == nil && p.Manifest != nil {
		c.manifest = m
		c.infoDirty = true
	}
}

// newNodes gives the nodes of a change that are to be written, the last one of
// each index. The node that a hash or seek proof starts with and its sibling
// are proved in the sum of their sizes alone, so where they are stored already
// they stay: a block below them may have proved each.
func (c *Core) newNodes(p *merkle.Proof, nodes []merkle.Node) ([]merkle.Node, error) {
	var unsure []uint64
	for _, list := range [][]merkle.Node{seekNodes(p), hashNodes(p)} {
		if len(list) > 1 {
			unsure = append(unsure, list[0].Index, merkle.Sibling(list[0].Index))
		}
	}
	var keep []merkle.Node
	for _, n := range lastOfEach(nodes) {
		if slices.Contains(unsure, n.Index) {
			stored, ok, err := c.files.Node(n.Index)
			if err != nil {
				return nil, err
			}
			if ok && stored.Hash == n.Hash {
				continue
			}
		}
		keep = append(keep, n)
	}
	return keep, nil
}

func seekNodes(p *merkle.Proof) []merkle.Node {
	if p.Seek == nil {
		return nil
	}
	return p.Seek.Nodes
}

func hashNodes(p *merkle.Proof) []merkle.Node {
	if p.Hash == nil {
		return nil
	}
	return p.Hash.Nodes
}
