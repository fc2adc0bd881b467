package hypercore

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// silentSource has peers that say nothing, or refresh's error.
type silentSource struct {
	Source
	refresh func(ctx context.Context) error
}

func (s silentSource) Refresh(ctx context.Context) error { return s.refresh(ctx) }

// TestAwaitHead: what ends the wait for a length that is not known, and that it
// leaves nothing behind.
func TestAwaitHead(t *testing.T) {
	block := func(ctx context.Context) error { <-ctx.Done(); return errors.Join(ErrNoPeers, ctx.Err()) }
	answer := func(context.Context) error { return nil }
	gone := errors.New("gone")
	for name, tt := range map[string]struct {
		source func(context.Context) error
		event  func(t *testing.T, c, writer *Core)
		want   []error // none: it is known
	}{
		"learned, peers silent": {source: block, event: func(t *testing.T, c, w *Core) {
			if err := upgrade(w, c); err != nil {
				t.Fatal(err)
			}
		}},
		"learned, peers answered": {source: answer, event: func(t *testing.T, c, w *Core) {
			if err := upgrade(w, c); err != nil {
				t.Fatal(err)
			}
		}},
		"failed":             {block, func(t *testing.T, c, _ *Core) { c.fail(syscall.EIO) }, []error{ErrFailed, syscall.EIO}},
		"failed later":       {answer, func(t *testing.T, c, _ *Core) { c.fail(syscall.EIO) }, []error{ErrFailed, syscall.EIO}},
		"closed":             {answer, func(t *testing.T, c, _ *Core) { c.Close() }, []error{ErrClosed}},
		"no peers in time":   {block, nil, []error{context.DeadlineExceeded, ErrNoPeers}},
		"no answer in time":  {answer, nil, []error{context.DeadlineExceeded}},
		"the source is gone": {func(context.Context) error { return gone }, nil, []error{gone}},
		"no source":          {nil, nil, []error{ErrNoPeers}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				writer := own(t, newFlusher(t), 1)
				fill(t, writer, 3)
				mustFlush(t, writer)
				c := replica(t, newFlusher(t), 1)
				if tt.source != nil {
					c.SetSource(silentSource{refresh: tt.source})
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- c.AwaitHead(ctx) }()
				synctest.Wait()
				if tt.event != nil {
					select {
					case err := <-ended:
						t.Fatal("did not wait:", err)
					default:
					}
					tt.event(t, c, writer)
					synctest.Wait()
					select {
					case err := <-ended:
						ended <- err
					default:
						t.Error("waits on")
					}
				}
				err := <-ended
				if len(tt.want) == 0 && (err != nil || !c.Info().Learned) {
					t.Error(err)
				}
				for _, want := range tt.want {
					if !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
				}
				if failed := c.Info().Failed; (failed != nil) != errors.Is(err, ErrFailed) {
					t.Errorf("Info().Failed is %v", failed)
				}
			})
		})
	}
}
