package fs

import (
	"context"
	"strconv"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/hypercore"
)

// lastName is the newest block in blocks. It is not listed: a listing has each
// block once.
const lastName = "last"

// lastLink is a symbolic link to the newest block. As a link it says which that
// is, and what was opened through it stays that block. The kernel remembers
// nothing of it. There is none in an empty log.
type lastLink struct {
	node
	ref coreRef
}

func (l *lastLink) entry(out *fuse.EntryOut) {
	l.t.setAttr(&out.Attr, linkMode, 0, time.Time{})
}

func (l *lastLink) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	target, info, no := l.target(ctx)
	if no != 0 {
		return no
	}
	l.t.setAttr(&out.Attr, linkMode, uint64(len(target)), info.Grown)
	return 0
}

func (l *lastLink) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	target, _, no := l.target(ctx)
	return target, no
}

// target is the name of the newest block. It waits until the length is known.
func (l *lastLink) target(ctx context.Context) ([]byte, hypercore.Info, syscall.Errno) {
	ctx, cancel := l.t.wait(ctx)
	defer cancel()
	_, info, err := l.ref.learned(ctx)
	if err == nil && info.Length == 0 {
		err = errNotThere
	}
	if err != nil {
		return nil, info, l.t.fail(l.path, err)
	}
	return strconv.AppendUint(nil, info.Length-1, 10), info, 0
}

// lookupLast answers a Lookup of last, whose existence may turn out later, as
// that of a block.
func (d *blocksDir) lookupLast(ctx context.Context, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	c, err := d.ref.known()
	if err != nil {
		return nil, d.t.fail(d.path, err)
	}
	if c != nil {
		if info := c.Info(); info.Learned && info.Length == 0 {
			return nil, syscall.ENOENT
		}
	}
	at := d.at(lastName)
	return d.give(ctx, &lastLink{node: node{place: at}, ref: d.ref}, syscall.S_IFLNK, inode(at.path), out)
}
