package hypercore

import (
	"context"
	"errors"
	"path"
	"sync"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// watchPunch tells of each hole before it is made.
type watchPunch struct {
	storage.FS
	fn func(off, n int64)
}

func (w *watchPunch) Open(name string, create bool) (storage.File, error) {
	f, err := w.FS.Open(name, create)
	if err != nil || path.Base(name) != "blocks" {
		return f, err
	}
	return &watchedFile{f, w}, nil
}

type watchedFile struct {
	storage.File
	w *watchPunch
}

func (f *watchedFile) Punch(off, n int64) error {
	f.w.fn(off, n)
	return f.File.Punch(off, n)
}

// However many clear at once, and whatever is fetched meanwhile: a hole is never
// made where the disk says that a block is held.
func TestClearsAtOnce(t *testing.T) {
	ctx := context.Background()
	source := own(t, newFlusher(t), 1)
	fill(t, source, 20)
	mustFlush(t, source)
	watch := &watchPunch{FS: storage.MemoryFS(), fn: func(int64, int64) {}}
	st := storage.MemoryOn(watch)
	c := replica(t, flusherOf(t, st), 1)
	transfer(t, source, c)
	mustFlush(t, c)
	head := source.Head().Tree
	watch.fn = func(off, n int64) {
		stored := &Core{id: c.id, key: c.key, flusher: c.flusher}
		if _, _, err := stored.load(); err != nil {
			t.Error(err)
			return
		}
		for i := range head.Length {
			start, err := merkle.ByteOffset(head, source.files, 2*i)
			if err != nil {
				t.Error(err)
			}
			size := int64(len(blockOf(i)))
			if stored.bits.has(i) && size > 0 && int64(start) < off+n && off < int64(start)+size {
				t.Errorf("a hole of %d bytes at %d, where block %d is recorded as held", n, off, i)
			}
		}
	}
	var group sync.WaitGroup
	for n := range uint64(3) {
		group.Go(func() {
			for range 150 {
				if _, err := c.Clear(ctx, 3*n, 3*n+12); err != nil {
					t.Error(err)
				}
				for i := range head.Length {
					if err := fetchBlock(source, c, i); err != nil && !errors.Is(err, ErrStale) {
						t.Error(err)
					}
				}
				mustFlush(t, c)
			}
		})
	}
	group.Wait()
}
