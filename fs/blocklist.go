package fs

import (
	"context"
	"strconv"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/hypercore"
)

// dots are the entries of a listing before block 0: "." and "..".
const dots = 2

// blockList is an open listing of a core's blocks, as many as there were when it
// was begun or rewound: one that grows while it is read ends all the same. The
// position of an entry follows from its number, so that it stays for ever, and
// nothing is kept in memory however long the core is. go-fuse calls it for one
// request at a time.
type blockList struct {
	core         *hypercore.Core
	path, parent string
	base         uint64 // inode of the directory
	length       uint64
	next         uint64 // position
	entry        fuse.DirEntry
	digits       digits
}

func newBlockList(c *hypercore.Core, path, parent string) *blockList {
	return &blockList{core: c, path: path, parent: parent, base: inode(path), length: c.Info().Length}
}

func (l *blockList) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	e := &l.entry // go-fuse copies it
	switch l.next {
	case 0:
		l.length = l.core.Info().Length
		*e = fuse.DirEntry{Name: ".", Mode: syscall.S_IFDIR, Ino: inode(l.path)}
	case 1:
		*e = fuse.DirEntry{Name: "..", Mode: syscall.S_IFDIR, Ino: inode(l.parent)}
	default:
		i := l.next - dots
		if i >= l.length {
			return nil, 0
		}
		*e = fuse.DirEntry{Name: l.digits.of(i), Mode: syscall.S_IFREG, Ino: blockInode(l.base, i)}
	}
	l.next++
	e.Off = l.next
	return e, 0
}

func (l *blockList) Seekdir(_ context.Context, off uint64) syscall.Errno {
	l.next = off
	return 0
}

// digits writes numbers in a row. Each is a piece of one string for many: to
// allocate them one by one would take longer than the rest of a listing.
type digits struct {
	first uint64
	text  string
	ends  [256]uint16 // of the numbers in text
	n     uint64      // how many there are
}

// of is i in decimal.
func (d *digits) of(i uint64) string {
	k := i - d.first
	if k >= d.n {
		d.fill(i)
		k = 0
	}
	start := uint16(0)
	if k > 0 {
		start = d.ends[k-1]
	}
	return d.text[start:d.ends[k]]
}

func (d *digits) fill(first uint64) {
	buf := make([]byte, 0, len(d.ends)*len("18446744073709551615"))
	for k := range d.ends {
		buf = strconv.AppendUint(buf, first+uint64(k), 10)
		d.ends[k] = uint16(len(buf))
	}
	d.first, d.n, d.text = first, uint64(len(d.ends)), string(buf)
}
