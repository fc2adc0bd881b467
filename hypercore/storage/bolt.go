package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// DatabaseName is the file of the records in the directory of a store.
const DatabaseName = "multicore.db"

// Format is the version of the whole layout that this package writes. It reads
// this version only.
const Format = 1

// The bucket "storage" holds one record: "format", the version in decimal.
const (
	ownBucket = "storage"
	formatKey = "format"
)

// boltDB is a database in a file.
type boltDB struct {
	db     *bbolt.DB
	failed atomic.Pointer[error]
}

// boltOptions: the freelist is kept on the disk, one more page a commit, so
// that opening a large store does not have to read all of it.
func boltOptions() *bbolt.Options {
	return &bbolt.Options{
		Timeout:      2 * time.Second,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
	}
}

func openBolt(name string, create bool) (*boltDB, error) {
	if !exists(name) {
		if !create {
			return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		if err := makeBolt(name); err != nil {
			return nil, err
		}
	}
	db, err := openBoltFile(name, boltOptions())
	if err != nil {
		return nil, err
	}
	if err := checkFormat(db); err != nil {
		db.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &boltDB{db: db}, nil
}

func openBoltFile(name string, o *bbolt.Options) (*bbolt.DB, error) {
	db, err := bbolt.Open(name, 0o600, o)
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is locked by another process", name)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch),
		errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrInvalidMapping):
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	default:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
}

// makeBolt makes the database under another name first, so that a database that
// is there is always whole.
func makeBolt(name string) error {
	half := name + ".new"
	if err := os.Remove(half); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openBoltFile(half, boltOptions())
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte(ownBucket))
		if err != nil {
			return err
		}
		return b.Put([]byte(formatKey), []byte(strconv.Itoa(Format)))
	})
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(half, name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	return err
}

func checkFormat(db *bbolt.DB) error {
	var value string
	err := db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte(ownBucket)); b != nil {
			value = string(b.Get([]byte(formatKey)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	version, err := strconv.ParseUint(value, 10, 64)
	if err != nil || version == 0 {
		return fmt.Errorf("%w: no format version", ErrDamaged)
	}
	if version > Format {
		return fmt.Errorf("%w: its format is %d, this version reads up to %d", ErrNewer, version, Format)
	}
	return nil
}

func (b *boltDB) View(fn func(Tx) error) error {
	return closedError(b.db.View(func(tx *bbolt.Tx) error { return fn(boltTx{tx}) }))
}

func (b *boltDB) Update(fn func(Tx) error) error {
	if err := b.failed.Load(); err != nil {
		return *err
	}
	var refused bool // by fn, before anything was written
	err := b.db.Update(func(tx *bbolt.Tx) error {
		err := fn(boltTx{tx})
		refused = err != nil
		return err
	})
	if err == nil || refused || errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return closedError(err)
	}
	// A write that failed, as on a full disk, was rolled back and may be tried
	// again. After a failed sync nobody knows what the disk has.
	var write *fs.PathError
	if errors.As(err, &write) {
		return fmt.Errorf("commit: %w", err)
	}
	err = fmt.Errorf("%w: commit: %w", ErrFailed, err)
	b.failed.CompareAndSwap(nil, &err)
	return err
}

func (b *boltDB) close() error { return b.db.Close() }

func closedError(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

type boltTx struct{ tx *bbolt.Tx }

func (t boltTx) Bucket(name string) Bucket {
	return &boltBucket{tx: t.tx, name: []byte(name), b: t.tx.Bucket([]byte(name))}
}

type boltBucket struct {
	tx   *bbolt.Tx
	name []byte
	b    *bbolt.Bucket // nil until it exists
}

func (b *boltBucket) Get(key []byte) []byte {
	if b.find(); b.b == nil {
		return nil
	}
	return b.b.Get(key)
}

func (b *boltBucket) Put(key, value []byte) error {
	switch {
	case !b.tx.Writable():
		return errReadTx
	case len(key) == 0:
		return errNoKey
	}
	if b.find(); b.b == nil {
		made, err := b.tx.CreateBucket(b.name)
		if err != nil {
			return err
		}
		b.b = made
	}
	return b.b.Put(key, bytes.Clone(value))
}

func (b *boltBucket) Delete(key []byte) error {
	if !b.tx.Writable() {
		return errReadTx
	}
	if b.find(); b.b == nil {
		return nil
	}
	return b.b.Delete(key)
}

func (b *boltBucket) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if b.find(); b.b == nil {
		return nil
	}
	c := b.b.Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// find looks again for a bucket that was made through another handle meanwhile.
func (b *boltBucket) find() {
	if b.b == nil && b.tx.Writable() {
		b.b = b.tx.Bucket(b.name)
	}
}
