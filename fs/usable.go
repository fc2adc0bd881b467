package fs

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
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

// Dead gives the mountpoints of multicore whose process died, and mute those
// whose process does not answer until ctx ends. A look at such a one ends with
// its process, or this one.
func Dead(ctx context.Context) (dead, mute []string, err error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, nil, err
	}
	type answer struct {
		path string
		err  error
	}
	answers := make(chan answer)
	asked := make(map[string]bool) // and have not answered
	for line := range strings.Lines(string(table)) {
		// 36 35 0:50 / /mnt rw - fuse.multicore multicore rw
		f := strings.Fields(line)
		i := len(f) - 3
		if i < 5 || f[i-1] != "-" || f[i] != "fuse.multicore" || asked[unescape(f[4])] {
			continue
		}
		path := unescape(f[4])
		asked[path] = true
		go func() {
			var st syscall.Stat_t
			select {
			case answers <- answer{path, syscall.Stat(path, &st)}:
			case <-ctx.Done():
			}
		}()
	}
	for len(asked) > 0 {
		select {
		case a := <-answers:
			delete(asked, a.path)
			if errors.Is(a.err, syscall.ENOTCONN) {
				dead = append(dead, a.path)
			}
		case <-ctx.Done():
			mute = slices.Sorted(maps.Keys(asked))
			clear(asked)
		}
	}
	slices.Sort(dead)
	return dead, mute, nil
}
