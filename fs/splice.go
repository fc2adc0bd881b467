package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"multicore/hypercore"
)

// Reads of so many bytes are spliced: less is copied as fast, and more fits into
// no pipe.
const (
	spliceLeast = 32 << 10
	spliceMost  = maxWrite - 16<<10
)

func spliced(n int) bool { return n >= spliceLeast && n <= spliceMost }

// pagesRead answers a read with pages of a file, which go-fuse moves to the kernel
// through a pipe.
type pagesRead struct{ hypercore.Pages }

var _ fuse.ReadResult = (*pagesRead)(nil)

func (r *pagesRead) Size() int { return r.Pages.Size }

// Seekable has go-fuse splice.
func (r *pagesRead) Seekable() (fd uintptr, off int64, size int) {
	return r.Fd, r.Offset, r.Pages.Size
}

// Bytes is asked where that fails.
func (r *pagesRead) Bytes(buf []byte) ([]byte, fuse.Status) {
	n, err := unix.Pread(int(r.Fd), buf[:min(len(buf), r.Pages.Size)], r.Offset)
	return buf[:max(n, 0)], fuse.ToStatus(err)
}

// Done comes when the kernel has the bytes.
func (r *pagesRead) Done() { r.Release() }
