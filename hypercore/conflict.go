package hypercore

import (
	"fmt"
	"time"

	"multicore/hypercore/compact"
	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// Conflict is the evidence that a core's key has signed two different logs for
// one fork: a writer that was copied or rolled back, or a leaked key. A core
// with one is frozen for good, since nobody can say which log is the right one:
// what is here can be read, nothing is appended, signed or taken from peers
// (ErrConflict).
type Conflict struct {
	Fork         uint64
	Ours, Theirs SignedHead
	Found        time.Time

	proof *merkle.Proof // of Theirs; nil where the record was read
}

// Proof is the one that was given to CheckConflict: it shows Theirs to somebody
// who has Ours, and may not be changed. nil where the conflict was found before
// the core was opened.
func (f *Conflict) Proof() *merkle.Proof { return f.proof }

// SignedHead is a length, its tree hash, and the signature over them.
type SignedHead struct {
	Length, ByteLength uint64
	Hash               merkle.Hash
	Signature          []byte
}

// Conflict is why the core is frozen, nil where it is not.
func (c *Core) Conflict() *Conflict {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.conflict
}

// frozen is ErrConflict where the core is frozen.
func (c *Core) frozen() error {
	if c.Conflict() != nil {
		return ErrConflict
	}
	return nil
}

// CheckConflict looks whether a proof, of the core's fork and from length 0,
// shows a log that is signed and differs from ours (spec 9). If so the core is
// frozen, durably, and the error is ErrConflict. Nil: the proof holds, and agrees
// as far as nodes that are stored here can tell. ErrBadProof; ErrStale for
// another fork and where our own state does not verify.
func (c *Core) CheckConflict(p *merkle.Proof) error {
	h, v, err := c.lookHead()
	if err != nil {
		return err
	}
	if err := c.frozen(); err != nil {
		return err
	}
	switch {
	case p.Fork != h.Fork || h.Length == 0:
		return fmt.Errorf("%w: fork %d, have %d", ErrStale, p.Fork, h.Fork)
	case p.Upgrade == nil || p.Upgrade.Start != 0 || p.Block != nil || p.Hash != nil || p.Seek != nil:
		return fmt.Errorf("%w: a conflict is proved from the beginning", ErrBadProof)
	}
	manifest, err := c.proofManifest(p)
	if err != nil {
		return err
	}
	theirs, err := fromNothing(manifest, p)
	if err != nil {
		return err
	}
	for _, length := range []uint64{theirs.Tree.Length, p.Upgrade.Length} {
		if length > h.Length {
			continue
		}
		ours, err := merkle.Prove(h.Tree, c.files, merkle.Request{Fork: h.Fork, Upgrade: &merkle.UpgradeRequest{Length: length}})
		if err != nil {
			continue // nodes that this takes are not here
		}
		ours.Upgrade.Signature = h.Signature
		if _, err := fromNothing(manifest, ours); err != nil {
			return fmt.Errorf("%w: our own nodes do not verify: %v", ErrStale, err)
		}
		if !agree(theirs.Nodes, ours.Upgrade.Nodes) {
			return c.freeze(v, p, theirs)
		}
		return nil
	}
	return nil
}

// fromNothing checks a proof that begins at length 0.
func fromNothing(m *Manifest, p *merkle.Proof) (*merkle.Change, error) {
	return merkle.Check(merkle.Tree{Fork: p.Fork}, noNodes{}, p, func(t merkle.Tree) error {
		return m.Verify(t, p.Upgrade.Signature)
	})
}

// agree compares by hashes: sizes of nodes that merge are shared between them
// as the peer likes (merkle.Check).
func agree(theirs, ours []merkle.Node) bool {
	for _, o := range ours {
		for _, t := range theirs {
			if t.Index == o.Index && t.Hash != o.Hash {
				return false
			}
		}
	}
	return true
}

// freeze records a conflict. Where the disk does not take the record the core is
// frozen until it is opened anew.
func (c *Core) freeze(v view, p *merkle.Proof, theirs *merkle.Change) error {
	defer c.events.deliver()
	c.write.Lock()
	defer c.write.Unlock()
	c.committing.Lock() // no round signs meanwhile
	defer c.committing.Unlock()
	if err := c.usable(); err != nil {
		return err
	}
	if c.era != v.era {
		return fmt.Errorf("%w: fork is %d", ErrStale, c.head.Fork)
	}
	c.mu.Lock()
	already := c.conflict != nil
	if !already {
		c.conflict = &Conflict{Fork: c.head.Fork, Found: time.Now(),
			Ours:   signedHead(c.head, c.signature),
			Theirs: signedHead(theirs.Tree, theirs.Signature),
			proof:  &merkle.Proof{Fork: p.Fork, Upgrade: p.Upgrade},
		}
		c.events.add(Event{Kind: Conflicted, From: theirs.Tree.Length, To: c.head.Length})
		c.notify()
	}
	record := c.conflict.append(nil)
	c.mu.Unlock()
	if already {
		return ErrConflict
	}
	c.log.Error("the core's key has signed two different logs; the core is frozen", "core", c.id.String(),
		"fork", c.conflict.Fork, "length", c.conflict.Ours.Length, "other", c.conflict.Theirs.Length)
	err := c.flusher.store.Update(func(tx storage.Tx) error { return tx.Bucket(conflictBucket).Put(c.id[:], record) })
	if err != nil {
		return fmt.Errorf("%w; recording it: %w", ErrConflict, err)
	}
	return ErrConflict
}

func signedHead(t merkle.Tree, signature []byte) SignedHead {
	return SignedHead{Length: t.Length, ByteLength: t.ByteLength(), Hash: t.Hash(), Signature: append([]byte{}, signature...)}
}

// append encodes the conflict record:
//
//	uint version, uint fork, uint found (microseconds since 1970), head ours, head theirs
//	u32 CRC-32C of what precedes
//
// where head is a tree as in the head record and buffer signature.
func (f *Conflict) append(buf []byte) []byte {
	start := len(buf)
	buf = compact.AppendUint(buf, firstVersion)
	buf = compact.AppendUint(buf, f.Fork)
	buf = compact.AppendUint(buf, micros(f.Found))
	for _, h := range []SignedHead{f.Ours, f.Theirs} {
		tree := treeRecord{length: h.Length, size: h.ByteLength, hash: h.Hash}
		buf = compact.AppendBuffer(tree.append(buf), h.Signature)
	}
	return appendSum(buf, start)
}

func parseConflict(b []byte) (*Conflict, error) {
	d, err := openRecord(b)
	if err != nil {
		return nil, err
	}
	f := &Conflict{Fork: d.Uint(), Found: fromMicros(d.Uint())}
	for _, h := range []*SignedHead{&f.Ours, &f.Theirs} {
		tree := decodeTree(d)
		*h = SignedHead{Length: tree.length, ByteLength: tree.size, Hash: tree.hash, Signature: append([]byte{}, d.Buffer()...)}
	}
	return f, closeRecord(d)
}
