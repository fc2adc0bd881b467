package hypercore

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// Every range of a small log is cleared: what is outside stays, what is inside
// is fetched again where it is read, and so it is after reopening.
func TestClear(t *testing.T) {
	ctx := context.Background()
	const length = 7
	source := own(t, newFlusher(t), 1)
	fill(t, source, length)
	mustFlush(t, source)
	for from := range uint64(length + 1) {
		for to := from; to <= length+2; to++ {
			for _, mine := range []bool{true, false} {
				f := newFlusher(t)
				open := func() *Core {
					if mine {
						return own(t, f, 1)
					}
					return replica(t, f, 1)
				}
				c := open()
				if mine {
					fill(t, c, length)
					mustFlush(t, c)
				} else {
					transfer(t, source, c, 0, 1, 2, 3, 4, 5, 6)
					mustFlush(t, c)
				}
				var events []Event
				c.Subscribe(func(e Event) { events = append(events, e) })
				end := min(to, length)
				n, err := c.Clear(ctx, from, to)
				if err != nil || n.Blocks != end-min(from, end) {
					t.Fatalf("clear %d to %d: %v, %v", from, to, n, err)
				}
				if n.Blocks > 0 && (len(events) == 0 || events[0] != Event{Cleared, from, end}) {
					t.Fatalf("clear %d to %d: events %v", from, to, events)
				}
				if again, err := c.Clear(ctx, from, to); again != (Amount{}) || err != nil {
					t.Fatalf("once more: %v, %v", again, err)
				}
				for range 2 {
					for i := range uint64(length) {
						b, err := c.Block(i)
						switch inside := i >= from && i < to; {
						case inside && !errors.Is(err, ErrNotHeld), !inside && (err != nil || string(b) != string(blockOf(i))):
							t.Fatalf("clear %d to %d, block %d: %q, %v", from, to, i, b, err)
						}
					}
					if err := c.Close(); err != nil {
						t.Fatal(err)
					}
					c = open()
				}
				c.SetSource(&prover{from: source, to: c})
				for i := range uint64(length) {
					if b, err := c.Get(ctx, i); err != nil || string(b) != string(blockOf(i)) {
						t.Fatalf("block %d fetched again: %q, %v", i, b, err)
					}
				}
				if mine {
					fill(t, c, length+2)
					checkLog(t, c, length+2, blockOf)
				}
			}
		}
	}
}

// A block that was fetched again before the room of the old one was freed stays.
func TestClearWhileFetching(t *testing.T) {
	ctx := context.Background()
	source := own(t, newFlusher(t), 1)
	fill(t, source, 50)
	mustFlush(t, source)
	c := replica(t, flusherOf(t, diskStore(t)), 1)
	transfer(t, source, c)
	c.SetSource(&prover{from: source, to: c})
	done := make(chan error)
	go func() {
		for range 20 {
			if _, err := c.Clear(ctx, 10, 40); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		for i := range uint64(50) {
			if b, err := c.Get(ctx, i); err != nil || string(b) != string(blockOf(i)) {
				t.Error(fmt.Errorf("block %d: %q, %w", i, b, err))
			}
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

// Of a log that is not durable to its end, only what is durable is cleared.
func TestClearKeepsWhatIsNotDurable(t *testing.T) {
	c := own(t, newFlusher(t), 1, func(o *Options) { o.Hold, o.Unheld = true, 2 })
	fill(t, c, 5)
	mustFlush(t, c)
	if n, err := c.Clear(context.Background(), 0, 5); n.Blocks != 2 || err != nil {
		t.Fatalf("%v, %v", n, err)
	}
	for i := range uint64(5) {
		if c.Has(i) != (i >= 2) {
			t.Fatalf("block %d: %v", i, c.Has(i))
		}
	}
}
