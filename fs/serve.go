package fs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	gofs "github.com/hanwen/go-fuse/v2/fs"
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

// serve mounts root at path and serves it; the mount is usable on return.
func serve(path string, root gofs.InodeEmbedder, o *gofs.Options) (*fuse.Server, error) {
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return nil, &unavailableError{reason: cause(err)}
	}
	defer dev.Close()
	point := path
	direct := os.Geteuid() == 0
	if direct {
		fd, err := mountDirect(path, &o.MountOptions)
		if err != nil {
			return nil, err
		}
		point = "/dev/fd/" + strconv.Itoa(fd)
	} else if _, err := fusermount(); err != nil {
		return nil, &unavailableError{reason: errors.New("not root, and fusermount3 is not installed")}
	}
	server, err := gofs.Mount(point, root, o)
	if err != nil {
		if direct {
			return nil, errors.Join(fmt.Errorf("mount %s: %w", path, err), detach(path))
		}
		return nil, fmt.Errorf("mount %s with fusermount3: %w", path, err)
	}
	if direct {
		if err := refusePoll(path); err != nil {
			return nil, errors.Join(fmt.Errorf("mount %s: %w", path, err), detach(path))
		}
	}
	return server, nil
}

// mountDirect mounts as root does, without a program's help, and gives the
// descriptor to serve it on. go-fuse could do this too, but its descriptor is
// inherited by every program started from here, and such a program would keep a
// mount alive, and hanging, after we are killed.
func mountDirect(path string, o *fuse.MountOptions) (fd int, err error) {
	fd, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &unavailableError{reason: err}
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,max_read=%d",
		fd, unix.S_IFDIR, os.Geteuid(), os.Getegid(), o.MaxWrite)
	err = unix.Mount(o.FsName, path, "fuse."+o.Name, unix.MS_NOSUID|unix.MS_NODEV, data)
	if err == nil {
		return fd, nil
	}
	unix.Close(fd)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) {
		return 0, &unavailableError{reason: err}
	}
	return 0, fmt.Errorf("mount %s: %w", path, err)
}

// refusePoll has the kernel ask once whether files can be polled, so that it
// never asks again: a Go program's runtime would wait for the answer on a
// thread that may be needed to give it.
func refusePoll(path string) error {
	fd, err := unix.Open(filepath.Join(path, keyName), unix.O_RDONLY|unix.O_CLOEXEC, 0)
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

// fusermount finds the program that mounts for those who are not root.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", exec.ErrNotFound
}

// cause is the system's reason in an error of package os.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
