package hypercore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"multicore/hypercore/storage"
)

// Flusher writes the heads of many cores behind their data. It starts when
// there is something to flush and ends when there is nothing left. A round
// takes every core that changed meanwhile: it syncs the files of each, signs
// the heads of own ones, and commits all records in one transaction. Safe for
// concurrent use.
type Flusher struct {
	store storage.Store
	log   *slog.Logger

	mu      sync.Mutex
	stopped sync.Cond          // on mu: running became false
	queue   []*Core            // changed since they were last taken; each has queued set
	retry   map[*Core]struct{} // whose last commit failed for want of space; tried again with the next round
	next    *round             // what the queue waits for; nil where it is empty
	flight  *round             // under way; nil where none is
	running bool               // a goroutine is in run
	closed  bool

	counters counters
	rounds   atomic.Pointer[func(Round)] // is told of each round; nil: nobody

	// failed holds the cores that answer ErrFailed, until they are opened anew.
	failed map[DiscoveryKey]*Core
}

// round is one run over all changed cores.
type round struct {
	done chan struct{}
	errs map[*Core]error // complete when done is closed
}

// all is what went wrong, naming a few cores.
func (r *round) all() error {
	var errs []error
	for _, err := range r.errs {
		if len(errs) == 3 {
			errs = append(errs, fmt.Errorf("%d cores in all", len(r.errs)))
			break
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// NewFlusher serves the cores of one store. log may be nil.
func NewFlusher(st storage.Store, log *slog.Logger) *Flusher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &Flusher{store: st, log: log, retry: make(map[*Core]struct{}), failed: make(map[DiscoveryKey]*Core)}
	f.stopped.L = &f.mu
	return f
}

// Close flushes and then refuses further work; the cores are to be closed
// before it. Safe twice.
func (f *Flusher) Close() error {
	err := f.Flush(context.Background())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for f.running {
		f.stopped.Wait()
	}
	return err
}

// Flush returns when everything appended or applied before the call is on the
// disk, or with what prevented it.
func (f *Flusher) Flush(ctx context.Context) error {
	f.mu.Lock()
	for c := range f.retry {
		f.enqueue(c)
	}
	rounds := []*round{f.flight, f.next}
	failed := slices.Collect(maps.Values(f.failed))
	f.mu.Unlock()
	var errs []error
	for _, c := range failed {
		if err := c.failure(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, r := range rounds {
		if r == nil {
			continue
		}
		if err := r.wait(ctx); err != nil {
			return err
		}
		errs = append(errs, r.all())
	}
	return errors.Join(errs...)
}

// Underway is closed when the round that is being flushed has ended, well or not;
// nil where none is. It starts nothing and touches no disk.
func (f *Flusher) Underway() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flight == nil {
		return nil
	}
	return f.flight.done
}

// flush is Flush for one core.
func (f *Flusher) flush(ctx context.Context, c *Core) error {
	f.mu.Lock()
	if _, ok := f.retry[c]; ok {
		f.enqueue(c)
	}
	r := c.round
	if c.queued.Load() {
		r = f.next
	}
	closed := f.closed
	f.mu.Unlock()
	if r == nil {
		if closed && c.unflushed() {
			return ErrClosed
		}
		return nil
	}
	if err := r.wait(ctx); err != nil {
		return err
	}
	return r.errs[c]
}

// forget drops a core that is being closed: what could not be committed is for
// recovery to find.
func (f *Flusher) forget(c *Core) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.retry, c)
	c.round = nil
}

func (r *round) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mark says that c has something to flush. The caller holds c.write and has
// published the change, so that the next round's beginFlush has it.
func (f *Flusher) mark(c *Core) {
	if c.queued.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enqueue(c)
}

// enqueue adds c to the queue and starts the goroutine. f.mu is held.
func (f *Flusher) enqueue(c *Core) {
	if f.closed || c.queued.Load() {
		return
	}
	c.queued.Store(true)
	f.queue = append(f.queue, c)
	if f.next == nil {
		f.next = &round{done: make(chan struct{}), errs: make(map[*Core]error)}
	}
	if !f.running {
		f.running = true
		go f.run()
	}
}

// run flushes round after round until nothing is left.
func (f *Flusher) run() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) > 0 {
		for c := range f.retry {
			f.enqueue(c)
		}
		clear(f.retry)
		cores, r := f.queue, f.next
		f.queue, f.next, f.flight = nil, nil, r
		for _, c := range cores {
			c.round = r
			c.queued.Store(false) // before the state: see mark
		}
		f.mu.Unlock()
		began := time.Now()
		f.tell(f.do(r, cores), r, began)
		f.mu.Lock()
		f.flight = nil
		for _, c := range cores {
			if c.round == r && r.errs[c] == nil {
				c.round = nil
			}
		}
		close(r.done)
	}
	f.running = false
	f.stopped.Broadcast()
}

// do is one round; it gives how many of the cores had something to flush.
func (f *Flusher) do(r *round, cores []*Core) int {
	snaps := make([]*flushing, 0, len(cores))
	for _, c := range cores {
		if s := c.beginFlush(); s != nil {
			snaps = append(snaps, s)
		} else if err := c.failure(); err != nil {
			r.errs[c] = err
		}
	}
	defer func() {
		for _, s := range snaps {
			s.end()
		}
	}()
	ready := f.prepare(r, snaps)
	if len(ready) == 0 {
		return len(snaps)
	}
	err := f.store.Update(func(tx storage.Tx) error {
		for _, s := range ready {
			if err := s.write(tx); err != nil {
				return fmt.Errorf("core %s: %w", s.core.id, err)
			}
		}
		return nil
	})
	if err != nil {
		f.abandon(r, ready, err)
		return len(snaps)
	}
	for _, s := range ready {
		s.publish()
	}
	return len(snaps)
}

// abandon deals with records that were not committed. With a full disk they
// stay as they were and the next round tries again; anything else may have left
// pages of the database in doubt.
func (f *Flusher) abandon(r *round, snaps []*flushing, err error) {
	err = fmt.Errorf("commit heads: %w", err)
	f.log.Error("heads were not committed", "cores", len(snaps), "err", err)
	full := isFull(err)
	for _, s := range snaps {
		s.restore()
		r.errs[s.core] = err
		if !full {
			r.errs[s.core] = s.core.fail(err)
		}
	}
	if !full {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range snaps {
		f.retry[s.core] = struct{}{}
	}
}

// prepare syncs and signs, and gives the states for which both succeeded.
func (f *Flusher) prepare(r *round, snaps []*flushing) []*flushing {
	files := make([]storage.Files, len(snaps))
	for i, s := range snaps {
		files[i] = s.core.files
	}
	errs := f.store.SyncAll(files)
	each(len(snaps), func(i int) {
		if errs[i] == nil {
			errs[i] = snaps[i].sign()
		}
	})
	var ready []*flushing
	for i, s := range snaps {
		if errs[i] == nil {
			ready = append(ready, s)
			continue
		}
		if isFull(errs[i]) {
			s.restore()
			r.errs[s.core] = errs[i]
			f.mu.Lock()
			f.retry[s.core] = struct{}{}
			f.mu.Unlock()
			continue
		}
		r.errs[s.core] = s.core.fail(errs[i])
	}
	return ready
}

// each calls fn for 0 to n-1, on as many goroutines as there are processors.
func each(n int, fn func(i int)) {
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			fn(i)
		}
	}
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
}
