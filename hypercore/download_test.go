package hypercore

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// writerSource fetches blocks from a writer in memory, through its proofs.
type writerSource struct {
	silentSource
	t               testing.TB
	writer, replica *Core
	before          func(i uint64) error // called before block i
}

func (s writerSource) FetchBlock(ctx context.Context, i uint64) error {
	if s.before != nil {
		if err := s.before(i); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), fetchBlock(s.writer, s.replica, i))
}

// rangeSource is a writerSource with ranges.
type rangeSource struct {
	writerSource
	ranges *[][2]uint64
}

func (s rangeSource) FetchRange(ctx context.Context, from, to uint64) error {
	*s.ranges = append(*s.ranges, [2]uint64{from, to})
	for i := from; i < to; i++ {
		if err := s.FetchBlock(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// downloading gives a writer of n blocks and a replica that knows its head.
func downloading(t *testing.T, n uint64) (w, c *Core) {
	t.Helper()
	w = own(t, newFlusher(t), 1)
	fill(t, w, n)
	mustFlush(t, w)
	c = replica(t, newFlusher(t), 1)
	if err := upgrade(w, c); err != nil {
		t.Fatal(err)
	}
	return w, c
}

func TestDownload(t *testing.T) {
	const length = 40
	for _, ranges := range []bool{false, true} {
		for _, r := range [][2]uint64{{0, length}, {0, ^uint64(0)}, {7, 9}, {33, 40}, {5, 5}, {50, 60}, {9, 3}} {
			w, c := downloading(t, length)
			for _, i := range []uint64{0, 7, 8, 21} {
				if err := fetchBlock(w, c, i); err != nil {
					t.Fatal(err)
				}
			}
			var asked [][2]uint64
			source := writerSource{t: t, writer: w, replica: c}
			if c.SetSource(source); ranges {
				c.SetSource(rangeSource{source, &asked})
			}
			to := min(r[1], length)
			from := min(r[0], to)
			var told []uint64
			err := c.Download(t.Context(), r[0], r[1], func(held, total uint64) {
				if total != to-from {
					t.Errorf("%v: total %d", r, total)
				}
				told = append(told, held)
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(told) == 0 || !slices.IsSorted(told) || told[len(told)-1] != to-from {
				t.Errorf("%v: progress %v", r, told)
			}
			for i := from; i < to; i++ {
				if !c.Has(i) {
					t.Errorf("%v: block %d is missing", r, i)
				}
			}
			if whole := from == 7; ranges && whole != (len(asked) == 0) && from < to {
				t.Errorf("%v: asked for %v", r, asked)
			}
		}
	}
}

// TestDownloadEnds: what ends a download early, and that what came stays.
func TestDownloadEnds(t *testing.T) {
	gone := errors.New("gone")
	for name, tt := range map[string]struct {
		event func(w, c *Core, cancel func()) error // at block 20
		want  error
	}{
		"cancelled": {func(_, _ *Core, cancel func()) error { cancel(); return nil }, context.Canceled},
		"failed":    {func(_, _ *Core, _ func()) error { return gone }, gone},
		"truncated": {func(w, c *Core, _ func()) error {
			if err := w.Truncate(context.Background(), 10); err != nil {
				return err
			}
			return reorganise(w, c)
		}, ErrTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c := downloading(t, 40)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				c.SetSource(rangeSource{writerSource{t: t, writer: w, replica: c, before: func(i uint64) error {
					if i == 20 {
						return tt.event(w, c, cancel)
					}
					return nil
				}}, new([][2]uint64)})
				if err := c.Download(ctx, 0, 40, nil); !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				if !c.Has(9) {
					t.Error("what came is gone")
				}
			})
		})
	}
	_, c := downloading(t, 3)
	if err := c.Download(t.Context(), 0, 3, nil); !errors.Is(err, ErrNoPeers) || !errors.Is(err, ErrNotHeld) {
		t.Errorf("without a source: %v", err)
	}
}
