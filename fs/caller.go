package fs

import (
	"bytes"
	"context"
	"os"
	"strconv"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// caller gives the process that a request came from, 0 where it cannot be
// told. What the kernel calls a pid in a FUSE request is a thread, and the
// threads of a process share its files.
func caller(ctx context.Context) int {
	c, ok := fuse.FromContext(ctx)
	if !ok || c.Pid == 0 { // 0: in a pid namespace that cannot be seen from here
		return 0
	}
	status, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(c.Pid), 10) + "/status")
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
