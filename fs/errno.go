package fs

import (
	"context"
	"errors"
	"syscall"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// errno is what a program that uses the mount is told of err. What has no
// better number is EIO.
func errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	// A full disk is worth telling apart, also where it made a flush fail.
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) {
			return full
		}
	}
	for _, m := range []struct {
		err error
		no  syscall.Errno
	}{
		{errNotThere, syscall.ENOENT},
		{hypercore.ErrConflict, syscall.EIO},
		{hypercore.ErrPastEnd, syscall.ENOENT},
		{hypercore.ErrBadProof, syscall.EIO},
		{hypercore.ErrFailed, syscall.EIO},
		{multicore.ErrTooLong, syscall.EMSGSIZE},
		{hypercore.ErrTooLarge, syscall.EMSGSIZE},
		{hypercore.ErrReadOnly, syscall.EROFS},
		// The order of the next three matters: a wait that ended gives its
		// context's error, joined with ErrNoPeers where there was nobody to ask.
		{context.Canceled, syscall.EINTR},
		{hypercore.ErrNoPeers, syscall.EHOSTUNREACH},
		{context.DeadlineExceeded, syscall.ETIMEDOUT},
		{hypercore.ErrNotHeld, syscall.EHOSTUNREACH},
		{syscall.EMFILE, syscall.EMFILE},
		{syscall.ENFILE, syscall.ENFILE},
		{syscall.ENOMEM, syscall.ENOMEM},
	} {
		if errors.Is(err, m.err) {
			return m.no
		}
	}
	return syscall.EIO
}
