package node

import (
	"context"
	"fmt"
	"strings"

	"multicore/cmd/multicore/control"
	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// target is what a PATH of the command line names.
type target struct {
	view   multicore.View
	remote bool
	key    hypercore.Key // of the multicore
	core   string        // "main", "core-3"; "" is all but main
}

// resolve parses PATH: "", "core-3", "KEY", "KEY/core-3", or the name of a
// followed multicore in place of KEY. release ends the use of a remote one.
func (n *Node) resolve(path string) (t target, release func(), err error) {
	head, core := SplitPath(path)
	if core != "" && !multicore.IsCoreName(core) {
		return t, nil, &control.Error{Code: control.Usage,
			Text: fmt.Sprintf("no core %q in a path; want main, core-2, core-3 …, as in KEY/core-3", core)}
	}
	t.core = core
	if t.core == "core-1" {
		t.core = "main"
	}
	own := n.current()
	if head == "" {
		if own == nil {
			return t, nil, n.noOwn()
		}
		t.view, t.key = own, own.Key()
		return t, func() {}, nil
	}
	key, err := n.keyOf(head)
	if err != nil {
		return t, nil, err
	}
	t.key = key
	if own != nil && own.Key() == key {
		t.view = own
		return t, func() {}, nil
	}
	r, release, err := n.acquire(key)
	if err != nil {
		return t, nil, coded(err)
	}
	t.view, t.remote = r, true
	return t, release, nil
}

// SplitPath splits a PATH into the multicore, "" for the own one, and the core,
// "" for all. It checks neither.
func SplitPath(path string) (head, core string) {
	head, core, _ = strings.Cut(strings.Trim(path, "/"), "/")
	if core == "" && multicore.IsCoreName(head) {
		return "", head
	}
	return head, core
}

// nameLike is up to how many characters what is neither a key nor a name is
// taken for a mistyped name rather than a mistyped key.
const nameLike = 32

// keyOf reads a key, or the name of a followed multicore.
func (n *Node) keyOf(s string) (hypercore.Key, error) {
	key, err := hypercore.ParseKey(s)
	if err == nil {
		return key, nil
	}
	list, lerr := multicore.List(n.store)
	if lerr != nil {
		return key, lerr
	}
	for _, f := range list {
		if f.Name != "" && f.Name == s {
			return f.Key, nil
		}
	}
	if len(s) <= nameLike && multicore.CheckName(s) == nil {
		return key, &control.Error{Code: control.NotFound, Err: err,
			Text: fmt.Sprintf("no followed multicore is called %s, and a key has 64 hex or 52 z-base-32 characters; multicore ls shows what is followed", s)}
	}
	return key, &control.Error{Code: control.Usage, Text: err.Error(), Err: err}
}

func (n *Node) noOwn() error {
	return &control.Error{Code: control.NotFound, Err: multicore.ErrNoMulticore,
		Text: fmt.Sprintf("the store in %s has no multicore of its own; make one with: multicore init", n.opts.Dir)}
}

// cores waits until the cores of t are known and picks those that it names.
func (t target) cores(ctx context.Context) ([]multicore.Named, error) {
	if t.core == "main" {
		return []multicore.Named{{Name: "main", Core: t.view.Main()}}, nil
	}
	all, err := t.view.Cores(ctx)
	if err != nil {
		return nil, err
	}
	var picked []multicore.Named
	for _, c := range all {
		if c.Name == t.core || t.core == "" && (c.Name != "main" || len(all) == 1) {
			picked = append(picked, c)
		}
	}
	if len(picked) == 0 {
		return nil, t.lacks(len(all))
	}
	return picked, nil
}

// lacks says that a multicore of so many cores has not the one that t names.
func (t target) lacks(cores int) error {
	return &control.Error{Code: control.NotFound,
		Text: fmt.Sprintf("%s has no %s, only main and %d others", t.key, t.core, cores-1)}
}
