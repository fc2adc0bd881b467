package storage

import (
	"os"

	"multicore/hypercore/merkle"
)

// ID names the files of a core; it is the core's discovery key.
type ID [32]byte

// Store is one database and the files of many cores. Safe for concurrent use.
// No transaction may be begun inside another.
type Store interface {
	// View runs fn in a read transaction, on one snapshot of the records.
	View(fn func(Tx) error) error
	// Update runs fn in the one write transaction. When it returns nil all of
	// it is on the disk, else none.
	Update(fn func(Tx) error) error
	// Files gives the files of a core, always the same for the same id.
	// Nothing is opened or made before the first read or write.
	Files(id ID) Files
	// SyncAll is Sync of each; where they are many, of the whole file system.
	// The errors are those of the cores, in their order.
	SyncAll(list []Files) []error
	// Remove drops the files of a core that nobody uses, durably. Cut off by a
	// crash it is to be called again. The Files can be used anew.
	Remove(id ID) error
	// Close ends the store and syncs nothing. Safe twice.
	Close() error
}

// Tx reaches opaque buckets by name. In View a bucket that does not exist is
// empty; in Update it is made by the first Put. The name "storage" is taken.
// A Tx is for one goroutine, until its function returns.
type Tx interface {
	Bucket(name string) Bucket
}

// Bucket maps keys to values, ordered by key. What Get and Scan give is valid
// until the transaction ends and must not be changed. Put copies what it is
// given; the empty key is an error, the empty value is not. Put and Delete fail
// in View.
type Bucket interface {
	Get(key []byte) []byte // nil where absent
	Put(key, value []byte) error
	Delete(key []byte) error // nil where absent
	// Scan calls fn for the keys with the prefix, in order, until it errs. fn
	// must not change the bucket.
	Scan(prefix []byte, fn func(key, value []byte) error) error
}

// Files are the two files of a core. Descriptors come from a bounded cache.
// Safe for concurrent use; overlapping writes are not ordered. Errors keep the
// errno in their chain: errors.Is(err, syscall.ENOSPC).
type Files interface {
	// ReadBlocks reads as io.ReaderAt does: io.EOF with what there is where the
	// file ends before len(p). A file that does not exist is empty, a hole is
	// zeros.
	ReadBlocks(p []byte, off int64) (int, error)
	// Pages gives the file of blocks for a system call that reads it. Until they
	// are released nothing in it is punched or cut, so that is to be soon.
	// errors.ErrUnsupported where it is none of the operating system.
	Pages() (Pages, error)
	// WriteBlocks writes all of p. After an error a part of it may be there.
	WriteBlocks(p []byte, off int64) error
	// Node reads one node; a hole, a torn node or beyond the end is false.
	Node(index uint64) (merkle.Node, bool, error)
	// WriteNodes stores nodes, in any order, adjacent ones in one write. The
	// indexes are distinct; neither they nor the sizes are over merkle.MaxSize.
	WriteNodes(nodes []merkle.Node) error
	// DeferNodes is WriteNodes for nodes that nobody misses where the process
	// ends before the next Sync, which writes them: they follow from others, or
	// peers have them.
	DeferNodes(nodes []merkle.Node) error
	// EraseNodes zeroes the given nodes. Those beyond the end stay there.
	EraseNodes(indexes []uint64) error
	// Sizes are the bytes of blocks, and the number of whole nodes that tree
	// has room for, with those that Sync will write.
	Sizes() (blocks int64, nodes uint64, err error)
	// Cut drops blocks at and beyond the byte, and nodes at and beyond the
	// index. It never makes a file longer.
	Cut(blocks int64, nodes uint64) error
	// Punch gives the room of n block bytes from off on back to the disk, where
	// the file system can; they read as zeros. Nothing of them may be needed
	// any more, whatever happens.
	Punch(off, n int64) error
	// PunchAlone is Punch where nobody outside this store has the file of blocks
	// open or mapped, in no process, else ErrInUse. Where the file system cannot
	// tell it punches.
	PunchAlone(off, n int64) error
	// InUse reports whether somebody outside this store has the file of blocks
	// open or mapped, in any process; false where the file system cannot tell.
	InUse() (bool, error)
	// Backing opens the file of blocks anew, for reading past this Store, made
	// if need be; the caller closes it. errors.ErrUnsupported where there is no
	// such file, or no room can be reserved in it.
	Backing() (*os.File, error)
	// Reserve takes room for n block bytes from off on, beyond the end, so that
	// writing them is not refused for want of it. It is given back by Trim.
	Reserve(off, n int64) error
	// Trim gives back the room beyond the end. Nothing may be written meanwhile.
	Trim() error
	// Detach puts a copy of the first n block bytes in the place of the file of
	// blocks, on the disk when it returns, and cuts the old file there. Who has
	// that one open sees no later change any more. Nothing may be written
	// meanwhile.
	Detach(n int64) error
	// Sync puts everything written before the call on the disk (fdatasync of
	// the files that changed, and the directories of new ones), and the first
	// time what an earlier process wrote. After an error it is never retried:
	// every later Sync gives ErrFailed until Reopen. A disk too full for what
	// DeferNodes took is an error of its own (ENOSPC), and Sync may be tried
	// again.
	Sync() error
	// Reopen forgets a failed Sync, after the caller has read the files anew.
	// What it read is synced by the next Sync.
	Reopen() error
}

// Options of Open. The zero value opens an existing store.
type Options struct {
	Create   bool // make what is missing
	MaxFiles int  // open descriptors; 0 means 256
	FS       FS   // the layer below Files; nil means DirFS of the directory
}

const defaultMaxFiles = 256

// store joins a database and the files of cores.
type store struct {
	database
	*coreFiles
}

// database is the half of a Store that keeps records.
type database interface {
	View(fn func(Tx) error) error
	Update(fn func(Tx) error) error
	close() error
}

func (s *store) Close() error {
	err := s.coreFiles.close()
	if dbErr := s.database.close(); err == nil {
		err = dbErr
	}
	return err
}
