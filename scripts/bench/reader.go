package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// read connects to a writer, warms up, and does the task of s when told.
func read(ctx context.Context, up *parent, s spec) error {
	p, err := newMember(s)
	if err != nil {
		return err
	}
	defer p.close()
	warm, err := p.open(s.Warm)
	if err != nil {
		return err
	}
	p.swarm.Attach(warm.Core, replicate.AttachOptions{Download: true})
	task := &reading{member: p, spec: s}
	if task.blocks, err = newBlocks(s.Pool, s.Size); err != nil {
		return err
	}
	if s.Task != taskMany {
		if task.core, err = p.open(s.Keys[0]); err != nil {
			return err
		}
		task.attached = p.swarm.Attach(task.core.Core, replicate.AttachOptions{})
	}
	if err := p.connect(ctx, s); err != nil {
		return err
	}
	if err := warm.Update(ctx); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	if err := whole(ctx, warm.Core); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	if task.core != nil {
		if err := task.core.Update(ctx); err != nil {
			return err
		}
	}
	if err := up.say(reply{Event: "ready"}); err != nil {
		return err
	}
	if err := up.await(ctx, wordGo); err != nil {
		return err
	}
	done, err := task.run(ctx)
	if err != nil {
		return err
	}
	done.Event = "done"
	if err := up.say(done); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// Tasks of a network case.
const (
	taskDownload = "download" // the whole core
	taskDemand   = "demand"   // single blocks that are not here
	taskVisible  = "visible"  // what is appended, as it comes
	taskMany     = "many"     // many cores of one block
)

type reading struct {
	spec     spec
	member   *member
	core     *corestore.Core
	attached *replicate.Attachment
	blocks   *blocks
}

func (r *reading) run(ctx context.Context) (reply, error) {
	switch r.spec.Task {
	case taskDownload:
		return r.download(ctx)
	case taskDemand:
		return r.demand(ctx)
	case taskVisible:
		return r.visible(ctx)
	case taskMany:
		return r.many(ctx)
	}
	return reply{}, fmt.Errorf("no task %q", r.spec.Task)
}

// whole waits until every block of c is verified and stored.
func whole(ctx context.Context, c *hypercore.Core) error {
	for {
		changed := c.Changed()
		if i := c.Info(); i.Length > 0 && i.Contiguous == i.Length {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *reading) download(ctx context.Context) (reply, error) {
	began := time.Now()
	r.attached.SetDownload(true)
	if err := whole(ctx, r.core.Core); err != nil {
		return reply{}, err
	}
	took := time.Since(began)
	if err := r.core.Flush(ctx); err != nil {
		return reply{}, err
	}
	synced := time.Since(began)
	if got := r.core.Info().Length; got != uint64(r.spec.Count) {
		return reply{}, fmt.Errorf("read %d blocks, want %d", got, r.spec.Count)
	}
	hash := r.core.Head().Hash()
	return reply{
		Hash:   hex.EncodeToString(hash[:]),
		Values: map[string]float64{"seconds": took.Seconds(), "synced": synced.Seconds()},
	}, nil
}

// scattered gives the index of the n-th block that is asked for on demand.
func scattered(n, count int) int { return n * 7919 % count }

func (r *reading) demand(ctx context.Context) (reply, error) {
	times := make([]time.Duration, r.spec.Samples)
	var next atomic.Int64
	group, gctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range r.spec.Inflight {
		group.Go(func() error {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(times) {
					return nil
				}
				i := scattered(n, r.spec.Count)
				start := time.Now()
				block, err := r.core.Get(gctx, uint64(i))
				times[n] = time.Since(start)
				if err != nil {
					return err
				}
				if err := r.blocks.check(block, i); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return reply{}, err
	}
	took := time.Since(began)
	values := latencies(times)
	values["seconds"] = took.Seconds()
	return reply{Values: values}, nil
}

// visible reads each block as it comes; it holds the time of its append.
func (r *reading) visible(ctx context.Context) (reply, error) {
	times := make([]time.Duration, 0, r.spec.Samples)
	i := r.core.Info().Length
	for n := range r.spec.Samples + r.spec.WarmCount {
		for {
			changed := r.core.Changed()
			if r.core.Info().Length > i {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return reply{}, ctx.Err()
			}
		}
		block, err := r.core.Get(ctx, i)
		if err != nil {
			return reply{}, err
		}
		if n >= r.spec.WarmCount {
			times = append(times, time.Duration(monotonic()-int64(binary.LittleEndian.Uint64(block))))
		}
		i++
	}
	return reply{Values: latencies(times)}, nil
}

// many opens and copies each of the cores.
func (r *reading) many(ctx context.Context) (reply, error) {
	began := time.Now()
	var left atomic.Int64
	left.Store(int64(len(r.spec.Keys)))
	all := make(chan struct{})
	cores := make([]*corestore.Core, len(r.spec.Keys))
	for i, key := range r.spec.Keys {
		c, err := r.member.open(key)
		if err != nil {
			return reply{}, err
		}
		cores[i] = c
		var here atomic.Bool
		look := func(hypercore.Event) {
			if c.Info().Contiguous == 1 && here.CompareAndSwap(false, true) && left.Add(-1) == 0 {
				close(all)
			}
		}
		defer c.Subscribe(look)()
		r.member.swarm.Attach(c.Core, replicate.AttachOptions{Download: true})
		look(hypercore.Event{})
	}
	select {
	case <-all:
	case <-ctx.Done():
		return reply{}, fmt.Errorf("%d of %d cores are missing: %w", left.Load(), len(cores), ctx.Err())
	}
	took := time.Since(began)
	for _, c := range cores {
		block, err := c.Block(0)
		if err == nil {
			err = r.blocks.check(block, 0)
		}
		if err != nil {
			return reply{}, err
		}
	}
	return reply{Values: map[string]float64{"seconds": took.Seconds()}}, nil
}
