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

// The names in the directory of a core.
const (
	logName          = "log"
	followName       = "follow"
	blocksName       = "blocks"
	appendName       = "append"
	keyName          = "key"
	discoveryKeyName = "discovery-key"
	lengthName       = "length"
	byteLengthName   = "byte-length"
	infoName         = "info.json"
)

// coreDir is the directory of a core. It may be one that the multicore turns
// out not to have.
type coreDir struct {
	node
	parent   string // path of the multicore's directory
	ref      coreRef
	info     string // path of the core in info.json
	writable bool
}

func (d *coreDir) entry(out *fuse.EntryOut) {
	if c, err := d.ref.known(); c != nil && err == nil {
		out.SetEntryTimeout(forever)
		d.t.setAttr(&out.Attr, dirMode, 0, c.Info().Grown)
		return
	}
	d.t.setAttr(&out.Attr, dirMode, 0, time.Time{})
}

func (d *coreDir) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	c, no := d.exists(ctx)
	if no != 0 {
		return no
	}
	d.t.setAttr(&out.Attr, dirMode, 0, c.Info().Grown)
	return 0
}

func (d *coreDir) Access(ctx context.Context, mask uint32) syscall.Errno {
	if _, no := d.exists(ctx); no != 0 {
		return no
	}
	return d.node.Access(ctx, mask)
}

// exists waits until it is known whether the multicore has the core.
func (d *coreDir) exists(ctx context.Context) (*hypercore.Core, syscall.Errno) {
	ctx, cancel := d.t.wait(ctx)
	defer cancel()
	c, err := d.ref.get(ctx)
	if err != nil {
		return nil, d.t.fail(d.path, err)
	}
	return c, 0
}

func (d *coreDir) OpendirHandle(ctx context.Context, _ uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	ctx, cancel := d.t.wait(ctx)
	defer cancel()
	if _, _, err := d.ref.learned(ctx); err != nil {
		return nil, 0, d.t.fail(d.path, err)
	}
	return &listing{read: d.entries}, 0, 0
}

func (d *coreDir) entries() *entries {
	e := list(d.path, d.parent)
	if d.writable {
		e.add(syscall.S_IFREG, appendName)
	}
	e.add(syscall.S_IFDIR, blocksName)
	e.add(syscall.S_IFREG, byteLengthName, discoveryKeyName, followName)
	if d.t.CoreInfo != nil {
		e.add(syscall.S_IFREG, infoName)
	}
	e.add(syscall.S_IFREG, keyName, lengthName, logName)
	return e
}

func (d *coreDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if i, ok := parseIndex(name); ok {
		return nil, d.lookupBlock(d.ref, join(d.path, blocksName), i, out)
	}
	at := d.at(name)
	ino := inode(at.path)
	switch name {
	case logName:
		return d.give(ctx, &logFile{node: node{place: at}, ref: d.ref}, syscall.S_IFREG, ino, out)
	case followName:
		return d.give(ctx, &followFile{node: node{place: at}, ref: d.ref}, syscall.S_IFREG, ino, out)
	case blocksName:
		return d.give(ctx, &blocksDir{node: node{place: at}, parent: d.path, ref: d.ref}, syscall.S_IFDIR, ino, out)
	case appendName:
		if d.writable {
			return d.give(ctx, &appendFile{node: node{place: at}, core: d.ref.name}, syscall.S_IFREG, ino, out)
		}
	case keyName:
		return d.give(ctx, &textFile{node: node{place: at}, content: d.keyText(func(c *hypercore.Core) string { return c.Key().String() })}, syscall.S_IFREG, ino, out)
	case discoveryKeyName:
		return d.give(ctx, &textFile{node: node{place: at}, content: d.keyText(func(c *hypercore.Core) string { return c.DiscoveryKey().String() })}, syscall.S_IFREG, ino, out)
	case lengthName:
		return d.give(ctx, &textFile{node: node{place: at}, content: d.numberText(func(i hypercore.Info) uint64 { return i.Length })}, syscall.S_IFREG, ino, out)
	case byteLengthName:
		return d.give(ctx, &textFile{node: node{place: at}, content: d.numberText(func(i hypercore.Info) uint64 { return i.ByteLength })}, syscall.S_IFREG, ino, out)
	case infoName:
		if d.t.CoreInfo != nil {
			return d.give(ctx, &textFile{node: node{place: at}, content: d.infoText}, syscall.S_IFREG, ino, out)
		}
	}
	return nil, syscall.ENOENT
}

// keyText is a line with one of the keys of the core, which is known as soon as
// the core is.
func (d *coreDir) keyText(key func(*hypercore.Core) string) func(context.Context) (text, error) {
	return func(ctx context.Context) (text, error) {
		c, err := d.ref.get(ctx)
		if err != nil {
			return text{}, err
		}
		return text{bytes: []byte(key(c) + "\n")}, nil
	}
}

// numberText is a line with a number that grows.
func (d *coreDir) numberText(number func(hypercore.Info) uint64) func(context.Context) (text, error) {
	return func(ctx context.Context) (text, error) {
		_, info, err := d.ref.learned(ctx)
		if err != nil {
			return text{}, err
		}
		return text{bytes: append(strconv.AppendUint(nil, number(info), 10), '\n'), modified: info.Grown}, nil
	}
}

func (d *coreDir) infoText(ctx context.Context) (text, error) {
	c, info, err := d.ref.learned(ctx)
	if err != nil {
		return text{}, err
	}
	return text{bytes: d.t.CoreInfo(d.info, c), modified: info.Grown}, nil
}
