package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// entries is the content of a small directory.
type entries struct {
	path string
	list []fuse.DirEntry
}

// list begins the listing of the directory at path.
func list(path, parent string) *entries {
	e := &entries{path: path}
	e.list = append(e.list,
		fuse.DirEntry{Name: ".", Mode: syscall.S_IFDIR, Ino: inode(path)},
		fuse.DirEntry{Name: "..", Mode: syscall.S_IFDIR, Ino: inode(parent)})
	return e
}

func (e *entries) add(filetype uint32, names ...string) {
	for _, name := range names {
		e.list = append(e.list, fuse.DirEntry{Name: name, Mode: filetype, Ino: inode(join(e.path, name))})
	}
}

// listing is an open small directory. It has the content of when it was begun to
// read, so that positions in it stay what they are; when it is rewound, that of
// then. go-fuse calls it for one request at a time.
type listing struct {
	read func() *entries // never waits
	list []fuse.DirEntry
	next uint64 // position: how many entries were given
}

func (l *listing) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if l.next == 0 || l.list == nil {
		l.list = l.read().list
	}
	if l.next >= uint64(len(l.list)) {
		return nil, 0
	}
	e := &l.list[l.next]
	l.next++
	e.Off = l.next
	return e, 0
}

func (l *listing) Seekdir(_ context.Context, off uint64) syscall.Errno {
	l.next = off
	return 0
}
