package fs

import (
	"context"
	"slices"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/hypercore"
)

// Names are those of the followed multicores that have one.
type Names struct {
	Keys    map[string]hypercore.Key
	Changed time.Time // when they changed last; zero: not since the process began
}

// names gives the names that the root shows now.
func (t *tree) names() Names {
	if t.Names == nil || t.Open == nil {
		return Names{}
	}
	return t.Names()
}

// sorted lists the names in order.
func (n Names) sorted() []string {
	list := make([]string, 0, len(n.Keys))
	for name := range n.Keys {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// nameLink is a symbolic link in the root from the name of a followed multicore
// to its key. Names come, go and move to other keys, so the kernel remembers
// nothing of it, and it asks where it points each time.
type nameLink struct {
	node
	name string
}

func (l *nameLink) entry(out *fuse.EntryOut) {
	l.t.setAttr(&out.Attr, linkMode, hexKey, l.t.names().Changed)
}

func (l *nameLink) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	names := l.t.names()
	if _, ok := names.Keys[l.name]; !ok {
		return syscall.ENOENT
	}
	l.t.setAttr(&out.Attr, linkMode, hexKey, names.Changed)
	return 0
}

func (l *nameLink) Readlink(context.Context) ([]byte, syscall.Errno) {
	key, ok := l.t.names().Keys[l.name]
	if !ok {
		return nil, syscall.ENOENT
	}
	return []byte(key.String()), 0
}

// lookupName answers a Lookup of a name in the root that may be that of a
// followed multicore.
func (d *multicoreDir) lookupName(ctx context.Context, name string, out *fuse.EntryOut) (_ *gofs.Inode, no syscall.Errno, found bool) {
	if _, ok := d.t.names().Keys[name]; !ok {
		return nil, 0, false
	}
	at := d.at(name)
	inode, no := d.give(ctx, &nameLink{node: node{place: at}, name: name}, syscall.S_IFLNK, inode(at.path), out)
	return inode, no, true
}
