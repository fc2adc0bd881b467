package fs

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// opener is the process that opened a file, and the thread of it that did.
type opener struct{ thread, process int } // 0: not known

// openers finds out who opens files. Safe for concurrent use.
type openers struct{ last atomic.Int64 } // the process that was last found

func (o *openers) opener(ctx context.Context) opener {
	thread := callerOf(ctx)
	process := processOf(thread, int(o.last.Load()))
	o.last.Store(int64(process))
	return opener{thread, process}
}

// asks reports whether a request comes from the process.
func (o opener) asks(ctx context.Context) bool {
	thread := callerOf(ctx)
	return thread != 0 && o.process != 0 && (thread == o.thread || isThreadOf(o.process, thread))
}

// callerOf gives the thread that a request came from, 0 where it cannot be told.
// The kernel calls it a pid, but the threads of a process share its files.
func callerOf(ctx context.Context) int {
	c, ok := fuse.FromContext(ctx)
	if !ok { // 0: in a pid namespace that cannot be seen from here
		return 0
	}
	return int(c.Pid)
}

// processOf gives the process of a thread, 0 where it cannot be told. Most threads
// are the first of their process, or of the same one as the thread before, which
// is a hundred times faster to ask than to read a file of /proc.
func processOf(thread, guess int) int {
	if thread == 0 {
		return 0
	}
	for _, process := range []int{thread, guess} {
		if isThreadOf(process, thread) {
			return process
		}
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(thread) + "/status")
	if err != nil {
		return 0
	}
	return parseTgid(status)
}

// isThreadOf reports whether a process has a thread, to which it sends no signal.
func isThreadOf(process, thread int) bool {
	if process <= 0 {
		return false
	}
	err := unix.Tgkill(process, thread, 0)
	return err == nil || err == unix.EPERM
}

// parseTgid reads the process id in a /proc/<thread>/status, 0 if there is none.
func parseTgid(status []byte) int {
	for line := range bytes.Lines(status) {
		if digits, ok := bytes.CutPrefix(line, []byte("Tgid:")); ok {
			tgid, err := strconv.Atoi(string(bytes.TrimSpace(digits)))
			if err != nil {
				return 0
			}
			return tgid
		}
	}
	return 0
}
