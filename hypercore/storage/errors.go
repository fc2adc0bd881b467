package storage

import "errors"

var (
	// ErrNewer: the store has a format of a later version; nothing was changed.
	ErrNewer = errors.New("store was made by a newer version")
	// ErrFailed: a sync failed earlier, so what was written may not be on the disk. The first cause is in the chain.
	ErrFailed = errors.New("files failed to reach the disk")
	// ErrClosed: the Store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrInUse: somebody else has the file open.
	ErrInUse = errors.New("file is open elsewhere")
	// ErrDamaged: the database is not one of ours, or cannot be read.
	ErrDamaged = errors.New("damaged database")

	errReadTx = errors.New("storage: write in a read transaction")
	errNoKey  = errors.New("storage: empty key")
)
