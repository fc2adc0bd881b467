package hypercore

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/blake2b"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// Release ends the hold: a peer has answered for this core and has nothing
// longer. What was appended is signed with the next flush.
func (c *Core) Release() error { return c.release(true) }

// Settled ends what Options.Settle began, and no other hold.
func (c *Core) Settled() error { return c.release(false) }

func (c *Core) release(held bool) error {
	c.write.Lock()
	defer c.write.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	held = held && c.held
	if err := c.usableLocked(); err != nil || !held && !c.settling {
		return err
	}
	if held {
		c.held, c.infoDirty = false, true
	}
	c.settling = false
	c.headDirty = true
	c.notify()
	c.flusher.mark(c)
	return nil
}

// HoldOwn holds every own core of a store from its head on, as Options.Hold
// does for a new one: the store is, or may be, an older state of another one.
// It is for the time before cores are opened. A core whose record is damaged
// cannot be opened, so it signs nothing anyhow.
func HoldOwn(tx storage.Tx) error {
	bucket, heads := tx.Bucket(coreBucket), tx.Bucket(headBucket)
	held := make(map[DiscoveryKey][]byte)
	err := bucket.Scan(nil, func(key, value []byte) error {
		r, err := parseCoreRecord(value)
		switch {
		case errors.Is(err, storage.ErrNewer): // which that version would open
			return fmt.Errorf("record of core %x: %w", key, err)
		case err != nil || len(key) != len(DiscoveryKey{}) || !r.own || r.held:
			return nil
		}
		r.held, r.unheld = true, 0
		if b := heads.Get(key); b != nil {
			if h, err := parseHeadRecord(b); err == nil {
				r.unheld = h.tree.length
			}
		}
		held[DiscoveryKey(key)] = r.append(nil)
		return nil
	})
	if err != nil {
		return err
	}
	for id, record := range held {
		if err := bucket.Put(id[:], record); err != nil {
			return err
		}
	}
	return nil
}

// adopt takes over a longer head of an own core, which another copy of it has
// signed. What was appended here meanwhile, and nobody has seen, moves behind
// the new head. The steps, each on the disk before the next:
//
//  1. the tail is copied aside, to the files of moveID;
//  2. the head record says what is to be done (move);
//  3. the log is cut to what stays, and the tail is written behind the new head,
//     with nodes to match;
//  4. the head record is that of the new state.
//
// Before 2 nothing has changed; from there on recovery goes on with 3. The
// blocks between the old head and the new one are not held. A head of a higher
// fork is taken in the same way, also by a replica, which has no tail: keep then
// says what of the old head stays (nil: all). c.write and c.committing are held.
func (c *Core) adopt(change *merkle.Change, keep *prefix) error {
	count := c.tree.Length - c.head.Length
	if err := c.setAside(count, change.Tree); err != nil {
		return fmt.Errorf("adopt length %d: %w", change.Tree.Length, err)
	}
	if err := c.files.Sync(); err != nil { // the record is about to say which blocks are held
		if isFull(err) {
			return fmt.Errorf("adopt length %d: %w", change.Tree.Length, err)
		}
		return c.fail(err)
	}
	m := &moveRecord{
		fork: change.Tree.Fork, tree: recordTree(change.Tree), signature: slices.Clone(change.Signature),
		nodes: change.Nodes, count: count, keep: keep,
	}
	moved := make(chan struct{})
	c.mu.Lock()
	c.era++ // what readers found so far is void
	c.moving = moved
	stays := prefix{length: c.head.Length, size: c.head.ByteLength()}
	if keep != nil {
		stays = *keep
		c.unheld = 0 // of the fork that is left
	}
	c.cuts.add(m.fork, stays.length, stays.size)
	from, grown, info := c.head.Length, c.grown, c.record().append(nil)
	before := c.tree.Length
	old := headRecord{fork: c.head.Fork, tree: recordTree(c.head), signature: c.signature,
		contiguous: min(c.bits.contiguous, from), grown: grown, move: m}
	c.mu.Unlock()
	err := c.flusher.store.Update(func(tx storage.Tx) error { return putRecords(tx, c.id, info, &old, nil) })
	if err == nil {
		err = c.finishMove(&old)
	}
	if err != nil {
		err = c.fail(fmt.Errorf("adopt length %d: %w", change.Tree.Length, err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moving = nil
	close(moved)
	if err != nil {
		return err
	}
	if keep != nil {
		from = keep.length
		c.log.Info("core was truncated by its writer", "core", c.id.String(), "fork", change.Tree.Fork,
			"length", change.Tree.Length, "kept", from, "dropped", before-count-from, "moved", count)
		c.events.add(Event{Kind: Truncated, From: from, To: before})
	} else {
		c.log.Info("adopted a longer head and moved what was appended behind it",
			"core", c.id.String(), "length", change.Tree.Length, "moved", count)
	}
	c.events.add(Event{Kind: Upgraded, From: from, To: c.head.Length})
	if count > 0 {
		c.events.add(Event{Kind: Appended, From: c.head.Length, To: c.tree.Length})
	}
	c.notify()
	c.flusher.mark(c)
	return nil
}

// moveID names the files in which a tail waits while it is moved: its bytes from
// 0 on, and its leaves as if it were a log of its own.
func moveID(id DiscoveryKey) storage.ID {
	return storage.ID(blake2b.Sum256(append([]byte("multicore move "), id[:]...)))
}

// setAside copies the blocks beyond the head to the files of moveID, encrypted
// for their places behind the new head if they are encrypted.
func (c *Core) setAside(count uint64, head merkle.Tree) error {
	if count == 0 {
		return nil
	}
	aside := c.flusher.store.Files(moveID(c.id))
	if err := aside.Reopen(); err != nil { // an earlier attempt may have failed
		return err
	}
	if err := aside.Cut(0, 0); err != nil {
		return err
	}
	k := c.cipher()
	if k == nil && c.encrypted {
		return ErrEncrypted
	}
	var leaves []merkle.Node
	var bytes []byte
	from, off := c.head.ByteLength(), uint64(0) // of the next block, and of bytes in the other files
	for j := range count {
		block, err := c.tailOf(c.head.Length+j, from)
		if err != nil {
			return err
		}
		from += uint64(len(block))
		leaf := merkle.Leaf(j, block)
		if k != nil {
			plain, err := k.decrypt(c.head.Length+j, block)
			if err != nil {
				return err
			}
			block = k.encrypt(head.Length+j, head.Fork, plain)
			leaf = merkle.Leaf(j, block)
		}
		leaves, bytes = append(leaves, leaf), append(bytes, block...)
		if len(leaves) < moveNodes && len(bytes) < gather && j < count-1 {
			continue
		}
		if err := aside.WriteBlocks(bytes, int64(off)); err != nil {
			return err
		}
		if err := aside.WriteNodes(leaves); err != nil {
			return err
		}
		off += uint64(len(bytes))
		leaves, bytes = leaves[:0], bytes[:0]
	}
	return aside.Sync()
}

// tailOf reads block i of the tail, which begins at byte off, and checks it: once
// a move has begun there is no way back to a block that is damaged.
func (c *Core) tailOf(i, off uint64) ([]byte, error) {
	leaf, ok, err := node(c.tree, c.files, 2*i)
	if err != nil {
		return nil, err
	}
	if !ok || leaf.Size > MaxBlock {
		return nil, &DamageError{File: "tree", Offset: 2 * i * treeNodeBytes, Reason: fmt.Sprintf("leaf %d is missing", i)}
	}
	block := make([]byte, leaf.Size)
	if _, err := c.files.ReadBlocks(block, int64(off)); err != nil && err != io.EOF {
		return nil, err
	}
	if merkle.LeafHash(block) != leaf.Hash {
		return nil, &DamageError{File: "blocks", Offset: off, Reason: fmt.Sprintf("block %d does not match its hash", i)}
	}
	return block, nil
}

// moveNodes bounds how many nodes are written at a time.
const moveNodes = 4096

// finishMove does steps 3 and 4 of adopt, which may have been begun before.
// c.write and c.committing are held, or the core is being opened.
func (c *Core) finishMove(r *headRecord) error {
	m := r.move
	keep := m.keep
	if keep == nil {
		keep = &prefix{length: r.tree.length, size: r.tree.size}
	}
	if err := c.detach(keep.size); err != nil {
		return err
	}
	if err := c.cutFiles(keep.length, keep.size); err != nil {
		return err
	}
	if err := c.files.WriteNodes(lastOfEach(m.nodes)); err != nil {
		return err
	}
	head, err := c.loadTree(m.fork, m.tree)
	if err != nil {
		return err
	}
	tree, err := c.writeTail(head, m.count)
	if err != nil {
		return err
	}
	if err := c.files.Sync(); err != nil {
		return err
	}

	c.mu.Lock()
	c.bits.clear(keep.length, merkle.MaxLength)
	c.bits.set(head.Length, tree.Length)
	c.era++
	c.tree, c.size, c.head, c.signature = tree, tree.ByteLength(), head, m.signature
	c.durable, c.stored = head.Length, tree.Length
	c.grown = time.Now()
	done := headRecord{fork: head.Fork, tree: m.tree, signature: m.signature, contiguous: c.bits.contiguous, grown: c.grown}
	if c.own {
		tail := recordTree(tree)
		done.tail = &tail
	}
	pages := c.bits.takeChanged()
	c.headDirty = true
	c.mu.Unlock()
	if err := c.flusher.store.Update(func(tx storage.Tx) error { return putRecords(tx, c.id, nil, &done, pages) }); err != nil {
		return err
	}
	if m.count == 0 {
		return nil
	}
	return c.flusher.store.Files(moveID(c.id)).Cut(0, 0)
}

// writeTail appends the blocks that wait aside to the files, behind head.
func (c *Core) writeTail(head merkle.Tree, count uint64) (merkle.Tree, error) {
	aside := c.flusher.store.Files(moveID(c.id))
	tree := head
	var off int64
	for tree.Length < head.Length+count {
		batch := merkle.NewBatch(tree)
		var bytes []byte
		for batch.Length() < head.Length+count && len(batch.Nodes()) < moveNodes && len(bytes) < gather {
			j := batch.Length() - head.Length
			leaf, ok, err := aside.Node(2 * j)
			if err != nil {
				return merkle.Tree{}, err
			}
			if !ok || leaf.Size > MaxBlock {
				return merkle.Tree{}, &DamageError{File: "tail that is being moved", Offset: 2 * j * treeNodeBytes, Reason: fmt.Sprintf("leaf %d is missing", j)}
			}
			block := make([]byte, leaf.Size)
			if _, err := aside.ReadBlocks(block, off); err != nil && (err != io.EOF || len(block) > 0) {
				return merkle.Tree{}, err
			}
			if merkle.LeafHash(block) != leaf.Hash {
				return merkle.Tree{}, &DamageError{File: "tail that is being moved", Offset: uint64(off), Reason: fmt.Sprintf("block %d does not match its hash", j)}
			}
			if err := batch.Append(block); err != nil {
				return merkle.Tree{}, err
			}
			bytes = append(bytes, block...)
			off += int64(len(block))
		}
		if err := c.files.WriteBlocks(bytes, int64(tree.ByteLength())); err != nil {
			return merkle.Tree{}, err
		}
		if err := c.files.WriteNodes(batch.Nodes()); err != nil {
			return merkle.Tree{}, err
		}
		tree = batch.Tree()
	}
	return tree, nil
}

// recoverMove goes on with a move that was begun, then recovers as usual.
func (c *Core) recoverMove(r *headRecord) error {
	if !c.own && (r.move.keep == nil || r.move.count > 0) {
		return c.recordError("head record", errors.New("a move in a core that is not ours"))
	}
	if r.move.keep == nil { // else the old head may be cut already
		if _, err := c.loadTree(r.fork, r.tree); err != nil {
			return err
		}
	}
	c.log.Warn("going on with a move of appended blocks", "core", c.id.String(), "length", r.move.tree.length, "moved", r.move.count)
	return c.finishMove(r)
}

// lastOfEach keeps the last node of each index.
func lastOfEach(nodes []merkle.Node) []merkle.Node {
	last := make(map[uint64]int, len(nodes))
	for i, n := range nodes {
		last[n.Index] = i
	}
	var keep []merkle.Node
	for i, n := range nodes {
		if last[n.Index] == i {
			keep = append(keep, n)
		}
	}
	return keep
}
