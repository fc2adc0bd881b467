package fs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/merkle"
)

// gone waits until a file is not there any more.
func (m *mnt) gone(name string) {
	m.t.Helper()
	m.eventually(name+" is gone", func() bool {
		_, err := os.Stat(m.path(name))
		return errors.Is(err, os.ErrNotExist)
	})
}

// eventually waits for what the kernel is told in the background.
func (m *mnt) eventually(what string, ok func() bool) {
	m.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			m.t.Fatalf("waiting: %s", what)
		}
	}
}

// TestTruncated: where a writer truncates and appends other blocks, the mount
// shows what there is, and nothing that the kernel remembers.
func TestTruncated(t *testing.T) {
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	m.sh(`for i in 0 1 2 3 4 5; do echo "block $i" >> $M/append; done`)
	core := a.core("core-3")
	for _, i := range []string{"1", "3", "5"} {
		m.want("core-3/blocks/"+i, "block "+i+"\n")
		m.want("core-3/"+i, "block "+i+"\n")
	}
	kept, err := os.Open(m.path("core-3/blocks/1"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	dropped, err := os.Open(m.path("core-3/blocks/3"))
	if err != nil {
		t.Fatal(err)
	}
	defer dropped.Close()
	log, err := os.Open(m.path("core-3/log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.Seek(-3, io.SeekEnd); err != nil {
		t.Fatal(err)
	}

	if err := core.Truncate(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	m.gone("core-3/blocks/3")
	m.gone("core-3/blocks/5")
	m.gone("core-3/5")
	buf := make([]byte, 4)
	m.eventually("an open block that was dropped is stale", func() bool {
		_, err := dropped.ReadAt(buf, 0)
		return errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.ENOENT)
	})
	m.want("core-3/log", "block 0\nblock 1\nblock 2\n")
	if st, err := os.Stat(m.path("core-3/log")); err != nil || st.Size() != 24 {
		t.Errorf("size of log: %v, %v", st, err)
	}
	if b, err := io.ReadAll(log); err != nil || len(b) != 0 {
		t.Errorf("an open log beyond its end: %q, %v", b, err)
	}
	m.sh(`echo "another and longer" >> $M/append; echo "one more" >> $M/append`)
	m.want("core-3/blocks/3", "another and longer\n")
	m.want("core-3/3", "another and longer\n")
	m.want("core-3/blocks/4", "one more\n")
	m.want("core-3/length", "5\n")
	m.want("core-3/blocks/1", "block 1\n")
	if got := m.names("core-3/blocks"); got != "0 1 2 3 4" {
		t.Errorf("blocks: %s", got)
	}
	if n, err := kept.ReadAt(buf, 0); err != nil || string(buf[:n]) != "bloc" {
		t.Errorf("a block that stayed: %q, %v", buf[:n], err)
	}
	m.want("core-3/log", "block 0\nblock 1\nblock 2\nanother and longer\none more\n")
}

// TestFrozenMount: a core in conflict is read on; appends to it are refused, with
// one line in the log.
func TestFrozenMount(t *testing.T) {
	a := newMachine(t, true)
	var logged logText
	o := a.options()
	o.Log = slog.New(slog.NewTextHandler(&logged, nil))
	m := mount(t, "", o)
	m.sh(`echo "block 0" >> $M/append`)
	freeze(t, a)
	for range 3 {
		f, err := os.OpenFile(m.path("core-3/append"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString("a message\n")
		m.fails("an append", err, syscall.EIO)
		f.Close()
	}
	m.want("core-3/log", "block 0\n")
	if n := strings.Count(logged.String(), "input/output error"); n != 1 {
		t.Errorf("%d lines in the log: %s", n, logged.String())
	}
}

// freeze has core-3 of a meet another log that its key has signed.
func freeze(t *testing.T, a *machine) {
	t.Helper()
	core := a.core("core-3")
	if err := core.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(a.dir, "primary-key"))
	if err != nil {
		t.Fatal(err)
	}
	var primary [32]byte
	if _, err := hex.Decode(primary[:], bytes.TrimSpace(key)); err != nil {
		t.Fatal(err)
	}
	st, err := corestore.Open(filepath.Join(t.TempDir(), "copy"), corestore.Options{Create: true, PrimaryKey: &primary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	twin, err := st.OpenName(corestore.Namespace{}, "core-3", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { twin.Close() })
	if _, err := twin.Append(t.Context(), []byte("another")); err != nil {
		t.Fatal(err)
	}
	if err := twin.Release(); err != nil {
		t.Fatal(err)
	}
	if err := twin.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	proof, err := twin.Prove(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := core.CheckConflict(proof); !errors.Is(err, hypercore.ErrConflict) {
		t.Fatal(err)
	}
}

// logText is a log.
type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestAdopted: where an older copy of a store takes over what the other one
// appended, its own blocks move, and nothing that the kernel remembers shows
// them where they were.
func TestAdopted(t *testing.T) {
	first := newMachine(t, true)
	if _, err := first.core("core-3").Append(t.Context(), []byte("block 0\n")); err != nil {
		t.Fatal(err)
	}
	dir := first.dir
	first.close()
	if err := os.CopyFS(dir+".copy", os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	source := openMachine(t, dir, true).core("core-3")
	for _, s := range []string{"the first\n", "the second, longer\n", "3\n"} {
		if _, err := source.Append(t.Context(), []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := source.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}

	a := openMachine(t, dir+".copy", true)
	m := mount(t, "", a.options())
	m.sh(`echo "late 1" >> $M/append; echo "late 2" >> $M/append`)
	m.want("core-3/blocks/1", "late 1\n")
	m.want("core-3/2", "late 2\n")
	late, err := os.Open(m.path("core-3/blocks/2"))
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	core := a.core("core-3")
	r := merkle.Request{Upgrade: &merkle.UpgradeRequest{Start: 1, Length: 3}}
	for i := range uint64(4) {
		p, err := source.Prove(r)
		if err == nil {
			err = core.Apply(p)
		}
		if err != nil {
			t.Fatal(err)
		}
		nodes, err := core.Missing(2 * i)
		if err != nil {
			t.Fatal(err)
		}
		r = merkle.Request{Block: &merkle.BlockRequest{Index: i, Nodes: nodes}}
	}
	p, err := source.Prove(r)
	if err == nil {
		err = core.Apply(p)
	}
	if err != nil {
		t.Fatal(err)
	}

	m.eventually("an open block that moved is stale", func() bool {
		_, err := late.ReadAt(make([]byte, 4), 0)
		return errors.Is(err, syscall.ESTALE)
	})
	want := []string{"block 0\n", "the first\n", "the second, longer\n", "3\n", "late 1\n", "late 2\n"}
	for i, s := range want {
		for _, dir := range []string{"core-3/blocks/", "core-3/"} {
			name := dir + strconv.Itoa(i)
			m.eventually(name, func() bool {
				b, err := os.ReadFile(m.path(name))
				return err == nil && string(b) == s
			})
		}
	}
	m.want("core-3/log", strings.Join(want, ""))
}

// TestTruncatedElsewhere: the mount of a reader follows a writer on another
// machine that truncates, be the blocks held here or not.
func TestTruncatedElsewhere(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	a.append("", "block 0\n", "block 1\n", "block 2\n", "block 3\n", "block 4\n", "block 5\n")
	connect(t, a, b)
	m := remoteMount(t, b, 0)
	dir := a.own.Key().String() + "/core-3/"
	m.want(dir+"blocks/1", "block 1\n")
	m.want(dir+"blocks/4", "block 4\n") // block 5 is not held
	dropped, err := os.Open(m.path(dir + "blocks/4"))
	if err != nil {
		t.Fatal(err)
	}
	defer dropped.Close()
	buf := make([]byte, 4)
	if err := a.core("core-3").Truncate(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	m.gone(dir + "blocks/4")
	m.gone(dir + "blocks/5")
	m.eventually("an open block that was dropped is stale", func() bool {
		_, err := dropped.ReadAt(buf, 0)
		return errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.ENOENT)
	})
	m.want(dir+"log", "block 0\nblock 1\nblock 2\n")
	m.want(dir+"length", "3\n")
	a.append("", "another and longer\n")
	m.eventually("what came instead", func() bool {
		b, err := os.ReadFile(m.path(dir + "blocks/3"))
		return err == nil && string(b) == "another and longer\n"
	})
	m.want(dir+"log", "block 0\nblock 1\nblock 2\nanother and longer\n")
}
