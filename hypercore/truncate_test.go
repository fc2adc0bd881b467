package hypercore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// forked is the log after a truncation to n: what follows is other blocks, of
// other sizes, but for the first, whose leaf is as it was.
func forked(n uint64) func(uint64) []byte {
	return func(i uint64) []byte {
		if i <= n {
			return blockOf(i)
		}
		return late(i)
	}
}

func refill(t testing.TB, c *Core, to uint64, block func(uint64) []byte) {
	t.Helper()
	for i := c.Info().Length; i < to; i++ {
		if _, err := c.Append(context.Background(), block(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTruncate: each old length, flushed up to each point, truncated to each
// other and grown again reads as written, here, after opening anew, and to a
// fresh replica.
func TestTruncate(t *testing.T) {
	const most = 8
	ctx := context.Background()
	for old := range uint64(most + 1) {
		for flushed := range old + 1 {
			for length := range old {
				f := newFlusher(t)
				c := own(t, f, 1)
				fill(t, c, flushed)
				mustFlush(t, c)
				fill(t, c, old)
				var events []Event
				c.Subscribe(func(e Event) {
					if e.Kind == Truncated {
						events = append(events, e)
					}
				})
				if err := c.Truncate(ctx, length); err != nil {
					t.Fatalf("%d to %d: %v", old, length, err)
				}
				checkLog(t, c, length, blockOf)
				h := c.Head()
				if h.Fork != 1 || h.Length != length || c.Manifest().Verify(h.Tree, h.Signature) != nil || c.Info().Durable != length {
					t.Fatalf("%d to %d: head %+v", old, length, h)
				}
				if got, want := fmt.Sprint(events), fmt.Sprint([]Event{{Truncated, length, old}}); got != want {
					t.Fatalf("events %s, want %s", got, want)
				}
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				c = own(t, f, 1)
				checkLog(t, c, length, blockOf)
				refill(t, c, most+1, forked(length))
				mustFlush(t, c)
				c.Close()
				c = own(t, f, 1)
				checkLog(t, c, most+1, forked(length))
				verified(t, c, forked(length))
			}
		}
	}
}

// verified has a fresh replica verify the whole log.
func verified(t testing.TB, c *Core, block func(uint64) []byte) {
	t.Helper()
	r := replica(t, newFlusher(t), 1)
	if h := c.Head(); h.Fork > 0 && h.Length > 0 {
		if err := reorganise(c, r); err != nil {
			t.Fatal(err)
		}
	}
	var all []uint64
	for i := range c.Head().Length {
		all = append(all, i)
	}
	transfer(t, c, r, all...)
	checkLog(t, r, c.Head().Length, block)
}

func TestTruncateRefused(t *testing.T) {
	ctx := context.Background()
	c := own(t, newFlusher(t), 1)
	fill(t, c, 3)
	if err := c.Truncate(ctx, 4); !errors.Is(err, ErrPastEnd) {
		t.Errorf("beyond the end: %v", err)
	}
	if err := c.Truncate(ctx, 3); err != nil || c.Info().Fork != 0 {
		t.Errorf("to the same length: %v, fork %d", err, c.Info().Fork)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.Truncate(gone, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := replica(t, newFlusher(t), 1).Truncate(ctx, 0); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a replica: %v", err)
	}
	h := own(t, newFlusher(t), 1, held(0))
	fill(t, h, 2)
	if err := h.Truncate(ctx, 1); !errors.Is(err, ErrHeld) {
		t.Errorf("held: %v", err)
	}
	c.Close()
	if err := c.Truncate(ctx, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestTruncateCrash kills the store at each of its steps: the head is the old
// one or the new one, and nothing of what was dropped comes back.
func TestTruncateCrash(t *testing.T) {
	const old = 7
	for length := range uint64(old) {
		for _, flushed := range []uint64{length, old} {
			for step := int64(1); ; step++ {
				faults := &storagetest.Faults{FS: storage.MemoryFS()}
				st := &counting{Store: storage.MemoryOn(faults)}
				f := flusherOf(t, st)
				c := own(t, f, 1)
				fill(t, c, flushed)
				mustFlush(t, c)
				fill(t, c, old)
				if flushed < old {
					mustFlush(t, c)
				}
				var ops atomic.Int64
				die := func() error {
					if ops.Add(1) < step {
						return nil
					}
					return syscall.EIO
				}
				faults.Hook(func(storagetest.Op, string) error { return die() })
				st.before.Store(&die)
				err := c.Truncate(context.Background(), length)
				faults.Hook(nil)
				st.before.Store(nil)
				if err == nil {
					break
				}
				c.Close()
				c = own(t, f, 1)
				at := c.Info().Length
				if at != old && at != length || at == old != (c.Info().Fork == 0) {
					t.Fatalf("step %d: length %d, fork %d", step, at, c.Info().Fork)
				}
				checkLog(t, c, at, blockOf)
				if at == length {
					refill(t, c, old+2, forked(length))
					mustFlush(t, c)
					c.Close()
					c = own(t, f, 1)
					checkLog(t, c, old+2, forked(length))
					verified(t, c, forked(length))
				}
			}
		}
	}
}

// TestTruncateFull: a full disk leaves the core as it was, and usable.
func TestTruncateFull(t *testing.T) {
	st := &counting{Store: storage.Memory()}
	c := own(t, flusherOf(t, st), 1)
	fill(t, c, 5)
	mustFlush(t, c)
	full := func() error { return syscall.ENOSPC }
	st.before.Store(&full)
	if err := c.Truncate(context.Background(), 2); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	st.before.Store(nil)
	checkLog(t, c, 5, blockOf)
	if err := c.Truncate(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	checkLog(t, c, 2, blockOf)
}
