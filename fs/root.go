package fs

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

const statusName = "status.json"

// multicoreDir is the directory of a multicore: the root of the mount, or one
// named by a key in it.
type multicoreDir struct {
	node
	key      hypercore.Key
	open     func() (multicore.View, error) // opens the multicore at first use; never waits
	writable bool
	top      bool   // the root, with other multicores by key below it
	info     string // what the paths of its cores in info.json begin with
}

func (d *multicoreDir) entry(out *fuse.EntryOut) {
	out.SetEntryTimeout(forever)
	out.SetAttrTimeout(forever)
	d.t.setAttr(&out.Attr, dirMode, 0, d.t.began)
}

// Getattr gives the root the time when what is listed in it changed last. Of the
// others the kernel remembers all.
func (d *multicoreDir) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	changed := d.t.began
	if !d.top {
		out.SetTimeout(forever)
	} else if _, listed := d.t.opened(); listed.After(changed) {
		changed = listed
	}
	if named := d.t.names().Changed; d.top && named.After(changed) {
		changed = named
	}
	d.t.setAttr(&out.Attr, dirMode, 0, changed)
	return 0
}

// OpendirHandle waits for block 0, which names the cores.
func (d *multicoreDir) OpendirHandle(ctx context.Context, _ uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	v, err := d.open()
	if err != nil {
		return nil, 0, d.t.fail(d.path, err)
	}
	ctx, cancel := d.t.wait(ctx)
	defer cancel()
	if _, err := v.Cores(ctx); err != nil {
		return nil, 0, d.t.fail(d.path, err)
	}
	return &listing{read: func() *entries { return d.entries(v) }}, 0, 0
}

func (d *multicoreDir) entries(v multicore.View) *entries {
	e := list(d.path, "")
	if d.writable {
		e.add(syscall.S_IFREG, appendName)
	}
	e.add(syscall.S_IFREG, keyName)
	if d.t.Status != nil {
		e.add(syscall.S_IFREG, statusName)
	}
	cores, _ := v.Known()
	for _, c := range cores {
		e.add(syscall.S_IFDIR, c.Name)
	}
	if !d.top {
		return e
	}
	e.add(syscall.S_IFLNK, d.t.names().sorted()...)
	keys, _ := d.t.opened()
	slices.SortFunc(keys, func(a, b hypercore.Key) int { return bytes.Compare(a[:], b[:]) })
	for _, k := range keys {
		if k == d.key {
			e.add(syscall.S_IFLNK, k.String())
		} else {
			e.add(syscall.S_IFDIR, k.String())
		}
	}
	return e
}

// Lookup never waits for a network. Where it is not known yet whether there is
// a core of that name, it gives a directory that will turn out to be there or not.
func (d *multicoreDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	at := d.at(name)
	ino := inode(at.path)
	switch name {
	case appendName:
		if d.writable {
			return d.give(ctx, &appendFile{node: node{place: at}}, syscall.S_IFREG, ino, out)
		}
		return nil, syscall.ENOENT
	case keyName:
		return d.give(ctx, &textFile{node: node{place: at}, content: d.keyText}, syscall.S_IFREG, ino, out)
	case statusName:
		if d.t.Status == nil {
			return nil, syscall.ENOENT
		}
		return d.give(ctx, &textFile{node: node{place: at}, content: d.statusText}, syscall.S_IFREG, ino, out)
	}
	if canonical, ok := parseCoreName(name); ok {
		ref := coreRef{open: d.open, name: canonical}
		if _, err := ref.known(); err != nil {
			return nil, d.t.fail(at.path, err)
		}
		c := &coreDir{node: node{place: at}, parent: d.path, ref: ref, info: d.info + canonical, writable: d.writable}
		return d.give(ctx, c, syscall.S_IFDIR, ino, out)
	}
	if d.top {
		if node, no, found := d.lookupName(ctx, name, out); found {
			return node, no
		}
		return d.lookupKey(ctx, name, out)
	}
	return nil, syscall.ENOENT
}

func (d *multicoreDir) keyText(context.Context) (text, error) {
	return text{bytes: []byte(d.key.String() + "\n")}, nil
}

func (d *multicoreDir) statusText(context.Context) (text, error) {
	return text{bytes: d.t.Status()}, nil
}

// parseCoreName reads main, core-1 (which is main), core-2, ... and gives the
// name that a multicore knows the core by.
func parseCoreName(name string) (canonical string, ok bool) {
	if name == multicore.MainName {
		return name, true
	}
	digits, ok := strings.CutPrefix(name, "core-")
	if !ok {
		return "", false
	}
	place, ok := parseIndex(digits)
	if !ok || place < 1 || place > multicore.MaxOthers+1 {
		return "", false
	}
	return multicore.CoreName(int(place - 1)), true
}

// parseIndex reads a decimal number without leading zeros or a sign.
func parseIndex(s string) (uint64, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' || s[0] == '+' {
		return 0, false
	}
	i, err := strconv.ParseUint(s, 10, 64)
	return i, err == nil
}
