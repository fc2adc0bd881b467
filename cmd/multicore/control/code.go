package control

import (
	"context"
	"errors"
	"syscall"
)

// Code is a process exit code (design of the command line: 0 fine, 1 other).
type Code int

const (
	Other       Code = 1
	Usage       Code = 2
	NotFound    Code = 3
	Timeout     Code = 4 // timeout or no peers
	Verify      Code = 5 // verification or fork
	ReadOnly    Code = 6
	InUse       Code = 7 // the store is held by something that does not answer
	DiskFull    Code = 8
	FUSE        Code = 9
	Interrupted Code = 130
)

// Error is one line for a user with the exit code that goes with it.
type Error struct {
	Code Code
	Text string
	Err  error // cause, if any; not shown beyond Text
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the exit code of err: that of an *Error in its chain, else that of
// the first cause known below, else Other.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return Other
}

// causes maps what may reach a user without an *Error around it, in the order
// that decides where an error wraps several; a node codes its own errors.
var causes = []struct {
	err  error
	code Code
}{
	{syscall.ENOSPC, DiskFull},
	{syscall.EDQUOT, DiskFull},
	{syscall.EROFS, ReadOnly},
	{context.DeadlineExceeded, Timeout},
	{context.Canceled, Interrupted},
}
