package fs

import (
	"testing"

	gofs "github.com/hanwen/go-fuse/v2/fs"
)

// TestGrowthOpened: who opens a log holds nothing that an event of its core needs,
// which has the growth.
func TestGrowthOpened(t *testing.T) {
	a := newMachine(t, true)
	tree := newTree(a.options())
	g, done := tree.watch(a.core("core-3"), nil)
	defer done()
	opened := make(chan func())
	g.mu.Lock()
	go func() {
		_, done := tree.watch(a.core("core-3"), new(gofs.Inode))
		opened <- done
	}()
	if !poll(func() bool {
		if !tree.mu.TryLock() {
			return false
		}
		defer tree.mu.Unlock()
		return g.uses == 2
	}) {
		t.Error("the tree is locked by who waits for the growth")
	}
	g.mu.Unlock()
	(<-opened)()
}
