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

// exitCodes are what the manual says of them.
var exitCodes = []struct {
	code  int
	means string
}{
	{0, "All went well."},
	{int(control.Other), "Another error."},
	{int(control.Usage), "The command line is wrong."},
	{int(control.NotFound), "Not found: a store, a block, a file."},
	{int(control.Timeout), "Timeout, or no peers."},
	{int(control.Verify), "Verification failed, or a key has signed two different logs."},
	{int(control.ReadOnly), "Read-only."},
	{int(control.InUse), "The store is in use by something that does not answer."},
	{int(control.DiskFull), "The disk is full."},
	{int(control.FUSE), "FUSE is not available, or a mount failed."},
	{int(control.Interrupted), "Interrupted."},
}
