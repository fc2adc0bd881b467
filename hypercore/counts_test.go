package hypercore

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"

	"multicore/hypercore/storage/storagetest"
)

// TestCounts: what is appended is counted as it becomes readable, and nothing of
// a batch that is refused; each flush is told of with what it was about.
func TestCounts(t *testing.T) {
	f, faults := faulty(t)
	var mu sync.Mutex
	var told []Round
	f.OnRound(func(r Round) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, r)
	})
	rounds := func() (all Round) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range told {
			if r.Took <= 0 || r.Cores < r.Failed || r.Cores == 0 {
				t.Errorf("%+v", r)
			}
			all.Cores += r.Cores
			all.Failed += r.Failed
		}
		told = nil
		return all
	}
	a, b := own(t, f, 1), own(t, f, 2)
	ctx := t.Context()
	if err := f.Flush(ctx); err != nil { // the records of the cores
		t.Fatal(err)
	}
	rounds()
	if _, err := a.Append(ctx, []byte("one"), []byte("three")); err != nil {
		t.Fatal(err)
	}
	if err := AppendAll(ctx, []Batch{{a, [][]byte{[]byte("x")}}, {b, [][]byte{nil, []byte("yz")}}}); err != nil {
		t.Fatal(err)
	}
	if got, want := f.Counts(), (Counts{AppendedBlocks: 5, AppendedBytes: 11}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := f.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if all := rounds(); all.Cores < 2 || all.Failed != 0 {
		t.Errorf("rounds of %+v", all)
	}
	if err := f.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if all := rounds(); all != (Round{}) {
		t.Errorf("nothing was flushed by %+v", all)
	}

	faults.Hook(func(op storagetest.Op, name string) error {
		if op == storagetest.Write && strings.HasSuffix(name, "blocks") {
			return syscall.ENOSPC
		}
		return nil
	})
	if _, err := a.Append(ctx, []byte("refused")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	faults.Hook(nil)
	if got := f.Counts(); got.AppendedBlocks != 5 || got.AppendedBytes != 11 {
		t.Errorf("with a refused block %+v", got)
	}

	if _, err := a.Append(ctx, []byte("lost")); err != nil {
		t.Fatal(err)
	}
	faults.Hook(func(op storagetest.Op, name string) error {
		if op == storagetest.Sync {
			return syscall.EIO
		}
		return nil
	})
	if err := a.Flush(ctx); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if all := rounds(); all.Failed != 1 {
		t.Errorf("a flush that failed is told as %+v", all)
	}
}

// TestDamageIsCounted: a block that is recorded and not there is given up once.
func TestDamageIsCounted(t *testing.T) {
	f := newFlusher(t)
	c := own(t, f, 1)
	if _, err := c.Append(t.Context(), []byte("first"), []byte("second")); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.files.Cut(5, 100); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Block(1); !errors.Is(err, ErrNotHeld) {
			t.Fatal(err)
		}
	}
	if got := f.Counts().Damaged; got != 1 {
		t.Errorf("%d, want 1", got)
	}
}
