package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/corestore/multicore"
	"multicore/hypercore"
)

const (
	// freshFor bounds how long a read that could be answered from what is
	// stored asks peers for the newest length first.
	freshFor = 5 * time.Second
	// window is how many blocks one reader has under way, so that a remote
	// core is read at the speed of the link and not one round trip a block.
	window = 64
)

// Read implements control.Service.
func (n *Node) Read(ctx context.Context, r control.ReadRequest, emit func(control.Item) error) error {
	t, release, err := n.resolve(r.Path)
	if err != nil {
		return err
	}
	defer release()
	rd := &reader{n: n, t: t, req: r, emit: emit, timeout: r.Timeout}
	if rd.timeout <= 0 {
		rd.timeout = n.opts.ReadTimeout
	}
	cores, err := rd.open(ctx)
	if err != nil {
		return coded(err)
	}
	if r.Follow {
		return coded(rd.follow(ctx, cores))
	}
	for _, c := range cores {
		if err := rd.once(ctx, c); err != nil {
			return coded(err)
		}
	}
	return nil
}

// reader is one Read call.
type reader struct {
	n       *Node
	t       target
	req     control.ReadRequest
	timeout time.Duration

	mu      sync.Mutex // over emit, and what was emitted last
	emit    func(control.Item) error
	current string // core of the last item
}

// open learns the cores, and for a remote multicore their newest lengths.
func (rd *reader) open(ctx context.Context) ([]multicore.Named, error) {
	if !rd.t.remote {
		return rd.t.cores(ctx)
	}
	began := time.Now()
	main := rd.t.view.Main()
	wait, cancel := context.WithTimeout(ctx, rd.timeout)
	defer cancel()
	var cores []multicore.Named
	var err error
	// What was never learned is waited for; what is known is refreshed.
	if _, learned := rd.t.view.Known(); !learned || !main.Info().Learned {
		err = main.Update(wait)
	}
	if err == nil {
		cores, err = rd.t.cores(wait)
	}
	if err == nil && !rd.holds(cores) {
		err = rd.learn(ctx, wait, cores)
	}
	if nobody := errors.Is(err, hypercore.ErrNoPeers) || errors.Is(err, context.DeadlineExceeded); nobody && ctx.Err() == nil {
		return nil, rd.n.noPeer(rd.t.key, time.Since(began))
	}
	return cores, err
}

// holds reports whether all blocks that were asked for by index are here: the
// newest length does not matter to them.
func (rd *reader) holds(cores []multicore.Named) bool {
	for _, s := range rd.req.Spans {
		for _, c := range cores {
			if s.Last >= c.Core.Info().Length {
				return false
			}
			for i := s.First; i <= s.Last; i++ {
				if !c.Core.Has(i) {
					return false
				}
			}
		}
	}
	return len(rd.req.Spans) > 0
}

// learn refreshes cores together. One whose head was never learned must be
// answered for, while wait lasts; the others may be shown as they were stored,
// with a note.
func (rd *reader) learn(ctx, wait context.Context, cores []multicore.Named) error {
	fresh, cancel := context.WithTimeout(wait, freshFor)
	defer cancel()
	errs := make([]error, len(cores))
	var wg sync.WaitGroup
	for i, c := range cores {
		wg.Go(func() {
			if c.Core.Info().Learned {
				errs[i] = c.Core.Update(fresh)
				return
			}
			errs[i] = c.Core.AwaitHead(wait)
		})
	}
	wg.Wait()
	var stale []error
	for i, c := range cores {
		if errors.Is(errs[i], hypercore.ErrConflict) {
			errs[i] = nil
			if err := rd.note(c.Name + " is in conflict, its key has signed two different logs: what follows is what this store had"); err != nil {
				return err
			}
		}
	}
	var newest time.Time
	for i, c := range cores {
		info := c.Core.Info()
		if errs[i] != nil && (!info.Learned || ctx.Err() != nil) {
			return errs[i]
		}
		if errs[i] != nil {
			stale = append(stale, errs[i])
		}
		if info.Grown.After(newest) {
			newest = info.Grown
		}
	}
	if len(stale) == 0 {
		return nil
	}
	return rd.note(fmt.Sprintf("no peer was reached; what follows is as it was stored %s", ago(newest)))
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "earlier"
	}
	d := time.Since(t).Round(time.Second)
	return fmt.Sprintf("%s ago, %s", d, t.UTC().Format(time.RFC3339))
}

func (rd *reader) note(text string) error {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	return rd.emit(control.Item{Note: text})
}

// send emits a block, and the start of its core where it is not the last one's.
func (rd *reader) send(c multicore.Named, i uint64, block []byte) error {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	if err := rd.start(c, i, 0); err != nil {
		return err
	}
	if block == nil {
		block = []byte{}
	}
	return rd.emit(control.Item{Core: c.Name, Key: c.Core.Key().String(), Index: i, Block: block})
}

// start emits the start of a core, of which block i comes next, the first of
// count, 0 for no end; rd.mu is held.
func (rd *reader) start(c multicore.Named, i, count uint64) error {
	if rd.current == c.Name {
		return nil
	}
	rd.current = c.Name
	return rd.emit(control.Item{Core: c.Name, Key: c.Core.Key().String(), Index: i, Count: count})
}

func (rd *reader) header(c multicore.Named, i, count uint64) error {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	return rd.start(c, i, count)
}

// first is where reading a core of some length begins.
func (rd *reader) first(c multicore.Named, length uint64) uint64 {
	if at, ok := rd.req.Start[c.Core.Key().String()]; ok {
		return at
	}
	if rd.req.Last == nil {
		return rd.req.From
	}
	return length - min(*rd.req.Last, length)
}

func (rd *reader) once(ctx context.Context, c multicore.Named) error {
	length := c.Core.Info().Length
	first := rd.first(c, length)
	spans := rd.req.Spans
	if len(spans) > 0 {
		first = spans[0].First
	} else if first < length {
		spans = []control.Span{{First: first, Last: length - 1}}
	}
	var count uint64
	for _, s := range spans {
		count += s.Last - s.First + 1
	}
	if err := rd.header(c, first, count); err != nil {
		return err
	}
	return rd.blocks(ctx, c, spans)
}

// follow reads what is there and then what comes, of all cores as it comes.
func (rd *reader) follow(ctx context.Context, cores []multicore.Named) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next, starts, forks := make([]uint64, len(cores)), make([]uint64, len(cores)), make([]uint64, len(cores))
	for i, c := range cores {
		info := c.Core.Info()
		next[i] = rd.first(c, info.Length)
		starts[i], forks[i] = next[i], info.Fork
		if err := rd.header(c, next[i], 0); err != nil {
			return err
		}
		if next[i] < info.Length {
			err := rd.blocks(ctx, c, []control.Span{{First: next[i], Last: info.Length - 1}})
			if err != nil && !errors.Is(err, hypercore.ErrTruncated) {
				return err
			}
			next[i] = info.Length
		}
	}
	var wg sync.WaitGroup
	for i, c := range cores {
		wg.Go(func() {
			if err := rd.tail(ctx, c, forks[i], starts[i], next[i]); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// tail sends what comes at the end of a core, from block at on, until ctx ends.
// Where the writer truncates it says so and goes on from where the log was cut,
// or from its new end where that was before the first block that it sent.
func (rd *reader) tail(ctx context.Context, c multicore.Named, fork, start, at uint64) error {
	for ctx.Err() == nil {
		changed := c.Core.Changed()
		now, kept := c.Core.Kept(fork)
		if now != fork {
			fork = now
			if kept < at {
				length := c.Core.Info().Length
				if at = kept; kept < start {
					at = length
				}
				if err := rd.note(fmt.Sprintf("%s was truncated by its writer; going on from block %d", c.Name, at)); err != nil {
					return err
				}
				start = min(start, at)
			}
		}
		length := c.Core.Info().Length
		if at < length {
			err := rd.blocks(ctx, c, []control.Span{{First: at, Last: length - 1}})
			if err != nil && !errors.Is(err, hypercore.ErrTruncated) {
				return err
			}
			at = length
			continue
		}
		if err := ended(ctx, c); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// ended says why nothing more of a core can come, if that is so.
func ended(ctx context.Context, c multicore.Named) error {
	info := c.Core.Info()
	err := info.Failed
	if err == nil && info.Conflict {
		err = c.Core.Update(ctx)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", c.Name, err)
}

// each gives the blocks of spans one by one.
func each(spans []control.Span) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, s := range spans {
			for i := s.First; i <= s.Last; i++ {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// blocks sends blocks in order and has those that come next fetched meanwhile.
func (rd *reader) blocks(ctx context.Context, c multicore.Named, spans []control.Span) error {
	ctx, cancel := context.WithCancel(ctx)
	var fetching sync.WaitGroup
	defer fetching.Wait()
	defer cancel()
	next, stop := iter.Pull(each(spans))
	defer stop()
	sent, seen := 0, 0
	for i := range each(spans) {
		for ; seen < sent+window; seen++ {
			b, more := next()
			if !more {
				break
			}
			if source := c.Core.Source(); source != nil && b != i && b < c.Core.Info().Length && !c.Core.Has(b) {
				// An error is met again when it is read, and its time to come
				// begins only then: a slow link is no reason to give up.
				fetching.Go(func() { source.FetchBlock(ctx, b) })
			}
		}
		block, err := rd.get(ctx, c, i)
		if err != nil {
			return err
		}
		if err := rd.send(c, i, block); err != nil {
			return err
		}
		sent++
	}
	return nil
}

func (rd *reader) get(ctx context.Context, c multicore.Named, i uint64) ([]byte, error) {
	wait, stop := context.WithTimeout(ctx, rd.timeout)
	defer stop()
	block, err := c.Core.Get(wait, i)
	switch {
	case err == nil:
		return block, nil
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return nil, &control.Error{Code: control.Timeout, Err: err,
			Text: fmt.Sprintf("block %d of %s is not here, and no peer gave it (%s)", i, c.Name, rd.timeout)}
	}
	return nil, fmt.Errorf("%s: %w", c.Name, err)
}
