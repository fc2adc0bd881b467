package fs

import (
	"context"
	"sync"

	"multicore/hypercore"
)

const (
	// aheadBytes is how far behind the end of a sequential read blocks are fetched.
	aheadBytes = 4 << 20
	// aheadBlocks is how many blocks one handle fetches at the same time.
	aheadBlocks = 64
)

// readAhead fetches what a sequential reader of a log will want next. It works
// in the background while there is something to fetch, and ends with its handle.
type readAhead struct {
	t      *tree
	core   *hypercore.Core
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	end    uint64 // where the reader is, in bytes
	moved  bool   // end is not looked at yet
	busy   bool   // a goroutine is at work
	closed bool
	done   sync.WaitGroup
}

func newReadAhead(t *tree, c *hypercore.Core) *readAhead {
	a := &readAhead{t: t, core: c}
	a.ctx, a.cancel = context.WithCancel(t.ctx)
	return a
}

// want says that the reader has come to byte end. It never waits.
func (a *readAhead) want(end uint64) {
	if info := a.core.Info(); info.Contiguous >= info.Length {
		return // all is here
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end, a.moved = end, true
	if a.busy || a.closed {
		return
	}
	a.done.Add(1)
	a.busy = a.t.spawn(func() {
		defer a.done.Done()
		a.run()
	})
	if !a.busy {
		a.done.Done()
	}
}

// stop ends the fetching and returns when it has ended.
func (a *readAhead) stop() {
	a.cancel()
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.done.Wait()
}

// run follows the reader until it stands still, or an error: reading will meet
// it again.
func (a *readAhead) run() {
	next := uint64(0) // block from which on nothing was asked for
	for {
		a.mu.Lock()
		end := a.end
		if !a.moved {
			a.busy = false
			a.mu.Unlock()
			return
		}
		a.moved = false
		a.mu.Unlock()

		var err error
		if next, err = a.fetch(end, next); err != nil {
			a.mu.Lock()
			a.busy = false
			a.mu.Unlock()
			return
		}
	}
}

// fetch fetches the blocks behind byte end, from block next on, and gives the
// first block that it did not look at.
func (a *readAhead) fetch(end, next uint64) (uint64, error) {
	ctx, cancel := a.t.wait(a.ctx)
	defer cancel()
	length := a.core.Info().ByteLength
	if end >= length {
		return next, nil
	}
	first, _, err := a.core.Seek(ctx, end)
	if err != nil {
		return next, err
	}
	last, within, err := a.core.Seek(ctx, min(end+aheadBytes, length))
	if err != nil {
		return next, err
	}
	if within > 0 {
		last++
	}
	next = max(next, first)

	var (
		work   sync.WaitGroup
		tokens = make(chan struct{}, aheadBlocks)
		mu     sync.Mutex
		failed error
	)
	for ; next < last && ctx.Err() == nil; next++ {
		if a.core.Has(next) {
			continue
		}
		tokens <- struct{}{}
		i := next
		work.Go(func() {
			defer func() { <-tokens }()
			if _, err := a.core.Get(ctx, i); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if failed != nil {
		return next, failed
	}
	return next, ctx.Err()
}
