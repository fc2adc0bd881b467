package hypercore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"multicore/hypercore/merkle"
)

// Verification is what Verify read, and what it found.
type Verification struct {
	Blocks, Bytes uint64       // held, read and right
	Damaged       uint64       // places that are not
	First         *DamageError // the first of them; nil where all is right
}

// VerifyOptions of Verify.
type VerifyOptions struct {
	// Repair gives up what is damaged, so that it is fetched from peers again.
	// What peers cannot have stays as it is.
	Repair bool

	// Progress is called now and then with what was read so far, of the blocks
	// that the core has, held or not. nil: it is not.
	Progress func(sofar Verification, of uint64)
}

// Verify reads all that is held of the core and checks each hash up to the
// roots, and the signature over them (spec 4, 7). It gives what it found, and an
// error only where it could not go on: ctx's, or that of the disk. Appends go on
// meanwhile and are not looked at.
func (c *Core) Verify(ctx context.Context, o VerifyOptions) (Verification, error) {
	for {
		w := &verifier{ctx: ctx, core: c, options: o, cuts: c.cutsSoFar()} // first: a cut before the look does no harm
		var err error
		if w.view, err = c.look(); err != nil {
			return Verification{}, err
		}
		err = w.run()
		if errors.Is(err, errMoved) {
			continue // what was found may be that
		}
		if err != nil {
			err = fmt.Errorf("verify: %w", err)
		}
		return w.found, err
	}
}

// errMoved says that what is being verified is not what it was.
var errMoved = errors.New("log was cut meanwhile")

type verifier struct {
	ctx     context.Context
	core    *Core
	cuts    uint64 // as cuts.seq when it began
	view    view
	options VerifyOptions
	found   Verification
	buf     []byte
	bad     []uint64 // leaves that repair is to look at
}

func (w *verifier) run() error {
	if err := w.signature(); err != nil {
		return err
	}
	var off uint64
	for _, root := range w.view.tree.Roots {
		stored, ok, err := w.core.files.Node(root.Index)
		if err != nil {
			return err
		}
		if !ok || stored != root {
			if err := w.damage("tree", root.Index*treeNodeBytes, "root %d is not that of the head", root.Index); err != nil {
				return err
			}
		}
		if err := w.below(root, off); err != nil {
			return err
		}
		off += root.Size
	}
	if _, err := w.refresh(); err != nil {
		return err
	}
	return w.repair()
}

// refresh is errMoved where the log was cut. Clearing leaves all that was
// verified as it is; changed says that it went on since the last call, so that
// zeros may have been read.
func (w *verifier) refresh() (changed bool, err error) {
	c := w.core
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.cuts.seq != w.cuts {
		return false, errMoved
	}
	changed = c.era != w.view.era
	w.view.era = c.era
	return changed, nil
}

func (c *Core) cutsSoFar() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.cuts.seq
}

// signature checks the head that peers see.
func (w *verifier) signature() error {
	h := w.core.Head()
	m := w.core.Manifest()
	if m == nil {
		m = LegacyManifest(w.core.key)
	}
	if h.Length == 0 && h.Signature == nil {
		return nil
	}
	if err := m.Verify(h.Tree, h.Signature); err != nil {
		return w.damage("head record", 0, "signature of length %d: %v", h.Length, err)
	}
	return nil
}

// below checks what is stored below a node that is right, and begins at byte
// off.
func (w *verifier) below(at merkle.Node, off uint64) error {
	l, inner := merkle.LeftChild(at.Index)
	if !inner {
		return w.block(at, off)
	}
	left, right, ok, err := w.children(l)
	if err != nil {
		return err
	}
	if !ok {
		lo, hi := merkle.Span(at.Index)
		i, held := w.core.nextHeld(lo / 2)
		if !held || i > hi/2 {
			return nil // a part that was never fetched
		}
		if left, right, ok, err = w.children(l); err != nil { // or was, this moment
			return err
		}
		if !ok {
			w.bad = append(w.bad, i)
			return w.damage("tree", l*treeNodeBytes, "the nodes above block %d are missing", i)
		}
	}
	parent, err := merkle.ParentNode(left, right)
	if err != nil || parent.Hash != at.Hash || parent.Size != at.Size {
		lo, _ := merkle.Span(at.Index)
		w.bad = append(w.bad, lo/2)
		return w.damage("tree", l*treeNodeBytes, "nodes %d and %d are not the children of %d", l, merkle.Sibling(l), at.Index)
	}
	if err := w.below(left, off); err != nil {
		return err
	}
	return w.below(right, off+left.Size)
}

// children reads node l and its sibling; ok is false where one is missing.
func (w *verifier) children(l uint64) (left, right merkle.Node, ok bool, err error) {
	left, okLeft, err := w.core.files.Node(l)
	if err != nil {
		return left, right, false, err
	}
	right, okRight, err := w.core.files.Node(merkle.Sibling(l))
	return left, right, okLeft && okRight, err
}

// block checks a block that is held against its leaf.
func (w *verifier) block(leaf merkle.Node, off uint64) error {
	i := leaf.Index / 2
	if i%1024 == 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if w.options.Progress != nil {
			w.options.Progress(w.found, w.view.tree.Length)
		}
	}
	for w.core.Has(i) {
		reason, err := w.read(leaf, off)
		if err != nil {
			return err
		}
		if reason == "" {
			w.found.Blocks++
			w.found.Bytes += leaf.Size
			return nil
		}
		changed, err := w.refresh()
		if err != nil {
			return err
		}
		if !changed {
			w.bad = append(w.bad, i)
			return w.damage("blocks", off, "block %d %s", i, reason)
		}
	}
	return nil
}

// read says what is wrong with a block, "" where it is right.
func (w *verifier) read(leaf merkle.Node, off uint64) (reason string, err error) {
	if leaf.Size > MaxBlock {
		return fmt.Sprintf("has %d bytes, at most %d", leaf.Size, MaxBlock), nil
	}
	if uint64(cap(w.buf)) < leaf.Size {
		w.buf = make([]byte, leaf.Size)
	}
	b := w.buf[:leaf.Size]
	if _, err := w.core.files.ReadBlocks(b, int64(off)); err == io.EOF && len(b) > 0 {
		return "ends beyond the file", nil
	} else if err != nil && err != io.EOF {
		return "", err
	}
	if merkle.LeafHash(b) != leaf.Hash {
		return "does not match its hash", nil
	}
	return "", nil
}

// damage notes a bad place, unless the log was cut under our feet.
func (w *verifier) damage(file string, off uint64, format string, args ...any) error {
	if _, err := w.refresh(); err != nil {
		return err
	}
	w.found.Damaged++
	if w.found.First == nil {
		w.found.First = &DamageError{File: file, Offset: off, Reason: fmt.Sprintf(format, args...)}
	}
	return nil
}

// repair gives up what is bad: nodes that their parents do not confirm, with the
// blocks below them, and blocks that their leaves do not confirm. Roots are known
// without the files. Blocks that are not signed are nowhere else: they stay.
func (w *verifier) repair() error {
	if !w.options.Repair || w.found.Damaged == 0 {
		return nil
	}
	if err := w.repairRoots(); err != nil {
		return err
	}
	for _, i := range w.bad {
		if signed, err := w.distrust(i); err != nil {
			return err
		} else if !signed || !w.core.Has(i) {
			continue
		}
		err := w.core.lose(w.view, i, errors.New("it does not match its hash"))
		if !errors.Is(err, ErrNotHeld) && !errors.Is(err, ErrDamaged) {
			return err
		}
	}
	return nil
}

// repairRoots writes roots that are not stored as they are.
func (w *verifier) repairRoots() error {
	c := w.core
	c.write.Lock()
	defer c.write.Unlock()
	h, err := w.head()
	if err != nil {
		return err
	}
	for _, root := range slices.Concat(w.view.tree.Roots, h.Roots) {
		stored, ok, err := c.files.Node(root.Index)
		if err != nil {
			return err
		}
		if !ok || stored != root {
			if err := c.files.WriteNodes([]merkle.Node{root}); err != nil {
				return err
			}
		}
	}
	return nil
}

// distrust is Core.distrust for a block, if it is signed.
func (w *verifier) distrust(i uint64) (signed bool, err error) {
	c := w.core
	c.write.Lock()
	defer c.write.Unlock()
	h, err := w.head()
	if err != nil || i >= h.Length {
		return false, err
	}
	_, err = c.distrust(h.Tree, 2*i) // nodes beyond the head are out of its reach
	return true, err
}

// head is what peers see, if the log is still what was verified. c.write is held.
func (w *verifier) head() (Head, error) {
	h, _, err := w.core.lookHead()
	if err == nil {
		_, err = w.refresh()
	}
	return h, err
}
