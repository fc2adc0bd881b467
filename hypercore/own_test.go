package hypercore

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"multicore/hypercore/storage"
)

// TestReplicaBecomesOwn: a core that was opened by its key first is new as an
// own one: its hold counts, and it stays an own one.
func TestReplicaBecomesOwn(t *testing.T) {
	source := own(t, newFlusher(t), 1)
	fill(t, source, 5)
	mustFlush(t, source)
	f := newFlusher(t)
	r := replica(t, f, 1)
	transfer(t, source, r, 0, 1, 2)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	c := own(t, f, 1, held(1))
	if _, err := c.Append(context.Background(), []byte("not yet signed")); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, c)
	if info := c.Info(); !info.Held || info.Length != 6 || info.Durable != 5 {
		t.Fatalf("%+v", info)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c = replica(t, f, 1)
	if info := c.Info(); !c.own || !info.Held || info.Length != 6 {
		t.Fatalf("own: %v, %+v", c.own, info)
	}
}

// TestFailedCommitIsFinal: a commit that did not get to the disk for want of
// space is not one that may be tried again.
func TestFailedCommitIsFinal(t *testing.T) {
	st := &counting{Store: storage.Memory()}
	f := flusherOf(t, st)
	c := own(t, f, 1)
	err := fmt.Errorf("%w: commit: %w", storage.ErrFailed, syscall.ENOSPC)
	st.fail.Store(&err)
	fill(t, c, 1)
	if err := c.Flush(context.Background()); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if _, err := c.Append(context.Background(), []byte("x")); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
}

// TestFlushAfterClose: what nobody will flush is not said to be on the disk.
func TestFlushAfterClose(t *testing.T) {
	f := newFlusher(t)
	c := own(t, f, 1)
	fill(t, c, 1)
	mustFlush(t, c)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, c)
	fill(t, c, 2)
	if err := c.Flush(context.Background()); !errors.Is(err, ErrClosed) {
		t.Fatalf("flushed %d of 2 blocks: %v", c.Info().Durable, err)
	}
	if err := c.Close(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}
