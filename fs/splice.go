package fs

import (
	"math/bits"
	"os"
	"unsafe"

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

// spliced reports whether n bytes at an offset are spliced. They take a slot of the
// pipe for each page that they touch, and the header of the reply one more. go-fuse
// has the pipe made for as many bytes and a page: where n does not begin at one, and
// the kernel rounds that to no more, a slot would be missing and the read cut short.
func spliced(n int, off uint64) bool {
	if n < spliceLeast || n > spliceMost {
		return false
	}
	page := os.Getpagesize()
	slots := 1 << bits.Len(uint((replyHeader+n+page-1)/page)) // the power of two that holds one more
	return 1+(int(off%uint64(page))+n+page-1)/page <= slots
}

const replyHeader = int(unsafe.Sizeof(fuse.OutHeader{}))

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
