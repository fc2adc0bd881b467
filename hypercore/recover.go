package hypercore

import (
	"errors"
	"fmt"
	"io"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// treeNodeBytes is the size of a node in the file `tree`.
const treeNodeBytes = 40

// DamageError says what of a core contradicts its durable head, and where. It
// is an ErrDamaged.
type DamageError struct {
	File   string // "blocks", "tree", or the record that is damaged
	Offset uint64 // in bytes
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%v: %s at byte %d: %s", ErrDamaged, e.File, e.Offset, e.Reason)
}
func (e *DamageError) Unwrap() error { return ErrDamaged }

// recordError is a DamageError for a record, unless a later version made it.
func (c *Core) recordError(record string, err error) error {
	if errors.Is(err, storage.ErrNewer) {
		return fmt.Errorf("%s: %w", record, err)
	}
	return &DamageError{File: record, Reason: err.Error()}
}

// recover takes the state from the durable head and, where the core is ours,
// what agrees beyond it. Whatever is damaged below the head is found before
// anything is changed.
func (c *Core) recover(head *headRecord) error {
	if head == nil {
		c.bits = bitfield{}
		head = &headRecord{tree: recordTree(merkle.Tree{})}
	} else if !c.recorded {
		return &DamageError{File: "core record", Reason: "it is missing"}
	}
	if head.move != nil {
		return c.recoverMove(head)
	}
	if err := c.takeHead(head); err != nil {
		if c.own || !errors.Is(err, ErrDamaged) {
			return err
		}
		c.log.Warn("head is damaged and will be fetched again", "core", c.id.String(), "err", err)
		c.tree, c.head, c.signature, c.size, c.durable, c.stored = merkle.Tree{}, merkle.Tree{}, nil, 0, 0, 0
		c.bits.clear(0, merkle.MaxLength)
		c.lost = true
		return nil
	}
	if c.own {
		return c.recoverTail(head)
	}
	_, nodes, err := c.files.Sizes()
	if err != nil {
		return err
	}
	c.inherits = nodes > 0
	return c.dropBeyond()
}

// takeHead sets the state to what the record says and checks the roots, and of
// an own core the sizes of the files.
func (c *Core) takeHead(r *headRecord) error {
	var err error
	if c.head, err = c.loadTree(r.fork, r.tree); err != nil {
		return err
	}
	c.tree = c.head
	if r.tail != nil {
		if c.tree, err = c.loadTree(r.fork, *r.tail); err != nil {
			return err
		}
	}
	c.size, c.signature, c.grown = c.tree.ByteLength(), r.signature, r.grown
	c.durable, c.stored = c.head.Length, c.tree.Length
	if c.bits.contiguous > c.tree.Length {
		return c.recordError("head record", fmt.Errorf("%d contiguous blocks of %d", c.bits.contiguous, c.tree.Length))
	}
	if !c.own {
		return nil
	}
	blocks, nodes, err := c.files.Sizes()
	if err != nil {
		return err
	}
	if want := firstBeyond(c.tree.Length); nodes < want && c.bits.has(max(c.tree.Length, 1)-1) {
		return &DamageError{File: "tree", Offset: nodes * treeNodeBytes,
			Reason: fmt.Sprintf("the file ends with %d nodes, length %d has %d", nodes, c.tree.Length, want)}
	}
	if uint64(blocks) < c.size && (c.bits.contiguous == c.tree.Length || c.tailBytes() > 0) {
		return &DamageError{File: "blocks", Offset: uint64(blocks),
			Reason: fmt.Sprintf("the file ends with %d bytes, length %d has %d", blocks, c.tree.Length, c.size)}
	}
	return nil
}

// tailBytes is the size of the blocks that only we can have.
func (c *Core) tailBytes() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.size - c.head.ByteLength()
}

// loadTree reads the roots of a recorded tree and compares them with it.
func (c *Core) loadTree(fork uint64, r treeRecord) (merkle.Tree, error) {
	roots, err := readRoots(c.files, r.length)
	if err != nil {
		return merkle.Tree{}, err
	}
	t := merkle.Tree{Fork: fork, Length: r.length, Roots: roots}
	if t.Hash() != r.hash || t.ByteLength() != r.size {
		last := uint64(0)
		if len(roots) > 0 {
			last = roots[len(roots)-1].Index
		}
		return merkle.Tree{}, &DamageError{File: "tree", Offset: last * treeNodeBytes,
			Reason: fmt.Sprintf("the roots of length %d are not those of the head", r.length)}
	}
	return t, nil
}

// readRoots reads the roots of a length.
func readRoots(nodes merkle.NodeReader, length uint64) ([]merkle.Node, error) {
	var roots []merkle.Node
	for _, index := range merkle.Chunks(0, length) {
		n, ok, err := nodes.Node(index)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, &DamageError{File: "tree", Offset: index * treeNodeBytes,
				Reason: fmt.Sprintf("root %d of length %d is missing", index, length)}
		}
		roots = append(roots, n)
	}
	return roots, nil
}

// recoverTail accepts what agrees beyond the durable state of an own core and
// cuts the rest.
func (c *Core) recoverTail(head *headRecord) error {
	from := c.tree.Length
	if !head.cut {
		if err := c.acceptTail(); err != nil {
			return err
		}
	}
	if err := c.cutRest(head.cut); err != nil {
		return err
	}
	if head.cut { // or what is appended now would be cut the next time
		done := *head
		done.cut = false
		if err := c.flusher.store.Update(func(tx storage.Tx) error { return putRecords(tx, c.id, nil, &done, nil) }); err != nil {
			return err
		}
	}
	c.bits.set(from, c.tree.Length)
	c.headDirty = c.headDirty || c.tree.Length > c.head.Length && !c.held && !c.settling || c.tree.Length > from
	return c.dropBeyond()
}

// acceptTail grows the tree by the blocks whose bytes and leaves agree, as do
// those of the inner nodes that are there. They are written again: a sync that
// failed earlier may have left them in memory alone, where the kernel takes them
// for written.
func (c *Core) acceptTail() error {
	blocks, _, err := c.files.Sizes()
	if err != nil {
		return err
	}
	batch := merkle.NewBatch(c.tree)
	for known := 0; ; known = len(batch.Nodes()) {
		block, err := c.tailBlock(batch, uint64(blocks))
		if err != nil || block == nil {
			return err
		}
		off := batch.ByteLength()
		if err := batch.Append(block); err != nil {
			return nil // the log has its largest length
		}
		made := batch.Nodes()[known:]
		for _, n := range made {
			if stored, ok, err := c.files.Node(n.Index); err != nil {
				return err
			} else if ok && stored != n || !ok && n.Index == made[0].Index {
				return nil // inner nodes are written with the flush
			}
		}
		if err := c.files.WriteBlocks(block, int64(off)); err != nil {
			return err
		}
		if err := c.files.WriteNodes(made); err != nil {
			return err
		}
		c.tree, c.size = batch.Tree(), batch.ByteLength()
	}
}

// tailBlock reads the next block as its leaf describes it, nil where that
// cannot be.
func (c *Core) tailBlock(batch *merkle.Batch, end uint64) ([]byte, error) {
	leaf, ok, err := c.files.Node(2 * batch.Length())
	if err != nil || !ok {
		return nil, err
	}
	off := batch.ByteLength()
	if leaf.Size > MaxBlock || leaf.Size > 0 && (off > end || leaf.Size > end-off) {
		return nil, nil // an empty block may lie beyond the file, where those before it are not held
	}
	block := make([]byte, leaf.Size)
	if _, err := c.files.ReadBlocks(block, int64(off)); err != nil && err != io.EOF {
		return nil, err
	}
	return block, nil
}

// cutRest cuts what lies beyond the tree, if there is something.
func (c *Core) cutRest(always bool) error {
	blocks, nodes, err := c.files.Sizes()
	if err != nil {
		return err
	}
	beyond := firstBeyond(c.tree.Length)
	surplus := always || uint64(blocks) > c.size || nodes > beyond
	for _, index := range spanning(c.tree.Length) {
		_, ok, err := c.files.Node(index)
		if err != nil {
			return err
		}
		surplus = surplus || ok
	}
	if !surplus {
		return nil
	}
	c.log.Warn("cut what was not committed", "core", c.id.String(), "length", c.tree.Length,
		"bytes", max(blocks, int64(c.size))-int64(c.size), "nodes", max(nodes, beyond)-beyond)
	return c.cutFiles(c.tree.Length, c.size)
}

// dropBeyond gives up held blocks that end beyond the file, so that they are
// fetched again.
func (c *Core) dropBeyond() error {
	blocks, _, err := c.files.Sizes()
	if err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	v, err := c.look()
	if err != nil {
		return err
	}
	if uint64(blocks) >= v.size {
		return nil
	}
	at, _, _, err := merkle.Find(v.tree, c.files, uint64(blocks), 0)
	if err != nil {
		return err
	}
	lo, _ := merkle.Span(at.Index)
	from := lo / 2 // nothing below a node without stored children is held
	if c.tailBytes() > 0 {
		return &DamageError{File: "blocks", Offset: uint64(blocks), Reason: fmt.Sprintf("the file ends within block %d", from)}
	}
	lost := 0
	// Only those who hold c.write change bits.
	for i, ok := c.bits.next(from); ok; i, ok = c.bits.next(i + 1) {
		off, size, err := c.extent(v, i)
		if err != nil && !errors.Is(err, merkle.ErrMissingNode) && !errors.Is(err, ErrDamaged) {
			return err
		}
		if err != nil || size > 0 && off+size > uint64(blocks) {
			c.mu.Lock()
			c.bits.clear(i, i+1)
			c.headDirty = true
			c.notify()
			c.mu.Unlock()
			lost++
		}
	}
	if lost > 0 {
		c.log.Warn("the blocks file is too short; what it lacks will be fetched again",
			"core", c.id.String(), "bytes", blocks, "block", from, "blocks", lost)
		c.flusher.mark(c)
	}
	return nil
}
