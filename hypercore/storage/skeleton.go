// Package storage keeps what cores are made of: one bbolt database of small records for a whole store, and for each
// core two files, `blocks` (block bytes at their byte offset) and `tree` (40-byte nodes at their flat tree index).
package storage

import (
	"errors"

	"multicore/hypercore/merkle"
)

// ID names the files of a core; it is the core's discovery key.
type ID [32]byte

// Store is one database and the files of many cores. Safe for concurrent use.
type Store interface {
	// View runs fn in a read transaction.
	View(fn func(Tx) error) error
	// Update runs fn in the one write transaction; when it returns nil all of it is on the disk, else none.
	Update(fn func(Tx) error) error
	// Files gives the files of a core; nothing is opened or created before the first read or write.
	Files(id ID) Files
	Close() error
}

// Tx reaches opaque buckets by name. In View a bucket that does not exist is empty.
type Tx interface {
	Bucket(name string) Bucket
}

// Bucket maps keys to values, ordered by key. What Get and Scan give is valid until the transaction ends.
type Bucket interface {
	Get(key []byte) []byte // nil where absent
	Put(key, value []byte) error
	Delete(key []byte) error
	Scan(prefix []byte, fn func(key, value []byte) error) error
}

// Files are the two files of a core. Descriptors come from a bounded cache.
type Files interface {
	ReadBlocks(p []byte, off int64) (int, error) // as io.ReaderAt
	WriteBlocks(p []byte, off int64) error
	// Node reads one node; a stretch of zeros or beyond the end is false.
	Node(index uint64) (merkle.Node, bool, error)
	// WriteNodes stores nodes, adjacent ones in one write.
	WriteNodes(nodes []merkle.Node) error
	// EraseNodes zeroes the given nodes.
	EraseNodes(indexes []uint64) error
	// Sizes are the bytes of blocks, and the number of whole nodes that tree has room for.
	Sizes() (blocks int64, nodes uint64, err error)
	// Cut drops blocks at and beyond the byte, and nodes at and beyond the index.
	Cut(blocks int64, nodes uint64) error
	// Sync puts everything written before the call on the disk (fdatasync; and the directories of new files).
	// After an error the files must be reopened: it is never retried, and every later Sync gives the error again (ErrFailed).
	Sync() error
	// Reopen forgets a failed Sync, after the caller has read the files anew.
	Reopen() error
}

// Open opens or makes (create) the store in dir. ErrNewer for a format of a later version.
func Open(dir string, o Options) (Store, error) { panic("skeleton") }

// Memory is a Store in memory with the same contract, for tests and simulations.
func Memory() Store { panic("skeleton") }

type Options struct {
	Create   bool
	MaxFiles int // open descriptors; 0 means 256
}

var (
	ErrNewer  = errors.New("store was made by a newer version")
	ErrFailed = errors.New("files failed to reach the disk")
)
