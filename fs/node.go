package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// The bits of access(2).
const (
	mayExecute = 1
	mayWrite   = 2
	mayRead    = 4
)

// node is what files and directories have in common: a place in the tree, and
// that they cannot be changed. go-fuse lets some changes succeed where a node
// has no method for them, so each is refused by name.
type node struct {
	gofs.Inode
	place
}

// place is where a node is.
type place struct {
	t    *tree
	path string // from the root of the mount, "" for the root
}

// at is the place of name in the directory n.
func (n *node) at(name string) place { return place{n.t, join(n.path, name)} }

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	return n.t.statfs(out)
}

// Access answers access(2) and chdir(2) for everything but append files. That
// root may do more elsewhere changes nothing here.
func (n *node) Access(_ context.Context, mask uint32) syscall.Errno {
	return mayAccess(mask, n.IsDir())
}

func mayAccess(mask uint32, dir bool) syscall.Errno {
	if mask&mayWrite != 0 {
		return syscall.EROFS
	}
	if mask&mayExecute != 0 && !dir {
		return syscall.EACCES
	}
	return 0
}

// Fsync has nothing to do where nothing is written.
func (n *node) Fsync(context.Context, gofs.FileHandle, uint32) syscall.Errno { return 0 }

func (n *node) Setattr(context.Context, gofs.FileHandle, *fuse.SetAttrIn, *fuse.AttrOut) syscall.Errno {
	return syscall.EROFS
}

func (n *node) Setxattr(context.Context, string, []byte, uint32) syscall.Errno { return syscall.EROFS }
func (n *node) Removexattr(context.Context, string) syscall.Errno              { return syscall.EROFS }
func (n *node) Unlink(context.Context, string) syscall.Errno                   { return syscall.EROFS }
func (n *node) Rmdir(context.Context, string) syscall.Errno                    { return syscall.EROFS }

func (n *node) Rename(context.Context, string, gofs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EROFS
}

func (n *node) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

func (n *node) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

func (n *node) Link(context.Context, gofs.InodeEmbedder, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

func (n *node) Create(context.Context, string, uint32, uint32, *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EROFS
}

func (n *node) Tmpfile(context.Context, uint32, uint32, *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EROFS
}

// child is what a directory makes of a name: a node that can say its
// attributes at once.
type child interface {
	gofs.InodeEmbedder
	// entry fills in the attributes and how long the kernel may remember the
	// name and them. It never waits; what it does not know is asked again, by
	// a Getattr that may wait.
	entry(out *fuse.EntryOut)
}

// give answers a Lookup with c, of the file type given.
func (n *node) give(ctx context.Context, c child, filetype uint32, ino uint64, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	c.entry(out)
	return n.NewInode(ctx, c, gofs.StableAttr{Mode: filetype, Ino: ino}), 0
}

// readOnly checks the flags of an open of a file that cannot be written.
func readOnly(flags uint32) syscall.Errno {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0 {
		return syscall.EROFS
	}
	return 0
}

// join is the path of name in the directory at path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}
