package fs

import (
	"crypto/sha256"
	"encoding/binary"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Permission bits before Options.Umask. Nothing but append can be written, by
// nobody.
const (
	dirMode    = 0o555
	fileMode   = 0o444
	appendMode = 0o222
	linkMode   = 0o777 // the umask is not for links
)

// DefaultUmask lets others read, and only the owner append.
const DefaultUmask = 0o022

// forever is how long the kernel may remember what never changes.
const forever = 24 * time.Hour

// inode numbers a path of the tree, the same in every mount. The top bit is
// left to those that go-fuse numbers itself.
func inode(path string) uint64 {
	if path == "" {
		return fuse.FUSE_ROOT_ID
	}
	sum := sha256.Sum256([]byte(path))
	return max(binary.LittleEndian.Uint64(sum[:])&^(1<<63), fuse.FUSE_ROOT_ID+1)
}

// blockInode numbers block i in a blocks directory with the inode dir. The blocks
// of a directory are numbered in a row, which makes listing a million of them
// cheap.
func blockInode(dir, i uint64) uint64 {
	return max((dir+1+i)&^(1<<63), fuse.FUSE_ROOT_ID+1)
}

// setAttr fills in what a stat shows. A directory has one link, which tells
// find that the number says nothing about subdirectories.
func (t *tree) setAttr(a *fuse.Attr, mode uint32, size uint64, modified time.Time) {
	a.Mode = mode
	if mode != linkMode {
		a.Mode &^= t.umask
	}
	a.Size = size
	a.Nlink = 1
	a.Owner = fuse.Owner{Uid: t.uid, Gid: t.gid}
	if modified.IsZero() {
		modified = t.began
	}
	a.SetTimes(&modified, &modified, &modified)
}

// statfs describes the volume of the store.
func (t *tree) statfs(out *fuse.StatfsOut) syscall.Errno {
	var s syscall.Statfs_t
	if err := syscall.Statfs(t.StoreDir, &s); err != nil {
		return t.fail("", err)
	}
	out.FromStatfsT(&s)
	return 0
}
