package main

import (
	"context"
	"errors"
	"syscall"

	"multicore/cmd/multicore/control"
)

// brokenPipe is what a shell reports for a filter that SIGPIPE ended.
const brokenPipe = 128 + int(syscall.SIGPIPE)

// exit says what went wrong, in one line, and gives the exit code. It is the
// only place where errors become codes; control.CodeOf knows which.
func (p *program) exit(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.EPIPE):
		return brokenPipe // whoever read the output has seen enough
	case ctx.Err() != nil && control.CodeOf(err) == control.Interrupted:
		return int(control.Interrupted) // the user knows
	}
	var daemon daemonFailed
	if errors.As(err, &daemon) {
		return daemon.code
	}
	p.line(err.Error())
	return int(control.CodeOf(err))
}
