package hypercore

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// RangeSource is a Source that fetches many blocks at a time, as the attachments
// of package replicate do: Download goes through it where there is one.
type RangeSource interface {
	Source
	// FetchRange returns once the blocks [from, to) are stored. They are asked
	// of all peers that have them, the rarest first. Where ctx ends, what was
	// asked for this alone is cancelled, and what came stays.
	FetchRange(ctx context.Context, from, to uint64) error
}

// downloadSteps is how often a download tells how far it is, about.
const downloadSteps = 1000

// Download fetches what is missing of the blocks [from, to) and returns when all
// of them are held here; Flush puts them on the disk. Blocks beyond the length
// are not waited for, so a large `to` means the log as it is now.
//
// progress, where it is not nil, is called with the number of blocks of the range
// that are held and of those that there are, at the beginning, now and then, and
// at the end; never by two goroutines at a time. It may end the download through
// ctx.
//
// ErrTruncated where the log came to end before the range; else the errors of
// Get. What was fetched before an error stays. Safe for concurrent use:
// downloads and reads of the same blocks share the requests.
func (c *Core) Download(ctx context.Context, from, to uint64, progress func(held, total uint64)) error {
	if err := c.AwaitHead(ctx); err != nil {
		return err
	}
	to = min(to, c.Info().Length)
	d := &download{core: c, from: min(from, to), to: to, progress: progress, woken: make(chan struct{}, 1)}
	d.step = (d.to - d.from) / downloadSteps
	defer c.Subscribe(d.event)()
	if err := d.run(ctx); err != nil {
		return fmt.Errorf("download blocks %d to %d: %w", d.from, d.to, err)
	}
	return nil
}

// download is one call of Download.
type download struct {
	core     *Core
	from, to uint64
	progress func(held, total uint64)
	step     uint64        // blocks from one report to the next
	stored   uint64        // since the last one; for event alone
	woken    chan struct{} // something is to be looked at
}

// event notes what happens to the core. It does not block.
func (d *download) event(e Event) {
	if e.Kind == Stored {
		lo, hi := max(e.From, d.from), min(e.To, d.to)
		if d.stored += hi - min(lo, hi); lo >= hi || d.stored < d.step {
			return
		}
	}
	d.stored = 0
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

func (d *download) run(ctx context.Context) error {
	for {
		held := d.report()
		if held == d.to-d.from {
			return nil
		}
		if err := d.fetch(ctx); err != nil {
			return err
		}
	}
}

// report tells how much is held.
func (d *download) report() uint64 {
	held := d.core.countHeld(d.from, d.to)
	if d.progress != nil {
		d.progress(held, d.to-d.from)
	}
	return held
}

// fetch has the source get all that is missing, and reports meanwhile.
func (d *download) fetch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	missing := fmt.Errorf("%d blocks: %w", d.to-d.from, ErrNotHeld)
	go func() { ended <- d.core.fetch(ctx, missing, func(s Source) error { return d.through(ctx, s) }) }()
	for {
		select {
		case err := <-ended:
			if short := d.truncated(); short != nil {
				return short
			}
			return err
		case <-d.woken:
		}
		if err := d.truncated(); err != nil {
			cancel()
			<-ended
			return err
		}
		if d.progress != nil {
			d.report()
		}
	}
}

// truncated is ErrTruncated where the log does not have the range any more.
func (d *download) truncated() error {
	if length := d.core.Info().Length; length < d.to {
		return fmt.Errorf("%w to length %d", ErrTruncated, length)
	}
	return nil
}

// through fetches all of the range from a source.
func (d *download) through(ctx context.Context, s Source) error {
	if r, ok := s.(RangeSource); ok {
		return r.FetchRange(ctx, d.from, d.to)
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(fetches)
	for i := d.from; i < d.to && gctx.Err() == nil; i++ {
		if !d.core.Has(i) {
			group.Go(func() error { return s.FetchBlock(gctx, i) })
		}
	}
	err := group.Wait()
	if err == nil {
		err = ctx.Err()
	}
	if errors.Is(err, ErrPastEnd) && d.truncated() != nil {
		err = nil // fetch says so
	}
	return err
}

// countHeld counts the held blocks of [from, to).
func (c *Core) countHeld(from, to uint64) uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.bits.count(from, to)
}
