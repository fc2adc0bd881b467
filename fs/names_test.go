package fs

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// called is a list of names that a test changes.
type called struct {
	mu  sync.Mutex
	now Names
}

func (c *called) names() Names {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *called) set(keys map[string]hypercore.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = Names{Keys: keys, Changed: time.Now()}
}

// TestNames: names of followed multicores are links to their keys, which come, go
// and move at once.
func TestNames(t *testing.T) {
	a, b, me := newMachine(t, true), newMachine(t, true), newMachine(t, true)
	a.append("", "of a\n")
	b.append("", "of b\n")
	connect(t, a, me)
	connect(t, b, me)
	var names called
	o := me.options()
	o.Names = names.names
	m := mount(t, "", o)
	before, err := os.Stat(m.Path())
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Lstat(m.path("news"))
	m.fails("a name before it is given", err, syscall.ENOENT)

	d, err := os.Open(m.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Readdirnames(-1); err != nil {
		t.Fatal(err)
	}
	names.set(map[string]hypercore.Key{"news": a.own.Key(), "a.b_c-d": b.own.Key()})
	m.want("news/core-3/log", "of a\n")
	m.want("a.b_c-d/core-3/log", "of b\n")
	if got, err := os.Readlink(m.path("news")); err != nil || got != a.own.Key().String() {
		t.Errorf("news links to %q, %v", got, err)
	}
	if info, err := os.Lstat(m.path("news")); err != nil || info.Mode() != os.ModeSymlink|0o777 || info.Size() != 64 {
		t.Errorf("news: %v, %v", info, err)
	}
	if got := m.names(""); !strings.Contains(got, " news") || !strings.Contains(got, "a.b_c-d ") {
		t.Errorf("root lists %q", got)
	}
	if _, err := d.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	if list, err := d.Readdirnames(-1); err != nil || !strings.Contains(strings.Join(list, " "), "a.b_c-d news") {
		t.Errorf("an open directory that was rewound lists %q, %v", list, err)
	}
	if after, err := os.Stat(m.Path()); err != nil || !after.ModTime().After(before.ModTime()) {
		t.Errorf("the root has the time %v, had %v, %v", after.ModTime(), before.ModTime(), err)
	}

	names.set(map[string]hypercore.Key{"news": b.own.Key()})
	m.want("news/core-3/log", "of b\n")
	_, err = os.Lstat(m.path("a.b_c-d"))
	m.fails("a name that went", err, syscall.ENOENT)
	names.set(nil)
	_, err = os.ReadFile(m.path("news/core-3/log"))
	m.fails("a name that went", err, syscall.ENOENT)
	if got := m.names(""); strings.Contains(got, "news") {
		t.Errorf("root lists %q", got)
	}
}

// TestNamesAreReserved: nothing that a mount has can be the name of a followed
// multicore.
func TestNamesAreReserved(t *testing.T) {
	a := newMachine(t, true)
	a.append("", "hi\n", "hello\n")
	m := mount(t, "", a.options())
	for _, dir := range []string{"", "main", "core-2", "core-3"} {
		d, err := os.ReadDir(m.path(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range d {
			if err := multicore.CheckName(e.Name()); !errors.Is(err, multicore.ErrBadName) {
				t.Errorf("%s may be the name of a multicore: %v", e.Name(), err)
			}
		}
	}
	for _, name := range []string{lastName, "core-1", "core-7"} {
		if err := multicore.CheckName(name); !errors.Is(err, multicore.ErrBadName) {
			t.Errorf("%s may be the name of a multicore: %v", name, err)
		}
	}
}

// TestLast: blocks/last is the newest block, at once.
func TestLast(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	m := mount(t, "", a.options())
	_, err := os.Lstat(m.path("core-3/blocks/last"))
	m.fails("last of an empty log", err, syscall.ENOENT)
	for i, s := range []string{"first\n", "second\n", "third\n"} {
		m.sh(`echo ` + strings.TrimSpace(s) + ` > $M/append`)
		m.want("core-3/blocks/last", s)
		if got, err := os.Readlink(m.path("core-3/blocks/last")); err != nil || got != string(rune('0'+i)) {
			t.Errorf("last links to %q, %v", got, err)
		}
	}
	open, err := os.Open(m.path("core-3/blocks/last"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if got := m.names("core-3/blocks"); got != "0 1 2" {
		t.Errorf("blocks lists %q", got)
	}

	if err := a.core("core-3").Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	connect(t, a, b)
	remote := remoteMount(t, b, 0)
	dir := a.own.Key().String() + "/core-3/blocks/"
	remote.want(dir+"last", "third\n")
	if got := held(b, a.own.Key().String(), "core-3"); got != 1 {
		t.Errorf("%d blocks fetched, want 1", got)
	}
	_, err = os.Readlink(remote.path(a.own.Key().String() + "/core-2/blocks/last"))
	remote.fails("last of an empty log", err, syscall.ENOENT)

	if err := a.core("core-3").Truncate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	m.want("core-3/blocks/last", "first\n")
	remote.eventually("last after truncation", func() bool {
		b, err := os.ReadFile(remote.path(dir + "last"))
		return err == nil && string(b) == "first\n"
	})
	if _, err := open.Read(make([]byte, 10)); err == nil {
		t.Error("a block that was dropped is read on")
	}
}
