package fs

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Usable says how this process would mount: "mount(2)" or the path of
// fusermount3. ErrUnavailable where it could not. Nothing is mounted.
func Usable() (how string, err error) {
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return "", &unavailableError{reason: cause(err)}
	}
	dev.Close()
	if os.Geteuid() == 0 {
		if !mayMount() {
			return "", &unavailableError{reason: errors.New("root without the capability SYS_ADMIN")}
		}
		return "mount(2)", nil
	}
	program, err := fusermount()
	if err != nil {
		return "", &unavailableError{reason: errors.New("not root, and fusermount3 is not installed")}
	}
	if info, err := os.Stat(program); err == nil && info.Mode()&os.ModeSetuid == 0 {
		return "", &unavailableError{reason: errors.New("not root, and " + program + " is not setuid root")}
	}
	return program, nil
}

// mayMount says whether the process has the right to mount; true where it
// cannot be told.
func mayMount() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(status)) {
		if digits, ok := strings.CutPrefix(line, "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 64)
			return err != nil || set&(1<<unix.CAP_SYS_ADMIN) != 0
		}
	}
	return true
}

// Dead gives the mountpoints of multicore whose process died. It may wait for
// one whose process does not answer.
func Dead() ([]string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var dead []string
	for line := range strings.Lines(string(table)) {
		// 36 35 0:50 / /mnt rw - fuse.multicore multicore rw
		f := strings.Fields(line)
		i := len(f) - 3
		if i < 5 || f[i-1] != "-" || f[i] != "fuse.multicore" {
			continue
		}
		path := unescape(f[4])
		var st syscall.Stat_t
		if errors.Is(syscall.Stat(path, &st), syscall.ENOTCONN) {
			dead = append(dead, path)
		}
	}
	return dead, nil
}
