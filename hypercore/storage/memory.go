package storage

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// Memory is a Store in memory with the same contract, for tests and simulations.
func Memory() Store { return MemoryOn(MemoryFS()) }

// MemoryOn is a Store with records in memory and core files on fsys.
func MemoryOn(fsys FS) Store {
	if err := prepare(fsys); err != nil {
		panic("storage: " + err.Error()) // a MemoryFS cannot fail, and a failing one has no business here yet
	}
	volume, err := openVolume(fsys)
	if err != nil {
		panic("storage: " + err.Error())
	}
	return &store{database: newMemoryDB(), coreFiles: newCoreFiles(fsys, volume, newNodeCache(memorySlots, memoryAncestors), 0)}
}

// memoryDB is a database in memory: sorted buckets, changed only by a commit.
type memoryDB struct {
	writer sync.Mutex // held by Update

	mu      sync.RWMutex // held by View, and by Update while it commits
	buckets map[string]*memoryBucket
	closed  bool
}

// memoryBucket is sorted by key.
type memoryBucket struct{ records []record }

type record struct {
	key   string
	value []byte // nil: deleted (in a change only)
}

func newMemoryDB() *memoryDB { return &memoryDB{buckets: make(map[string]*memoryBucket)} }

func (m *memoryDB) View(fn func(Tx) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ErrClosed
	}
	return fn(&memoryTx{db: m})
}

func (m *memoryDB) Update(fn func(Tx) error) error {
	m.writer.Lock()
	defer m.writer.Unlock()
	m.mu.RLock()
	closed := m.closed
	m.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	// Only a commit changes buckets, and commits hold writer: no need of mu.
	tx := &memoryTx{db: m, changes: make(map[string]*memoryBucket)}
	if err := fn(tx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, change := range tx.changes {
		base := m.buckets[name]
		if base == nil {
			base = &memoryBucket{}
			m.buckets[name] = base
		}
		for _, r := range change.records {
			base.set(r, true)
		}
	}
	return nil
}

func (m *memoryDB) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (b *memoryBucket) find(key string) (int, bool) {
	if b == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(b.records, key, func(r record, k string) int { return strings.Compare(r.key, k) })
}

// set stores a record; a deletion is carried out, or kept as a record itself.
func (b *memoryBucket) set(r record, carryOut bool) {
	i, found := b.find(r.key)
	switch {
	case r.value == nil && carryOut:
		if found {
			b.records = slices.Delete(b.records, i, i+1)
		}
	case found:
		b.records[i] = r
	default:
		b.records = slices.Insert(b.records, i, r)
	}
}

type memoryTx struct {
	db      *memoryDB
	changes map[string]*memoryBucket // nil in View
}

func (t *memoryTx) Bucket(name string) Bucket { return &memoryTxBucket{tx: t, name: name} }

type memoryTxBucket struct {
	tx   *memoryTx
	name string
}

func (b *memoryTxBucket) base() *memoryBucket   { return b.tx.db.buckets[b.name] }
func (b *memoryTxBucket) change() *memoryBucket { return b.tx.changes[b.name] }

func (b *memoryTxBucket) Get(key []byte) []byte {
	for _, bucket := range []*memoryBucket{b.change(), b.base()} {
		if i, found := bucket.find(string(key)); found {
			return bucket.records[i].value
		}
	}
	return nil
}

func (b *memoryTxBucket) Put(key, value []byte) error {
	if len(key) == 0 && b.tx.changes != nil {
		return errNoKey
	}
	return b.set(record{string(key), append([]byte{}, value...)})
}

func (b *memoryTxBucket) Delete(key []byte) error { return b.set(record{key: string(key)}) }

func (b *memoryTxBucket) set(r record) error {
	if b.tx.changes == nil {
		return errReadTx
	}
	change := b.change()
	if change == nil {
		change = &memoryBucket{}
		b.tx.changes[b.name] = change
	}
	change.set(r, false)
	return nil
}

// Scan merges the records of the bucket with the changes of the transaction.
func (b *memoryTxBucket) Scan(prefix []byte, fn func(key, value []byte) error) error {
	base, change := b.base().from(prefix), b.change().from(prefix)
	for len(base) > 0 || len(change) > 0 {
		var r record
		switch {
		case len(change) == 0 || len(base) > 0 && base[0].key < change[0].key:
			r, base = base[0], base[1:]
		default:
			if r = change[0]; len(base) > 0 && base[0].key == r.key {
				base = base[1:]
			}
			change = change[1:]
		}
		key := []byte(r.key)
		if !bytes.HasPrefix(key, prefix) {
			return nil // both are sorted: what follows is beyond the prefix too
		}
		if r.value == nil {
			continue
		}
		if err := fn(key, r.value); err != nil {
			return err
		}
	}
	return nil
}

func (b *memoryBucket) from(prefix []byte) []record {
	i, _ := b.find(string(prefix))
	if b == nil {
		return nil
	}
	return b.records[i:]
}
