package fs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// preparePoint makes path fit to be mounted on: it is made if missing, and
// freed of mounts whose process died. It gives the absolute path without
// symbolic links.
func preparePoint(path string, allowNonEmpty bool) (abs string, made bool, err error) {
	if abs, err = Resolve(path); err != nil {
		return "", false, err
	}
	if err := clearDead(abs); err != nil {
		return "", false, err
	}
	if _, ok := lastMount(abs); ok {
		return "", false, fmt.Errorf("%s: %w", abs, ErrMounted)
	}
	err = os.Mkdir(abs, 0o755)
	if err == nil {
		return abs, true, nil
	}
	if !errors.Is(err, os.ErrExist) {
		return "", false, err
	}
	return abs, false, checkPoint(abs, allowNonEmpty)
}

// Resolve gives the absolute path of a mountpoint without symbolic links, as
// Mounted.Path does. The mountpoint may be missing, or a mount that is dead or
// does not answer: it is not looked at.
func Resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	const most = 40 // links, as the kernel has it
	for range most {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		target, err := os.Readlink(path)
		switch {
		case err != nil: // no link
			return path, nil
		case filepath.IsAbs(target):
			path = target
		default:
			path = filepath.Join(dir, target)
		}
	}
	return "", &os.PathError{Op: "mount", Path: path, Err: syscall.ELOOP}
}

// clearDead detaches what processes that died left mounted at path.
func clearDead(path string) error {
	var st syscall.Stat_t
	for errors.Is(syscall.Stat(path, &st), syscall.ENOTCONN) {
		at, ok := lastMount(path)
		if !ok {
			return fmt.Errorf("%s is below a dead mount: %w", path, syscall.ENOTCONN)
		}
		if err := detach(path); err != nil {
			return fmt.Errorf("clear the dead mount at %s: %w", path, err)
		}
		if now, ok := lastMount(path); ok && now == at {
			return fmt.Errorf("clear the dead mount at %s: %w", path, syscall.EBUSY)
		}
	}
	return nil
}

// checkPoint checks a directory that is there already.
func checkPoint(path string, allowNonEmpty bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &os.PathError{Op: "mount", Path: path, Err: syscall.ENOTDIR}
	}
	if mountedByDevice(path, info) {
		return fmt.Errorf("%s: %w", path, ErrMounted)
	}
	if allowNonEmpty {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); err == nil {
		return fmt.Errorf("%s: %w", path, ErrNotEmpty)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// mountedByDevice says whether the directory is on another device than its
// parent, which shows a mount where /proc cannot be read.
func mountedByDevice(path string, info os.FileInfo) bool {
	parent, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return false
	}
	a, ok := info.Sys().(*syscall.Stat_t)
	b, ok2 := parent.Sys().(*syscall.Stat_t)
	return ok && ok2 && a.Dev != b.Dev
}

// mountAt is a line of /proc/self/mountinfo.
type mountAt struct {
	id  string
	dev string // major:minor
}

// lastMount gives the uppermost mount at exactly path, an absolute path without
// symbolic links.
func lastMount(path string) (last mountAt, ok bool) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return mountAt{}, false
	}
	for line := range strings.Lines(string(table)) {
		// 36 35 98:0 /root /mnt/point rw,noatime ...
		f := strings.Fields(line)
		if len(f) >= 5 && unescape(f[4]) == path {
			last, ok = mountAt{id: f[0], dev: f[2]}, true
		}
	}
	return last, ok
}

// unescape reads the \040 that mountinfo writes for a blank, and the like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
