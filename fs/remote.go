package fs

import (
	"context"
	"strings"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// The lengths of a key in hex and in z-base-32.
const (
	hexKey     = 64
	zBase32Key = 52
)

// lookupKey answers a Lookup of a name in the root that is a key: a directory
// where it is in lower-case hex, else a link to that. The own key is a link to
// the root itself. Nothing is opened before something in the directory is.
func (d *multicoreDir) lookupKey(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	key, ok := parseKeyName(name)
	if !ok || d.t.Open == nil && key != d.key {
		return nil, syscall.ENOENT
	}
	at := d.at(name)
	hex := key.String()
	switch {
	case name != hex:
		return d.give(ctx, &linkNode{node: node{place: at}, target: hex}, syscall.S_IFLNK, inode(name), out)
	case key == d.key:
		return d.give(ctx, &linkNode{node: node{place: at}, target: ".", own: true}, syscall.S_IFLNK, inode(name), out)
	}
	m := &multicoreDir{node: node{place: at}, key: key, info: hex + "/"}
	m.open = func() (multicore.View, error) { return d.t.open(key) }
	return d.give(ctx, m, syscall.S_IFDIR, inode(name), out)
}

// parseKeyName reads a key as the name of a file.
func parseKeyName(name string) (hypercore.Key, bool) {
	if len(name) != hexKey && len(name) != zBase32Key {
		return hypercore.Key{}, false
	}
	key, err := hypercore.ParseKey(strings.ToLower(name))
	return key, err == nil
}

// linkNode is a symbolic link in the root.
type linkNode struct {
	node
	target string
	own    bool // listed once it was followed
}

func (l *linkNode) entry(out *fuse.EntryOut) {
	out.SetEntryTimeout(forever)
	out.SetAttrTimeout(forever)
	l.t.setAttr(&out.Attr, linkMode, uint64(len(l.target)), l.t.began)
}

func (l *linkNode) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	l.t.setAttr(&out.Attr, linkMode, uint64(len(l.target)), l.t.began)
	out.SetTimeout(forever)
	return 0
}

func (l *linkNode) Readlink(context.Context) ([]byte, syscall.Errno) {
	if l.own {
		l.t.followed()
	}
	return []byte(l.target), 0
}
