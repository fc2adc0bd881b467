package hypercore

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestReadTruncated: who waits for what the writer drops is told so.
func TestReadTruncated(t *testing.T) {
	before := own(t, newFlusher(t), 1)
	fill(t, before, 8)
	mustFlush(t, before)
	writer, _ := truncatedLog(t, 8, 3, 4, false)
	c := replica(t, newFlusher(t), 1)
	transfer(t, before, c, 0)
	size := c.Info().ByteLength
	reads := map[string]func() error{
		"Get":    func() error { _, err := c.Get(context.Background(), 6); return err },
		"Extent": func() error { _, _, err := c.Extent(context.Background(), 6); return err },
		"Seek":   func() error { _, _, err := c.Seek(context.Background(), size-1); return err },
		"ReadAt": func() error { _, err := c.ReadAt(context.Background(), make([]byte, 1), size-1); return err },
	}
	waiting := make(chan struct{})
	done := make(chan struct{})
	c.SetSource(stuck{waiting, done})
	outcome := make(chan string, len(reads))
	for name, read := range reads {
		go func() {
			if err := read(); !errors.Is(err, ErrTruncated) {
				name += fmt.Sprintf(": %v", err)
			}
			outcome <- name
		}()
	}
	for range reads {
		<-waiting
	}
	if err := reorganise(writer, c); err != nil {
		t.Fatal(err)
	}
	close(done)
	for range reads {
		if name := <-outcome; reads[name] == nil {
			t.Error(name)
		}
	}
	if _, err := c.Get(context.Background(), 6); !errors.Is(err, ErrPastEnd) || errors.Is(err, ErrTruncated) {
		t.Errorf("a read that began later: %v", err)
	}
}

// stuck is a Source that fetches nothing until done is closed, and says when it
// is asked.
type stuck struct{ asked, done chan struct{} }

func (s stuck) wait() error {
	s.asked <- struct{}{}
	<-s.done
	return nil
}
func (s stuck) FetchBlock(context.Context, uint64) error { return s.wait() }
func (s stuck) FetchNode(context.Context, uint64) error  { return s.wait() }
func (s stuck) FetchSeek(context.Context, uint64) error  { return s.wait() }
func (s stuck) Refresh(context.Context) error            { return nil }
func (s stuck) Connected() bool                          { return true }
