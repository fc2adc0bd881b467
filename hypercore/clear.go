package hypercore

import (
	"context"
	"errors"
	"fmt"

	"multicore/hypercore/storage"
)

// Clear gives up the blocks [from, to) on this machine, to make room: they stay
// in the log, and are fetched from peers where somebody reads them again. Of an
// own core nobody else may have them; that is for the caller to know. What is
// not durable yet is not cleared. It gives how much was held.
//
// Peers are told at once. The room is free once it is on the disk that the
// blocks are not held: a crash in between loses the room until they are held
// and cleared again, never a block that is held. Of an own core it is free once
// nobody else has the file open (see Backing).
func (c *Core) Clear(ctx context.Context, from, to uint64) (Amount, error) {
	// One at a time: what another gives up meanwhile may have come and been
	// recorded since the flush, and would be in the hole too.
	c.clearing.Lock()
	defer c.clearing.Unlock()
	runs, err := c.giveUp(from, to)
	c.events.deliver()
	if err == nil && len(runs) > 0 {
		err = c.Flush(ctx)
	}
	var done Amount
	for _, r := range runs {
		var bytes uint64
		if err == nil {
			bytes, err = c.punch(r)
		}
		done.Blocks += r.to - r.from
		done.Bytes += bytes
	}
	if err != nil {
		return Amount{}, fmt.Errorf("clear blocks %d to %d: %w", from, to, err)
	}
	return done, nil
}

// Amount counts blocks and their bytes.
type Amount struct{ Blocks, Bytes uint64 }

// blockRun is the blocks [from, to).
type blockRun struct{ from, to uint64 }

// giveUp marks what is durable of [from, to) as not held, and gives what was.
func (c *Core) giveUp(from, to uint64) (runs []blockRun, err error) {
	c.write.Lock()
	defer c.write.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return nil, err
	}
	to = min(to, c.head.Length, c.stored)
	if runs = c.bits.runs(from, to); len(runs) == 0 {
		return nil, nil
	}
	c.bits.clear(from, to)
	c.era++ // who reads these bytes now must not believe them
	c.headDirty = true
	c.events.add(Event{Kind: Cleared, From: from, To: to})
	c.notify()
	c.flusher.mark(c)
	return runs, nil
}

// punch frees the bytes of what is not held again of a run, and gives how many
// they were.
func (c *Core) punch(r blockRun) (freed uint64, err error) {
	c.write.Lock() // nothing is stored meanwhile
	defer c.write.Unlock()
	v, err := c.look()
	if err != nil {
		return 0, err
	}
	r.to = min(r.to, v.tree.Length) // it may have been truncated
	for r.from < r.to {
		held, ok := c.nextHeld(r.from)
		if !ok {
			held = r.to
		}
		if end := min(held, r.to); r.from < end {
			start, _, err := c.extent(v, r.from)
			if err != nil {
				return freed, err
			}
			last, size, err := c.extent(v, end-1)
			if err != nil {
				return freed, err
			}
			stop := last + size
			freed += stop - start
			start, stop = c.widen(v, blockRun{r.from, end}, start, stop)
			if err := c.free(start, stop-start); errors.Is(err, storage.ErrInUse) {
				c.putOff(blockRun{r.from, end})
			} else if err != nil {
				return freed, err
			}
		}
		r.from = held + 1
	}
	return freed, nil
}

// filePage is what file systems give back at least: of a smaller part of one
// they only write zeros.
const filePage = 4096

// widen moves the ends of a hole to those of the pages that they lie in, as far
// as the blocks there are not held either: what is cleared bit by bit is freed.
func (c *Core) widen(v view, r blockRun, start, stop uint64) (uint64, uint64) {
	for floor := start &^ (filePage - 1); start > floor && r.from > 0 && !c.Has(r.from-1); r.from-- {
		off, _, err := c.extent(v, r.from-1)
		if err != nil {
			break // never learned: nothing was there
		}
		start = max(off, floor)
	}
	for ceil := (stop + filePage - 1) &^ (filePage - 1); stop < ceil && r.to < v.tree.Length && !c.Has(r.to); r.to++ {
		off, size, err := c.extent(v, r.to)
		if err != nil {
			break
		}
		stop = min(off+size, ceil)
	}
	return start, stop
}

func (c *Core) nextHeld(from uint64) (uint64, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.bits.next(from)
}
