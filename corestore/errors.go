package corestore

import (
	"errors"

	"multicore/hypercore/storage"
)

var (
	// ErrNoStore: there is no store in the directory, and Create was not asked for.
	ErrNoStore = errors.New("no store")
	// ErrInUse: another process has the store open. Its pid is in the text that wraps it.
	ErrInUse = errors.New("store is in use by another process")
	// ErrNewer: the store has a format of a later version; nothing was changed.
	ErrNewer = storage.ErrNewer
	// ErrNotFound: no core with this discovery key is held here.
	ErrNotFound = errors.New("no such core")
	// ErrCoreInUse: a core is open, or being removed, and cannot be removed.
	ErrCoreInUse = errors.New("core is in use")
	// ErrPrimaryKey: the primary key is missing, unreadable or not the one the store was made with.
	ErrPrimaryKey = errors.New("primary key does not fit the store")
	// ErrClosed: the Store was closed.
	ErrClosed = storage.ErrClosed
	// ErrOpenReadOnly: a core of ours was opened by its key before its name was ever used, and is still open like that.
	ErrOpenReadOnly = errors.New("core is open as a replica; close it first")
)
