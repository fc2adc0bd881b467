package main

import (
	"context"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// untilBrokenPipe gives a context that ends, with EPIPE as its cause, when
// nobody can read w any more: a command that waits for something to write would
// else learn it only then.
func untilBrokenPipe(ctx context.Context, w io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	f, ok := w.(*os.File)
	if !ok {
		return ctx, func() { cancel(nil) }
	}
	go func() {
		for ctx.Err() == nil {
			const look = 500 // ms; a context that ended is seen that much later
			fds := []unix.PollFd{{Fd: int32(f.Fd())}}
			if _, err := unix.Poll(fds, look); err != nil && err != unix.EINTR {
				return
			}
			if fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0 {
				cancel(syscall.EPIPE)
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}
