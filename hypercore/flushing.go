package hypercore

import (
	"fmt"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// flushing is the state of a core that one round makes durable.
type flushing struct {
	core       *Core
	tree       merkle.Tree // all that is to be durable
	head       merkle.Tree // what peers are to see; its roots are missing while unsigned is set
	signature  []byte
	unsigned   bool // head needs a signature
	contiguous uint64
	record     headRecord
	info       []byte            // encoded core record; nil where it did not change
	pages      map[uint64][]byte // as bitfield.takeChanged
}

// beginFlush takes what changed since the last one; nil where there is nothing.
// Else c.committing is held from here to end.
func (c *Core) beginFlush() *flushing {
	c.committing.Lock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil || !c.dirty() {
		c.committing.Unlock()
		return nil
	}
	s := &flushing{core: c, tree: c.tree, head: c.head, signature: c.signature, contiguous: c.bits.contiguous}
	if c.own && c.pair != nil && c.conflict == nil {
		length := c.tree.Length
		if c.held || c.settling {
			length = min(length, max(c.unheld, c.head.Length))
		}
		if length > c.head.Length {
			s.unsigned = true
			s.head = merkle.Tree{Fork: c.tree.Fork, Length: length}
			if length == c.tree.Length {
				s.head = c.tree
			}
		}
	}
	if c.infoDirty || c.headDirty && !c.recorded {
		s.info = c.record().append(nil)
	}
	s.pages = c.bits.takeChanged()
	s.record = headRecord{grown: c.grown}
	c.headDirty, c.infoDirty = false, false
	return s
}

// dirty reports whether there is something to flush. c.mu is held.
func (c *Core) dirty() bool { return c.headDirty || c.infoDirty || len(c.bits.changed) > 0 }

// unflushed is dirty for who does not hold c.mu.
func (c *Core) unflushed() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.dirty()
}

// record is the core's record. c.mu is held.
func (c *Core) record() *coreRecord {
	r := &coreRecord{key: c.key, own: c.own, held: c.held, unheld: c.unheld, encrypted: c.encrypted}
	if c.manifest != nil && !c.manifest.Legacy {
		r.manifest = c.manifest.Encode()
	}
	return r
}

// restore marks as changed what was not committed.
func (s *flushing) restore() {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headDirty = true
	c.infoDirty = c.infoDirty || s.info != nil
	c.bits.untake(s.pages)
}

// sign completes the record. The data is on the disk by now (invariant 3).
func (s *flushing) sign() error {
	c := s.core
	if s.unsigned {
		if s.head.Roots == nil {
			roots, err := readRoots(c.files, s.head.Length)
			if err != nil {
				return err
			}
			s.head.Roots = roots
		}
		signature, err := c.pair.Sign(c.manifest, s.head)
		if err != nil {
			return fmt.Errorf("sign length %d: %w", s.head.Length, err)
		}
		s.signature = signature
	}
	s.record.fork = s.head.Fork
	s.record.tree = recordTree(s.head)
	s.record.signature = s.signature
	s.record.contiguous = s.contiguous
	if s.tree.Length > s.head.Length {
		tail := recordTree(s.tree)
		s.record.tail = &tail
	}
	return nil
}

// end is called once, whatever became of it.
func (s *flushing) end() {
	s.core.committing.Unlock()
	s.core.events.deliver()
}

// write puts the records.
func (s *flushing) write(tx storage.Tx) error {
	return putRecords(tx, s.core.id, s.info, &s.record, s.pages)
}

// putRecords writes the records of a core; a nil info stays as it is.
func putRecords(tx storage.Tx, id DiscoveryKey, info []byte, head *headRecord, pages map[uint64][]byte) error {
	if info != nil {
		if err := tx.Bucket(coreBucket).Put(id[:], info); err != nil {
			return err
		}
	}
	if err := tx.Bucket(headBucket).Put(id[:], head.append(nil)); err != nil {
		return err
	}
	bucket := tx.Bucket(bitfieldBucket)
	for n, record := range pages {
		var err error
		if len(record) == 0 {
			err = bucket.Delete(pageKey(id, n))
		} else {
			err = bucket.Put(pageKey(id, n), record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// publish makes what was committed known, to peers first of all.
func (s *flushing) publish() {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recorded = true
	c.stored = s.tree.Length
	from := c.head.Length
	if c.own {
		c.head, c.signature = s.head, s.signature
		c.durable = s.head.Length
		if s.head.Length > from {
			c.events.add(Event{Kind: Durable, From: from, To: s.head.Length})
		}
	} else {
		c.durable = s.head.Length
	}
	c.notify()
}
