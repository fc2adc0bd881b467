package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS is the layer below Files: the operating system, memory, or either behind a
// test that makes it fail. Names are slash-separated and relative to the store.
type FS interface {
	// Open opens a file for reading and writing. Without create a file that
	// does not exist gives fs.ErrNotExist, as does a missing directory always.
	Open(name string, create bool) (File, error)
	// Mkdir makes a directory whose parent exists; fs.ErrExist where it is there.
	Mkdir(name string) error
	// SyncDir puts the entries of a directory on the disk.
	SyncDir(name string) error
	// Volume opens the file system below. errors.ErrUnsupported where it cannot
	// tell of the errors that Volume.Sync is to give.
	Volume() (Volume, error)
}

// File is one open file, safe for concurrent use but for Close.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Punch turns n bytes from off on into zeros that take no room, as far as
	// the file system can, and leaves the size as it is.
	Punch(off, n int64) error
	Size() (int64, error)
	// Datasync puts the content and the size on the disk.
	Datasync() error
	// Forget gives up cached pages, so that reads show what the disk has.
	Forget()
}

// starter is a File that can begin to write what is not on the disk. Errors are
// those of the next Datasync.
type starter interface{ start() }

// Backing is a File that others can read by themselves, a kernel on behalf of
// the readers of a mount for one.
type Backing interface {
	File
	// Reopen opens the same file anew, for reading, whatever its name is now.
	Reopen() (*os.File, error)
	// Reserve takes room for n bytes from off on, beyond the end, and leaves the
	// size as it is. errors.ErrUnsupported where the file system cannot.
	Reserve(off, n int64) error
	// Alone runs fn while nobody has the file open or mapped but through this
	// File, in no process, and keeps others from opening it meanwhile; ErrInUse,
	// and fn does not run, where somebody has. Where the file system cannot tell
	// fn runs.
	Alone(fn func() error) error
}

// DirFS is the FS of a directory of the operating system.
func DirFS(dir string) FS { return dirFS(dir) }

type dirFS string

func (d dirFS) path(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

func (d dirFS) Open(name string, create bool) (File, error) {
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE
	}
	f, err := os.OpenFile(d.path(name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d dirFS) Mkdir(name string) error { return os.Mkdir(d.path(name), 0o700) }

func (d dirFS) Remove(name string) error { return os.Remove(d.path(name)) }

func (d dirFS) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d dirFS) SyncDir(name string) error {
	f, err := os.Open(d.path(name))
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Punch(off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		switch err {
		case unix.EINTR:
		case nil, unix.EOPNOTSUPP: // then the room stays taken; nobody reads it
			return nil
		default:
			return &os.PathError{Op: "punch a hole in", Path: f.Name(), Err: err}
		}
	}
}

func (f osFile) Datasync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

func (f osFile) start() {
	// A hint too: Datasync waits for it, and does it where this did not.
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

var _ Backing = osFile{}

func (f osFile) Reopen() (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
}

func (f osFile) Reserve(off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, n)
		switch err {
		case unix.EINTR:
		case nil:
			return nil
		case unix.EOPNOTSUPP:
			return errors.ErrUnsupported
		default:
			return &os.PathError{Op: "reserve room in", Path: f.Name(), Err: err}
		}
	}
}

// Alone takes a write lease, which the kernel gives where no other open file is
// on the inode; the kernel's own count has the readers of a mount too, also of
// one whose process is gone.
func (f osFile) Alone(fn func() error) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	if err == unix.EAGAIN {
		return fmt.Errorf("%s: %w", f.Name(), ErrInUse)
	}
	if err == nil {
		defer unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return fn()
}

func (f osFile) Forget() {
	// Only a hint, so there is no error worth an answer.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
