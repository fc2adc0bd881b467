package hypercore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// faulty is a store in memory that fails when told to.
func faulty(t testing.TB) (*Flusher, *storagetest.Faults) {
	t.Helper()
	faults := &storagetest.Faults{FS: storage.MemoryFS()}
	return flusherOf(t, storage.MemoryOn(faults)), faults
}

// counting counts the transactions of a store, and fails them when told to.
type counting struct {
	storage.Store
	updates atomic.Int64
	fail    atomic.Pointer[error]
	before  atomic.Pointer[func() error] // asked first, where set
}

func (s *counting) Update(fn func(storage.Tx) error) error {
	s.updates.Add(1)
	if before := s.before.Load(); before != nil {
		if err := (*before)(); err != nil {
			return err
		}
	}
	if err := s.fail.Load(); err != nil {
		return *err
	}
	return s.Store.Update(fn)
}

func TestOneTransactionForAllCores(t *testing.T) {
	const cores = 50
	faults := &storagetest.Faults{FS: storage.MemoryFS()}
	st := &counting{Store: storage.MemoryOn(faults)}
	f := flusherOf(t, st)
	var list []*Core
	for n := range cores {
		list = append(list, own(t, f, byte(n)))
	}
	// The first core's sync waits until all have something to flush.
	entered, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	faults.Hook(func(op storagetest.Op, name string) error {
		if op == storagetest.Sync {
			once.Do(func() {
				close(entered)
				<-proceed
			})
		}
		return nil
	})
	fill(t, list[0], 1)
	<-entered
	for _, c := range list {
		fill(t, c, 5)
	}
	before := st.updates.Load()
	close(proceed)
	if err := f.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := st.updates.Load() - before; n != 2 {
		t.Fatalf("%d transactions, want that of the first append and one for all", n)
	}
	for _, c := range list {
		if got := c.Info().Durable; got != 5 {
			t.Fatalf("durable %d", got)
		}
		if h := c.Head(); c.Manifest().Verify(h.Tree, h.Signature) != nil || h.Length != 5 {
			t.Fatal("head is not signed")
		}
	}
	idle := st.updates.Load()
	if err := f.Flush(context.Background()); err != nil || st.updates.Load() != idle {
		t.Fatalf("a flush of nothing: %v, %d transactions", err, st.updates.Load()-idle)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running {
		t.Fatal("goroutine without work")
	}
}

// TestNothingSignedBeforeSync holds back each sync and sees no head meanwhile.
func TestNothingSignedBeforeSync(t *testing.T) {
	f, faults := faulty(t)
	c := own(t, f, 1)
	entered, proceed := make(chan struct{}), make(chan struct{})
	faults.Hook(func(op storagetest.Op, name string) error {
		if op == storagetest.Sync && strings.HasSuffix(name, "tree") {
			entered <- struct{}{}
			<-proceed
		}
		return nil
	})
	fill(t, c, 3)
	<-entered
	if info, head := c.Info(), c.Head(); info.Length != 3 || info.Durable != 0 || head.Length != 0 || head.Signature != nil {
		t.Fatalf("%+v, head of length %d", info, head.Length)
	}
	faults.Hook(nil)
	close(proceed)
	mustFlush(t, c)
	if head := c.Head(); head.Length != 3 {
		t.Fatalf("head of length %d", head.Length)
	}
}

// TestFailedSyncFailsOneCore: the others go on, and the core works again once
// it was opened anew.
func TestFailedSyncFailsOneCore(t *testing.T) {
	f, faults := faulty(t)
	bad, good := own(t, f, 1), own(t, f, 2)
	fill(t, bad, 2)
	mustFlush(t, bad)
	var failed sync.WaitGroup
	failed.Add(1)
	bad.Subscribe(func(e Event) {
		if e.Kind == Failed {
			failed.Done()
		}
	})
	faults.Hook(func(op storagetest.Op, name string) error {
		if op == storagetest.Sync && strings.Contains(name, bad.id.String()) {
			return syscall.EIO
		}
		return nil
	})
	fill(t, bad, 4)
	fill(t, good, 3)
	err := f.Flush(context.Background())
	if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("flush: %v", err)
	}
	failed.Wait()
	faults.Hook(nil)
	for name, err := range map[string]error{
		"flush":  bad.Flush(context.Background()),
		"append": func() error { _, err := bad.Append(context.Background(), nil); return err }(),
		"block":  func() error { _, err := bad.Block(0); return err }(),
		"all":    f.Flush(context.Background()),
	} {
		if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%s after a failed sync: %v", name, err)
		}
	}
	if h := bad.Head(); h.Length != 2 {
		t.Fatalf("head of length %d", h.Length)
	}
	mustFlush(t, good)
	if good.Info().Durable != 3 {
		t.Fatal("the other core did not get there")
	}
	bad.Close()
	bad = own(t, f, 1)
	checkLog(t, bad, 4, blockOf)
	if err := f.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if bad.Info().Durable != 4 {
		t.Fatalf("%+v", bad.Info())
	}
}

// TestFullDiskUndoesAppend fails each write of an append in turn.
func TestFullDiskUndoesAppend(t *testing.T) {
	for length := range uint64(9) {
		for write := 0; ; write++ {
			f, faults := faulty(t)
			a, b := own(t, f, 1), own(t, f, 2)
			fill(t, a, length)
			fill(t, b, length)
			mustFlush(t, a) // it writes nodes too
			mustFlush(t, b)
			n := 0
			faults.Hook(func(op storagetest.Op, name string) error {
				if op != storagetest.Write {
					return nil
				}
				n++
				if n == write+1 {
					return syscall.ENOSPC
				}
				return nil
			})
			batch := [][]byte{[]byte("one"), []byte("two"), []byte("three")}
			err := AppendAll(context.Background(), []Batch{{a, batch}, {b, batch}, {a, batch[:1]}})
			faults.Hook(nil)
			if err == nil { // what was hit, if anything, was a write of the flush that follows
				if write < 4 || a.Info().Length != length+4 || b.Info().Length != length+3 {
					t.Fatalf("write %d: lengths %d and %d", write, a.Info().Length, b.Info().Length)
				}
				break
			}
			if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFailed) {
				t.Fatalf("write %d: %v", write, err)
			}
			for _, c := range []*Core{a, b} {
				checkLog(t, c, length, blockOf)
				blocks, nodes, err := c.files.Sizes()
				if err != nil || uint64(blocks) != c.Info().ByteLength || nodes > firstBeyond(length) {
					t.Fatalf("files of %d bytes and %d nodes, %v, behind length %d", blocks, nodes, err, length)
				}
				for _, index := range spanning(length) {
					if _, ok, _ := c.files.Node(index); ok {
						t.Fatalf("node %d spans length %d", index, length)
					}
				}
				fill(t, c, length+3)
				mustFlush(t, c)
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
			}
			checkLog(t, own(t, f, 1), length+3, blockOf)
			checkLog(t, own(t, f, 2), length+3, blockOf)
		}
	}
}

// TestFullDiskDelaysFlush: where the disk has no room for the nodes that wait for
// a flush, nothing is signed or lost, and the next flush gets there.
func TestFullDiskDelaysFlush(t *testing.T) {
	f, faults := faulty(t)
	c := own(t, f, 1)
	gate, entered := make(chan struct{}), make(chan struct{})
	var once sync.Once
	faults.Hook(func(op storagetest.Op, name string) error {
		if op == storagetest.Sync {
			once.Do(func() { close(entered) })
			<-gate // the first round, until nodes wait for the next one
		}
		return nil
	})
	fill(t, c, 1)
	<-entered
	fill(t, c, 9)
	full := true
	var mu sync.Mutex
	faults.Hook(func(op storagetest.Op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if full && op == storagetest.Write {
			return syscall.ENOSPC
		}
		return nil
	})
	close(gate)
	err := c.Flush(context.Background())
	if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFailed) {
		t.Fatalf("flush on a full disk: %v", err)
	}
	if length := c.Head().Length; length >= 9 {
		t.Fatalf("length %d was signed", length)
	}
	mu.Lock()
	full = false
	mu.Unlock()
	mustFlush(t, c)
	if length := c.Head().Length; length != 9 {
		t.Fatalf("length %d after there was room", length)
	}
	checkLog(t, c, 9, blockOf)
}

// TestFailedUndoFailsCore: where the files cannot be cut, only opening anew
// says what is in them.
func TestFailedUndoFailsCore(t *testing.T) {
	f, faults := faulty(t)
	c := own(t, f, 1)
	fill(t, c, 5)
	mustFlush(t, c)
	faults.Hook(func(op storagetest.Op, name string) error {
		switch {
		case op == storagetest.Write && strings.HasSuffix(name, "tree"):
			return syscall.ENOSPC
		case op == storagetest.Truncate:
			return syscall.EIO
		}
		return nil
	})
	_, err := c.Append(context.Background(), []byte("never"))
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	if _, err := c.Append(context.Background(), []byte("more")); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	faults.Hook(nil)
	c.Close()
	c = own(t, f, 1)
	checkLog(t, c, 5, blockOf)
	fill(t, c, 7)
	mustFlush(t, c)
}

// TestFullDatabase: with ENOSPC the heads wait for the next flush, with
// anything else the cores fail.
func TestFullDatabase(t *testing.T) {
	st := &counting{Store: storage.Memory()}
	f := flusherOf(t, st)
	c := own(t, f, 1)
	full := error(fmt.Errorf("write: %w", syscall.ENOSPC))
	st.fail.Store(&full)
	fill(t, c, 3)
	if err := c.Flush(context.Background()); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	if err := f.Flush(context.Background()); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	fill(t, c, 4)
	st.fail.Store(nil)
	mustFlush(t, c)
	if got := c.Info().Durable; got != 4 {
		t.Fatalf("durable %d", got)
	}
	broken := error(syscall.EIO)
	st.fail.Store(&broken)
	fill(t, c, 5)
	if err := c.Flush(context.Background()); !errors.Is(err, syscall.EIO) || !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	st.fail.Store(nil)
	c.Close()
	c = own(t, f, 1)
	checkLog(t, c, 5, blockOf)
}

func TestFlushHonoursContext(t *testing.T) {
	f, faults := faulty(t)
	c := own(t, f, 1)
	proceed := make(chan struct{})
	faults.Hook(func(op storagetest.Op, _ string) error {
		if op == storagetest.Sync {
			<-proceed
		}
		return nil
	})
	fill(t, c, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := f.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(proceed)
}
