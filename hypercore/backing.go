package hypercore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"multicore/hypercore/storage"
)

// Backing is the file that has the bytes of the log, lent to somebody who reads
// it past the core: a kernel, for the readers of a mount. As long as it is lent
//
//   - nothing is in it that may turn out not to be of the log: room is taken and
//     nodes are written before the bytes of a batch, and what the disk refuses
//     then makes the core fail rather than be cut again;
//   - what Clear gives up stays in it; the room is freed afterwards;
//   - a head that is adopted, behind which there are holes, gets a file of its
//     own, and this one ends where the two logs part: it is not Whole any more.
//     That is so after the loan too, as long as somebody has it open.
//
// Truncate cuts it as it cuts the log. Safe for concurrent use.
type Backing struct {
	core    *Core
	file    *os.File
	lending uint64 // Core.lending at the time
	end     sync.Once
	err     error // of ending it
}

// Backing lends the file. errors.ErrUnsupported (wrapped) where its bytes are not
// those of the log, from the first to the last, now and as it grows: of a core
// that is not written here, is encrypted, has blocks that are not held, or is
// held, frozen or failed; or where the store has no such file.
func (c *Core) Backing() (*Backing, error) {
	c.write.Lock()
	defer c.write.Unlock()
	if !c.whole() {
		return nil, fmt.Errorf("the file is not the log: %w", errors.ErrUnsupported)
	}
	f, err := c.files.Backing()
	if err != nil {
		return nil, err
	}
	c.lent++
	return &Backing{core: c, file: f, lending: c.lending}, nil
}

// whole reports whether the file of blocks is the log. c.write is held.
func (c *Core) whole() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.pair != nil && !c.encrypted && c.encryption.Load() == nil && c.usableLocked() == nil &&
		c.conflict == nil && !c.held && !c.settling && c.bits.contiguous >= c.tree.Length
}

// File is open for reading until it is closed, which is for the borrower to do:
// Return first.
func (b *Backing) File() *os.File { return b.file }

// Whole reports whether the file still is the log.
func (b *Backing) Whole() bool {
	c := b.core
	c.write.Lock()
	defer c.write.Unlock()
	return c.lending == b.lending && c.whole()
}

// ByteLength is Info.ByteLength, but waits for the bytes of a batch that can be
// seen in the file already: who has read them is not told of a shorter log.
func (b *Backing) ByteLength() uint64 {
	b.core.showing.RLock()
	defer b.core.showing.RUnlock()
	return b.core.Info().ByteLength
}

// Return ends the loan. Who reads the file all the same may see what is taken
// back. Safe twice.
func (b *Backing) Return() error {
	b.end.Do(func() {
		c := b.core
		c.write.Lock()
		defer c.write.Unlock()
		if c.lending != b.lending {
			return // the file is not ours any more
		}
		if c.lent--; c.lent > 0 || c.usable() != nil {
			return
		}
		c.reserved = 0
		b.err = c.files.Trim()
		if c.again != nil {
			c.again.Reset(punchSoon)
		}
	})
	return b.err
}

// reserveAhead is room that is taken for what may come, so that it is not asked
// for with each append.
const reserveAhead = 1 << 20

// reserve takes room for bytes up to end. c.write is held.
func (c *Core) reserve(end uint64) error {
	if end <= c.reserved {
		return nil
	}
	from := max(c.reserved, c.size)
	err := c.files.Reserve(int64(from), int64(end+reserveAhead-from))
	if err == nil {
		c.reserved = end + reserveAhead
		return nil
	}
	if err = c.files.Reserve(int64(from), int64(end-from)); err == nil {
		c.reserved = end
	}
	return err
}

// detach leaves the file to those who have it, with the bytes up to size, and goes
// on in a copy; nothing where nobody has it: they are those to whom it is lent, and
// readers of a mount that is gone, of whom the kernel alone knows. c.write is held,
// or the core is being opened.
func (c *Core) detach(size uint64) error {
	if c.pair == nil { // never lent
		return nil
	}
	if c.lent == 0 {
		if used, err := c.files.InUse(); err != nil || !used {
			return err
		}
	}
	if err := c.files.Detach(int64(size)); err != nil {
		return err
	}
	c.log.Warn("who reads the log past the core sees it end here, and has to open it anew",
		"core", c.id.String(), "bytes", size)
	c.lending++
	c.lent, c.reserved = 0, 0
	return nil
}

// What is cleared while somebody reads the file is freed when nobody does any
// more, which is looked for so often.
const (
	punchSoon  = 50 * time.Millisecond
	punchFirst = time.Second
	punchLast  = time.Minute
)

// free punches a hole, ErrInUse where somebody may read the bytes. c.write is
// held.
func (c *Core) free(off, n uint64) error {
	switch {
	case c.pair == nil: // never lent
		return c.files.Punch(int64(off), int64(n))
	case c.lent > 0:
		return storage.ErrInUse
	}
	return c.files.PunchAlone(int64(off), int64(n))
}

// putOff has a run punched later. c.write is held.
func (c *Core) putOff(r blockRun) {
	c.unpunched = append(c.unpunched, r)
	if c.again == nil {
		c.patience = punchFirst
		c.again = time.AfterFunc(c.patience, c.punchAgain)
	}
}

// punchAgain tries what was put off. A block of it may have come and been cleared
// again meanwhile: so no Clear is under way, and what it gave up is recorded.
func (c *Core) punchAgain() {
	c.clearing.Lock()
	defer c.clearing.Unlock()
	err := c.Flush(context.Background())
	c.write.Lock()
	runs := c.unpunched
	c.unpunched = nil
	c.write.Unlock()
	for _, r := range runs {
		if err == nil {
			_, err = c.punch(r)
		}
	}
	c.write.Lock()
	defer c.write.Unlock()
	switch {
	case c.usable() != nil:
	case err != nil:
		c.log.Warn("room of cleared blocks is not given back", "core", c.id.String(), "err", err)
		fallthrough
	case len(c.unpunched) == 0:
		c.unpunched, c.again = nil, nil
	default:
		c.patience = min(2*c.patience, punchLast)
		c.again.Reset(c.patience)
	}
}

// freeLast tries what was put off before the core is closed: nobody will later.
func (c *Core) freeLast() {
	c.write.Lock()
	again := c.again
	c.write.Unlock()
	if again != nil {
		again.Stop()
		c.punchAgain()
	}
}

// show writes the blocks of batches into files that are lent, where they can be
// seen at once, and publishes the batches. Nothing that could be foreseen is in
// their way. The write locks are held.
func show(all []*appending) error {
	for _, a := range all {
		if a.core.lent > 0 {
			a.core.showing.Lock()
			defer a.core.showing.Unlock()
		}
	}
	for i, a := range all {
		if a.core.lent == 0 {
			continue
		}
		if err := a.core.writeBlocks(a.size, a.blocks); err != nil {
			return halfShown(all, i, err)
		}
	}
	for _, a := range all {
		a.publish()
	}
	return nil
}

// halfShown deals with batches of which those up to all[last] may have been seen
// in lent files. That cannot be taken back: opening these cores anew finds what
// is there.
func halfShown(all []*appending, last int, cause error) error {
	var unseen []*appending
	for i, a := range all {
		if a.core.lent > 0 && i <= last {
			cause = errors.Join(cause, a.core.fail(fmt.Errorf("append where others read: %w", cause)))
		} else {
			unseen = append(unseen, a)
		}
	}
	return undo(unseen, cause)
}
