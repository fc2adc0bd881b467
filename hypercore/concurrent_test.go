package hypercore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"multicore/hypercore/merkle"
)

// TestConcurrentUse: writers, readers, provers, flushers and subscribers of
// several cores at once.
func TestConcurrentUse(t *testing.T) {
	stores(t, func(t *testing.T, f *Flusher) {
		const cores, writers, each = 3, 3, 60
		var list []*Core
		for n := range byte(cores) {
			list = append(list, own(t, f, n))
		}
		ctx := context.Background()
		var work, readers sync.WaitGroup
		stop := make(chan struct{})
		for _, c := range list {
			checkEvents(t, c, cores*writers*each)
		}
		for _, c := range list {
			for w := range writers {
				work.Go(func() {
					for i := range each {
						block := fmt.Appendf(nil, "%d/%d", w, i)
						if i%3 > 0 {
							if _, err := c.Append(ctx, block); err != nil {
								t.Error(err)
							}
							continue
						}
						var all []Batch
						for _, c := range list {
							all = append(all, Batch{c, [][]byte{block}})
						}
						if err := AppendAll(ctx, all); err != nil {
							t.Error(err)
						}
					}
				})
			}
			readers.Go(func() { readWhile(t, c, stop) })
		}
		work.Go(func() {
			for range 20 {
				if err := f.Flush(ctx); err != nil {
					t.Error(err)
				}
			}
		})
		work.Wait()
		close(stop)
		readers.Wait()
		for _, c := range list {
			mustFlush(t, c)
			want := uint64(writers*each*2/3 + cores*writers*each/3)
			if info := c.Info(); info.Length != want || info.Durable != want {
				t.Fatalf("%+v, want length %d", info, want)
			}
			head := c.Head()
			if err := c.Manifest().Verify(head.Tree, head.Signature); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// checkEvents fails where events do not follow each other without a gap.
func checkEvents(t *testing.T, c *Core, limit uint64) {
	var appended, durable uint64
	c.Subscribe(func(e Event) {
		at := &appended
		if e.Kind == Durable {
			at = &durable
		}
		if e.From != *at || e.To <= e.From || e.To > limit || durable > appended {
			t.Errorf("event %+v after %d", e, *at)
		}
		*at = e.To
	})
}

// readWhile reads and proves whatever is there.
func readWhile(t *testing.T, c *Core, stop <-chan struct{}) {
	ctx := context.Background()
	for i := uint64(0); ; i += 7 {
		changed := c.Changed()
		info := c.Info()
		if head := c.Head(); head.Length > info.Length && head.Length > c.Info().Length {
			t.Errorf("head of length %d beyond %d", head.Length, info.Length)
		}
		if info.Length == 0 {
			select {
			case <-changed:
			case <-stop:
				return
			}
			continue
		}
		i %= info.Length
		block, err := c.Get(ctx, i)
		if err != nil {
			t.Errorf("block %d: %v", i, err)
		}
		off, size, err := c.Extent(ctx, i)
		if err != nil || size != uint64(len(block)) {
			t.Errorf("extent of block %d: %d, %v", i, size, err)
		}
		at := make([]byte, size)
		if _, err := c.ReadAt(ctx, at, off); err != nil && err != io.EOF || !bytes.Equal(at, block) {
			t.Errorf("read at %d: %q, %v, want %q", off, at, err, block)
		}
		if j, within, err := c.Seek(ctx, off); err != nil || j != i || within != 0 {
			t.Errorf("seek %d: %d, %d, %v", off, j, within, err)
		}
		head := c.Head()
		p, err := c.Prove(merkle.Request{Block: &merkle.BlockRequest{Index: i, Nodes: 1}})
		if err == nil && p.Block != nil && !bytes.Equal(p.Block.Value, block) {
			t.Errorf("proof of block %d has %q", i, p.Block.Value)
		}
		if err != nil && i < head.Length && !errors.Is(err, merkle.ErrInvalidRequest) {
			t.Errorf("proof of block %d below %d: %v", i, head.Length, err)
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

// TestConcurrentApply: several peers' proofs for one replica.
func TestConcurrentApply(t *testing.T) {
	const length = 300
	source := own(t, newFlusher(t), 1)
	fill(t, source, length)
	mustFlush(t, source)
	r := replica(t, newFlusher(t), 1)
	var stored sync.Map
	r.Subscribe(func(e Event) {
		if e.Kind == Stored {
			if _, twice := stored.LoadOrStore(e.From, true); twice {
				t.Errorf("block %d is stored twice", e.From)
			}
		}
	})
	var group sync.WaitGroup
	for w := range uint64(4) {
		group.Go(func() {
			for {
				err := upgrade(source, r)
				if err == nil {
					break
				}
				if !errors.Is(err, ErrStale) {
					t.Error(err)
					return
				}
			}
			for i := range uint64(length) {
				// Two of four fetch the same blocks at about the same time.
				if err := fetchBlock(source, r, (i*7+w%2*150)%length); err != nil {
					t.Errorf("block %d: %v", i, err)
				}
			}
		})
	}
	group.Wait()
	checkLog(t, r, length, blockOf)
}
