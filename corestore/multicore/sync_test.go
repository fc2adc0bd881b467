package multicore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// With SyncAlways everything is durable when its append returns, whoever else
// appends at the time.
func TestSyncAlways(t *testing.T) {
	own := makeOwn(t, openStore(t, t.TempDir(), nil), nil)
	own.SyncAlways(true)
	named, _ := own.Known()
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			f := own.NewFramer(FramerOptions{})
			for i := range 20 {
				line := fmt.Sprintf("%d, a long line of %d\n", i, w)
				if _, err := f.Write(t.Context(), []byte("abc\n"+line)); err != nil {
					t.Error(err)
					return
				}
				for _, core := range []int{placeShort, placeLong} {
					if info := named[core].Core.Info(); info.Durable < uint64(i+1) {
						t.Errorf("%s: %d messages of one writer are appended, %d in all are durable", named[core].Name, i+1, info.Durable)
					}
				}
			}
		})
	}
	group.Wait()
	for _, core := range []int{placeShort, placeLong} {
		if info := named[core].Core.Info(); info.Length != 160 || info.Durable != 160 {
			t.Errorf("%s: length %d, durable %d, want 160", named[core].Name, info.Length, info.Durable)
		}
	}
}

// What was appended and not synced is not taken for something that waits.
func TestFramerNotSynced(t *testing.T) {
	for _, tt := range []struct {
		waits, write string
		stored       []string
	}{
		{"", "a\n", []string{"a\n"}},
		{"a", "b\nc", []string{"ab\n"}},
		{"a", "b\nc\n", []string{"ab\n", "c\n"}},
		{"a", "", []string{"a"}}, // at the end of the handle
	} {
		var stored []string
		var fail error
		f := newFramer(FramerOptions{}, func(_ context.Context, messages [][]byte) error {
			for _, m := range messages {
				stored = append(stored, string(m))
			}
			return fail
		})
		if _, err := f.Write(t.Context(), []byte(tt.waits)); err != nil {
			t.Fatal(err)
		}
		fail = fmt.Errorf("%w: disk", ErrNotSynced)
		var err error
		if tt.write == "" {
			err = f.End(t.Context())
		} else {
			_, err = f.Write(t.Context(), []byte(tt.write))
		}
		if !errors.Is(err, ErrNotSynced) || !slices.Equal(stored, tt.stored) {
			t.Errorf("%q then %q: stored %q (%v), want %q", tt.waits, tt.write, stored, err, tt.stored)
		}
		if f.Pending() != 0 || f.Messages() != uint64(len(stored)) {
			t.Errorf("%q then %q: %d bytes wait, %d messages", tt.waits, tt.write, f.Pending(), f.Messages())
		}
		fail, stored = nil, nil
		if _, err := f.Write(t.Context(), []byte("next\n")); err != nil || !slices.Equal(stored, []string{"next\n"}) {
			t.Errorf("%q then %q: next stores %q, %v", tt.waits, tt.write, stored, err)
		}
	}
}
