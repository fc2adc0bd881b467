package corestore

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// grow appends a block to the core of a name and gives the session.
func grow(t *testing.T, s *Store, name string) *Core {
	t.Helper()
	c, err := s.OpenName(Namespace{}, name, 0)
	check(t, err)
	_, err = c.Append(context.Background(), []byte("block"))
	check(t, err)
	check(t, c.Flush(context.Background()))
	return c
}

func wantLengths(t *testing.T, c *Core, length, signed uint64, held bool) {
	t.Helper()
	if i := c.Info(); i.Length != length || i.Durable != signed || i.Held != held {
		t.Fatalf("length %d, %d signed, held: %v; want %d, %d, %v", i.Length, i.Durable, i.Held, length, signed, held)
	}
}

// A store that stays where it is goes on; a copy of it, and one whose database
// was put back, sign nothing until they are released.
func TestPlace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	backup := dir + ".backup"
	for range 2 {
		s := openStore(t, dir, Options{Create: true})
		grow(t, s, "a")
		check(t, s.Close())
	}
	check(t, os.CopyFS(backup, os.DirFS(dir)))
	s := openStore(t, dir, Options{})
	wantLengths(t, grow(t, s, "a"), 3, 3, false)
	check(t, s.Close())

	s = openStore(t, backup, Options{})
	wantLengths(t, grow(t, s, "a"), 3, 2, true)
	wantLengths(t, grow(t, s, "new"), 1, 0, true)
	check(t, s.Close())
	s = openStore(t, backup, Options{}) // in the same place, and still a copy
	wantLengths(t, grow(t, s, "a"), 4, 2, true)
	check(t, s.Release())
	c := grow(t, s, "a")
	wantLengths(t, c, 5, 5, false)
	check(t, s.Close())
	s = openStore(t, backup, Options{})
	wantLengths(t, grow(t, s, "new"), 2, 2, false)
	check(t, s.Close())

	db := filepath.Join(dir, "multicore.db")
	old, err := os.ReadFile(db)
	check(t, err)
	check(t, os.Remove(db))
	check(t, os.WriteFile(filepath.Join(dir, "other"), nil, 0o600)) // takes the inode, where inodes are reused
	check(t, os.WriteFile(db, old, 0o600))
	s = openStore(t, dir, Options{})
	wantLengths(t, grow(t, s, "a"), 4, 3, true)
}

// A store that settles signs once the time is over, or a core is released.
func TestSettle(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{Create: true})
	for _, name := range []string{"a", "b", "c"} {
		grow(t, s, name)
	}
	check(t, s.Close())
	s = openStore(t, dir, Options{})
	s.Settle(time.Hour)
	a, b := grow(t, s, "a"), grow(t, s, "b")
	wantLengths(t, a, 2, 1, true)
	wantLengths(t, b, 2, 1, true)
	wantLengths(t, grow(t, s, "new"), 1, 1, false)
	check(t, a.Release())
	check(t, a.Flush(context.Background()))
	wantLengths(t, a, 2, 2, false)
	check(t, b.Close())
	wantLengths(t, grow(t, s, "b"), 3, 1, true)
	check(t, s.Close())

	s = openStore(t, dir, Options{})
	s.Settle(time.Millisecond)
	b = grow(t, s, "b")
	for {
		changed := b.Changed()
		if b.Info().Durable == 4 {
			break
		}
		select {
		case <-changed:
		case <-time.After(30 * time.Second):
			t.Fatalf("%+v", b.Info())
		}
	}
	wantLengths(t, grow(t, s, "c"), 2, 2, false)
}
