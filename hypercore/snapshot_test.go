package hypercore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"multicore/hypercore/merkle"
)

// Snapshots of every length of a log that is cut and grows again: each gives what
// it saw, up to the shortest cut since, and never what came in its place.
func TestSnapshot(t *testing.T) {
	ctx := context.Background()
	for _, encrypted := range []bool{false, true} {
		for first := range uint64(6) {
			for second := range uint64(6) {
				c := own(t, newFlusher(t), 1)
				if encrypted {
					encrypt(t, c)
				}
				var taken []*Snapshot
				grow := func(length uint64, b byte) {
					for c.Info().Length < length {
						taken = append(taken, c.Snapshot())
						if _, err := c.Append(ctx, bytes.Repeat([]byte{b}, int(c.Info().Length)%3)); err != nil {
							t.Fatal(err)
						}
					}
					taken = append(taken, c.Snapshot())
				}
				grow(6, 'a')
				was := len(taken)
				if err := c.Truncate(ctx, first); err != nil {
					t.Fatal(err)
				}
				grow(6, 'b')
				if err := c.Truncate(ctx, second); err != nil {
					t.Fatal(err)
				}
				grow(7, 'c')
				for i, s := range taken {
					// What the log of generation b kept of a, and what c kept of both.
					kept := []uint64{min(first, second), second, 7}
					left := kept[0]
					switch {
					case i >= was && s.Fork() == 1:
						left = kept[1]
					case s.Fork() == 2:
						left = kept[2]
					}
					if first == 6 && s.Fork() == 0 { // nothing was truncated at first
						left = second
					}
					if second == 6 && left == second {
						left = 7
					}
					checkSnapshot(t, s, min(left, s.Length()))
				}
			}
		}
	}
}

// checkSnapshot reads everything of s, of which the first left blocks are there.
func checkSnapshot(t *testing.T, s *Snapshot, left uint64) {
	t.Helper()
	ctx := context.Background()
	var bytesLeft uint64
	for i := range s.Length() {
		b, err := s.Get(ctx, i)
		if i < left {
			if err != nil || uint64(len(b)) != i%3 {
				t.Fatalf("block %d of %d, fork %d: %q, %v", i, s.Length(), s.Fork(), b, err)
			}
			bytesLeft += i % 3
		} else if !errors.Is(err, ErrTruncated) {
			t.Fatalf("block %d of %d, fork %d, %d left: %q, %v", i, s.Length(), s.Fork(), left, b, err)
		}
	}
	if _, err := s.Get(ctx, s.Length()); !errors.Is(err, ErrPastEnd) {
		t.Fatalf("block beyond the end: %v", err)
	}
	p := make([]byte, s.ByteLength()+1)
	n, err := s.ReadAt(ctx, p, 0)
	if want := io.EOF; uint64(n) != bytesLeft || bytesLeft == s.ByteLength() && err != want ||
		bytesLeft < s.ByteLength() && !errors.Is(err, ErrTruncated) {
		t.Fatalf("read %d of %d bytes, %d left: %v", n, s.ByteLength(), bytesLeft, err)
	}
	for off := range s.ByteLength() {
		if _, _, err := s.Seek(ctx, off); (err == nil) != (off < bytesLeft) || err != nil && !errors.Is(err, ErrTruncated) {
			t.Fatalf("seek %d, %d bytes left: %v", off, bytesLeft, err)
		}
	}
	if bytesLeft == s.ByteLength() {
		if err := iotest.TestReader(s.NewReader(ctx), p[:n]); err != nil {
			t.Fatal(err)
		}
	}
}

// An own tail that moves behind another head is not what a snapshot saw there.
func TestSnapshotOfMovedTail(t *testing.T) {
	ctx := context.Background()
	source := own(t, newFlusher(t), 1)
	fill(t, source, 5)
	mustFlush(t, source)
	c := restored(t, newFlusher(t), 2, 3)
	mustFlush(t, c)
	s := c.Snapshot()
	if err := upgrade(source, c); err != nil {
		t.Fatal(err)
	}
	for i := range s.Length() {
		_, err := s.Get(ctx, i)
		if i < 2 && err != nil || i >= 2 && !errors.Is(err, ErrTruncated) {
			t.Fatalf("block %d: %v", i, err)
		}
	}
}

func TestTreeHash(t *testing.T) {
	c := own(t, newFlusher(t), 1)
	batch := merkle.NewBatch(merkle.Tree{})
	var want []merkle.Hash
	for i := range uint64(20) {
		want = append(want, batch.Tree().Hash())
		if err := batch.Append(blockOf(i)); err != nil {
			t.Fatal(err)
		}
		fill(t, c, i+1)
	}
	for length, hash := range want {
		if got, err := c.TreeHash(uint64(length)); err != nil || got != hash {
			t.Fatalf("length %d: %x, %v, want %x", length, got, err, hash)
		}
	}
	if _, err := c.TreeHash(21); !errors.Is(err, ErrPastEnd) {
		t.Fatal(err)
	}
	mustFlush(t, c)
	r := replica(t, newFlusher(t), 1)
	transfer(t, c, r, 3)
	if _, err := r.TreeHash(20); err != nil {
		t.Fatal(err)
	}
	if _, err := r.TreeHash(11); !errors.Is(err, ErrNotHeld) {
		t.Fatalf("length whose roots were not fetched: %v", err)
	}
}
