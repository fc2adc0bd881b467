package multicore

import "errors"

var (
	// ErrNoMulticore is when a store without an own multicore is asked for it.
	ErrNoMulticore = errors.New("the store has no multicore of its own")
	// ErrTooLong is when a message is over its limit, or is the rest of one that was.
	ErrTooLong = errors.New("message is too long")
	// ErrNotSynced is when messages were appended and survive the process, but did not get to the disk, where
	// each append is to wait for that. Other errors of the disk are in its chain.
	ErrNotSynced = errors.New("appended, but not on the disk")
	// ErrNoCore is when a message is sent to a core that the own multicore has not.
	ErrNoCore = errors.New("no such core in the own multicore")
	// ErrForeignMain is when the store's core-1 holds something other than the index of its core-2 and core-3.
	ErrForeignMain = errors.New("block 0 of main is not the index of this store's core-2 and core-3")
	// ErrIndex is when block 0 has otherKeys but breaks a bound.
	ErrIndex = errors.New("bad index of cores in block 0")
	// ErrClosed is when a Remote is used after Close.
	ErrClosed = errors.New("multicore is closed")
	// ErrNameTaken is when another followed multicore has the name.
	ErrNameTaken = errors.New("name is taken")
	// ErrBadName is when a followed multicore cannot be called that.
	ErrBadName = errors.New("not a name")
	// ErrOwn is when a key of the store itself is to be followed.
	ErrOwn = errors.New("key is written by this store, which keeps all of it")
)
