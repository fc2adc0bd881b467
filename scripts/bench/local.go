package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"multicore/corestore"
)

// Tasks of a case of one process.
const (
	taskAppend     = "append"     // blocks one by one
	taskBatch      = "batch"      // batches of batchBlocks
	taskSequential = "sequential" // blocks that are here, in order
	taskRandom     = "random"     // blocks that are here, anywhere
	taskOpen       = "open"       // the store, a core and one block of it
)

const batchBlocks = 1024

// nodeBytes is what the two nodes of an append take.
const nodeBytes = 80

// local does what needs no peer.
func local(ctx context.Context, up *parent, s spec) error {
	if s.Task == taskOpen {
		return localOpen(ctx, up, s)
	}
	b, err := newBlocks(s.Pool, s.Size)
	if err != nil {
		return err
	}
	st, err := corestore.Open(s.Dir, corestore.Options{Create: true})
	if err != nil {
		return err
	}
	defer st.Close()
	c, err := st.OpenName(corestore.Namespace{}, "core 0", 0)
	if err != nil {
		return err
	}
	switch s.Task {
	case taskAppend, taskBatch:
		return appends(ctx, up, s, b, c)
	case taskSequential, taskRandom:
		return timed(ctx, up, s, func(n int) error {
			i := n % s.Count
			if s.Task == taskRandom {
				i = rand.IntN(s.Count)
			}
			block, err := c.Get(ctx, uint64(i))
			if err != nil {
				return err
			}
			return b.check(block, i)
		})
	}
	return fmt.Errorf("no task %q", s.Task)
}

func appends(ctx context.Context, up *parent, s spec, b *blocks, to *corestore.Core) error {
	if s.Task == taskBatch {
		batch := b.make(0, batchBlocks)
		return timed(ctx, up, s, func(int) error {
			_, err := to.Append(ctx, batch...)
			return err
		})
	}
	block := make([]byte, s.Size)
	return timed(ctx, up, s, func(n int) error {
		b.put(block, n)
		_, err := to.Append(ctx, block)
		return err
	})
}

// timed warms up, and does each sample when told.
func timed(ctx context.Context, up *parent, s spec, one func(n int) error) error {
	for n := range s.WarmCount {
		if err := one(n); err != nil {
			return err
		}
	}
	if err := up.say(reply{Event: "ready"}); err != nil {
		return err
	}
	if err := up.await(ctx, wordGo); err != nil {
		return err
	}
	began := time.Now()
	for n := range s.Samples {
		if err := one(s.WarmCount + n); err != nil {
			return err
		}
	}
	took := time.Since(began)
	if err := up.say(reply{Event: "done", Values: map[string]float64{"seconds": took.Seconds()}}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// localOpen is what a program waits for before it has its first block.
func localOpen(ctx context.Context, up *parent, s spec) error {
	b, err := newBlocks(s.Pool, s.Size)
	if err != nil {
		return err
	}
	if err := up.say(reply{Event: "ready"}); err != nil {
		return err
	}
	if err := up.await(ctx, wordGo); err != nil {
		return err
	}
	began := time.Now()
	st, err := corestore.Open(s.Dir, corestore.Options{})
	if err != nil {
		return err
	}
	defer st.Close()
	opened := time.Now()
	c, err := st.OpenName(corestore.Namespace{}, "core 0", 0)
	if err != nil {
		return err
	}
	i := s.Count * 7 / 9
	block, err := c.Get(ctx, uint64(i))
	if err != nil {
		return err
	}
	ended := time.Now()
	if err := b.check(block, i); err != nil {
		return err
	}
	if err := up.say(reply{Event: "done", Values: map[string]float64{
		"open": ms(ended.Sub(opened)), "open store": ms(ended.Sub(began)),
	}}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// plain is the ceiling of appends: the blocks to one file, as many bytes as
// their nodes take to another where they come one by one, and no sync.
type plain struct{ blocks, tree *os.File }

func bareLocal(ctx context.Context, up *parent, s spec) error {
	b, err := newBlocks(s.Pool, s.Size)
	if err != nil {
		return err
	}
	var p plain
	if p.blocks, err = os.Create(filepath.Join(s.Dir, "blocks")); err != nil {
		return err
	}
	defer p.blocks.Close()
	if s.Task == taskAppend {
		if p.tree, err = os.Create(filepath.Join(s.Dir, "tree")); err != nil {
			return err
		}
		defer p.tree.Close()
	}
	return p.measure(ctx, up, s, b)
}

func (p plain) measure(ctx context.Context, up *parent, s spec, b *blocks) error {
	var nodes [nodeBytes]byte
	var at, treeAt int64
	payload := make([]byte, s.Size)
	if s.Task == taskBatch {
		payload = make([]byte, batchBlocks*s.Size)
	}
	return timed(ctx, up, s, func(n int) error {
		b.put(payload[:s.Size], n)
		_, err := p.blocks.WriteAt(payload, at)
		at += int64(len(payload))
		if err == nil && p.tree != nil {
			_, err = p.tree.WriteAt(nodes[:], treeAt)
			treeAt += nodeBytes
		}
		return err
	})
}
