package fs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// maxWrite is the largest write request, where the kernel allows it.
const maxWrite = 1 << 20

// uncutWrite is the largest write(2) of which the kernel surely made one
// request. It fills requests by the page, so that a buffer which does not begin
// at a page is cut up to a page early.
func uncutWrite() int {
	page := os.Getpagesize()
	pages := maxWrite / page
	if text, err := os.ReadFile("/proc/sys/fs/fuse/max_pages_limit"); err == nil {
		if limit, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && limit > 1 {
			pages = min(pages, limit)
		}
	}
	return (pages - 1) * page
}

// serve mounts tree at path and serves it; the mount is usable on return.
func serve(path string, tree fuse.RawFileSystem, o *fuse.MountOptions, t table) (*fuse.Server, error) {
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return nil, &unavailableError{reason: cause(err)}
	}
	dev.Close()
	mount := mountAsUser
	if os.Geteuid() == 0 {
		mount = mountDirect
	}
	t.maxRead = o.MaxWrite
	fd, err := mount(path, t)
	if err != nil {
		return nil, err
	}
	server, err := fuse.NewServer(tree, "/dev/fd/"+strconv.Itoa(fd), o)
	if err == nil {
		go server.Serve() // ends with the mount
		err = server.WaitMount()
	}
	if err == nil {
		err = refusePoll(path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w %s: %w", ErrMount, path, err), detach(path))
	}
	return server, nil
}

// table is what the kernel's table of mounts says of a mount. Always nosuid,
// nodev and noexec: what is shown may come from strangers.
type table struct {
	source     string
	readOnly   bool
	allowOther bool
	maxRead    int
}

// options are those that the kernel and fusermount3 both know.
func (t table) options() string {
	s := "max_read=" + strconv.Itoa(t.maxRead)
	if t.allowOther {
		s += ",allow_other,default_permissions"
	}
	return s
}

// The type in the table is fuse.multicore.
const typeName = "multicore"

// mountDirect mounts as root does, without a program's help, and gives the
// descriptor to serve it on. go-fuse could do this too, but its descriptor is
// inherited by every program started from here, and such a program would keep a
// mount alive, and hanging, after we are killed.
func mountDirect(path string, t table) (fd int, err error) {
	fd, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &unavailableError{reason: err}
	}
	var flags uintptr = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if t.readOnly {
		flags |= unix.MS_RDONLY
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,%s",
		fd, unix.S_IFDIR, os.Geteuid(), os.Getegid(), t.options())
	err = unix.Mount(t.source, path, "fuse."+typeName, flags, data)
	if err == nil {
		return fd, nil
	}
	unix.Close(fd)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) {
		return 0, &unavailableError{reason: err}
	}
	return 0, fmt.Errorf("%w %s: %w", ErrMount, path, err)
}

// refusePoll has the kernel ask once whether files can be polled, so that it
// never asks again: a Go program's runtime would wait for the answer on a
// thread that may be needed to give it.
func refusePoll(path string) error {
	fd, err := unix.Open(filepath.Join(path, keyName), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EACCES) { // owned by somebody else: we shall not read there
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}

// detach unmounts what is at path, at once where nothing is open in it, else
// lazily.
func detach(path string) error {
	err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(path, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	program, lookErr := fusermount()
	if lookErr != nil {
		return err
	}
	if exec.Command(program, "-u", path).Run() == nil {
		return nil
	}
	if out, err := exec.Command(program, "-u", "-z", path).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// cause is the system's reason in an error of package os.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
