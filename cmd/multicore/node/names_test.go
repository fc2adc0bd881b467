package node

import (
	"os"
	"path/filepath"
	"testing"

	"multicore/cmd/multicore/control"
)

// The names of the followed are those of the list, also of a store that is opened
// again, and change with it.
func TestNames(t *testing.T) {
	n := start(t, false)
	var before = n.Names()
	want := func(keys int) {
		t.Helper()
		now := n.Names()
		if len(now.Keys) != keys || !now.Changed.After(before.Changed) {
			t.Errorf("%d names since %v, want %d since after %v", len(now.Keys), now.Changed, keys, before.Changed)
		}
		before = now
	}
	if len(before.Keys) != 0 || !before.Changed.IsZero() {
		t.Errorf("names of an empty store: %v", before)
	}
	for i, r := range []control.FollowRequest{
		{Key: stranger(1).String(), Name: "news"},
		{Key: stranger(2).String(), Name: "olds"},
	} {
		if err := n.Follow(t.Context(), r, untold); err != nil {
			t.Fatal(err)
		}
		want(i + 1)
	}
	if err := n.Follow(t.Context(), control.FollowRequest{Key: stranger(3).String()}, untold); err != nil {
		t.Fatal(err)
	}
	if now := n.Names(); !now.Changed.Equal(before.Changed) || now.Keys["news"] != stranger(1) {
		t.Errorf("names after one without: %v", now)
	}
	if _, err := n.Unfollow(t.Context(), "olds"); err != nil {
		t.Fatal(err)
	}
	want(1)
	if _, err := n.Purge(t.Context(), "news"); err != nil {
		t.Fatal(err)
	}
	want(0)
	if err := n.Follow(t.Context(), control.FollowRequest{Key: stranger(1).String(), Name: "last"}, untold); control.CodeOf(err) != control.Usage {
		t.Errorf("a reserved name: %v", err)
	}
	if err := n.Follow(t.Context(), control.FollowRequest{Key: stranger(1).String(), Name: "again"}, untold); err != nil {
		t.Fatal(err)
	}
	dir := n.opts.Dir
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if now := n.Names(); len(now.Keys) != 1 || now.Keys["again"] != stranger(1) {
		t.Errorf("names of a store opened again: %v", now)
	}
}

// A mount shows the names at once.
func TestNamesInMount(t *testing.T) {
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil || os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root and /dev/fuse")
		}
		t.Skip("needs root and /dev/fuse")
	} else {
		f.Close()
	}
	n := start(t, false)
	m, err := n.mount(t.Context(), control.MountRequest{Path: filepath.Join(t.TempDir(), "mnt")})
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(m.Path(), "news")
	for range 3 {
		if _, err := os.Lstat(link); !os.IsNotExist(err) {
			t.Errorf("before it is followed: %v", err)
		}
		if err := n.Follow(t.Context(), control.FollowRequest{Key: stranger(1).String(), Name: "news"}, untold); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(link); err != nil || got != stranger(1).String() {
			t.Errorf("links to %q, %v", got, err)
		}
		if _, err := n.Unfollow(t.Context(), "news"); err != nil {
			t.Fatal(err)
		}
	}
}
