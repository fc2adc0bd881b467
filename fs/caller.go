package fs

import (
	"bytes"
	"context"
	"os"
	"strconv"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// opener is the process that opened a file, and the thread of it that did.
type opener struct{ thread, process int } // 0: not known

func openedBy(ctx context.Context) opener {
	thread := callerOf(ctx)
	return opener{thread, processOf(thread)}
}

// asks reports whether a request comes from the process.
func (o opener) asks(ctx context.Context) bool {
	thread := callerOf(ctx)
	return thread != 0 && o.process != 0 && (thread == o.thread || processOf(thread) == o.process)
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

// processOf gives the process of a thread, 0 where it cannot be told.
func processOf(thread int) int {
	if thread == 0 {
		return 0
	}
	// Most threads are the first of their process; to ask for that is a hundred
	// times faster than to read a file of /proc. Signal 0 is none.
	if err := unix.Tgkill(thread, thread, 0); err == nil || err == unix.EPERM {
		return thread
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(thread) + "/status")
	if err != nil {
		return 0
	}
	return parseTgid(status)
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
