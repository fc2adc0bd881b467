package hypercore

import (
	"context"
	"errors"
	"fmt"

	"multicore/hypercore/storage"
)

// Pages are bytes of the log, in a file, for a system call that moves them
// without a copy. They stay there until they are released, which is to be soon.
type Pages struct {
	Fd     uintptr
	Offset int64
	Size   int

	file storage.Pages
}

// Release ends the use. Once.
func (p Pages) Release() { p.file.Release() }

// PagesAt is ReadAt that says where the bytes are, as many as there are from off
// on, at most n. errors.ErrUnsupported (wrapped) where they are in no file as they
// are to be read: ReadAt has them.
func (c *Core) PagesAt(ctx context.Context, n int, off uint64) (Pages, error) {
	if c.padding() != 0 {
		return Pages{}, fmt.Errorf("blocks are encrypted: %w", errors.ErrUnsupported)
	}
	if err := c.AwaitHead(ctx); err != nil {
		return Pages{}, err
	}
	v, err := c.look()
	if err != nil {
		return Pages{}, err
	}
	if off >= v.size || n <= 0 {
		return Pages{}, fmt.Errorf("nothing to read: %w", errors.ErrUnsupported)
	}
	n = int(min(uint64(n), v.size-off))
	if err := c.cover(ctx, v, off, uint64(n)); err != nil {
		return Pages{}, err
	}
	file, err := c.files.Pages()
	if err != nil {
		return Pages{}, err
	}
	// What goes is given up before the file is changed, which now has to wait.
	if !c.still(v) || uint64(file.Size) < off+uint64(n) {
		file.Release()
		return Pages{}, fmt.Errorf("the log has changed: %w", errors.ErrUnsupported)
	}
	c.tellRead(v, off, uint64(n))
	return Pages{Fd: file.Fd, Offset: int64(off), Size: n, file: file}, nil
}
