package storage

import (
	"errors"
	"io"
	"os"
	"path"
)

// backing runs fn with the file of blocks, where others can read that by
// themselves.
func (c *core) backing(create bool, fn func(Backing) error) error {
	f, err := c.blocks.acquire(create)
	if err != nil {
		return err
	}
	defer c.blocks.release()
	b, ok := f.(Backing)
	if !ok {
		return errors.ErrUnsupported
	}
	return fn(b)
}

func (c *core) Backing() (f *os.File, err error) {
	err = c.backing(true, func(b Backing) error {
		size, err := b.Size()
		if err == nil {
			err = b.Reserve(size, 1)
		}
		if err == nil {
			f, err = b.Reopen()
		}
		return err
	})
	return f, err
}

func (c *core) Reserve(off, n int64) error {
	return c.backing(true, func(b Backing) error { return b.Reserve(off, n) })
}

func (c *core) Trim() error {
	return c.backing(false, func(b Backing) error {
		size, err := b.Size()
		if err == nil {
			err = b.Truncate(size)
		}
		return err
	})
}

func (c *core) PunchAlone(off, n int64) error {
	c.pages.Lock()
	err := c.backing(false, func(b Backing) error {
		return b.Alone(func() error { return b.Punch(off, n) })
	})
	c.pages.Unlock()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrNotExist) {
		return c.Punch(off, n)
	}
	return err
}

func (c *core) InUse() (bool, error) {
	err := c.backing(false, func(b Backing) error { return b.Alone(func() error { return nil }) })
	switch {
	case errors.Is(err, ErrInUse):
		return true, nil
	case errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrNotExist):
		return false, nil
	}
	return false, err
}

// renamer is an FS in which a file can take the place of another.
type renamer interface {
	Rename(from, to string) error
}

// copyPiece is how much Detach copies at a time.
const copyPiece = 1 << 20

func (c *core) Detach(n int64) error {
	r, ok := c.files.fs.(renamer)
	if !ok {
		return errors.ErrUnsupported
	}
	c.syncMu.Lock()
	defer c.syncMu.Unlock()
	c.pages.Lock()
	defer c.pages.Unlock()
	if err := c.replace(r, n); err != nil {
		return err
	}
	c.blocks.detach()
	return nil
}

// replace is Detach up to where the old file is cut, but for its descriptor.
func (c *core) replace(r renamer, n int64) error {
	old, err := c.blocks.acquire(true)
	if err != nil {
		return err
	}
	defer c.blocks.release() // closed it would be lost, and not be cut
	fresh := path.Join(c.dir, c.blocks.name+".new")
	if err := c.copyTo(fresh, old, n); err != nil {
		return err
	}
	if err := r.Rename(fresh, path.Join(c.dir, c.blocks.name)); err != nil {
		return err
	}
	if err := c.files.fs.SyncDir(c.dir); err != nil {
		return err
	}
	size, err := old.Size()
	if err == nil && size > n {
		err = old.Truncate(n) // else who has it open sees what the log had
	}
	return err
}

// copyTo writes the first n bytes of old, or what there is, to a file, and syncs.
// Where that fails the file takes no room.
func (c *core) copyTo(name string, old File, n int64) error {
	f, err := c.files.fs.Open(name, true)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(0); err != nil { // of an attempt that a crash cut short
		return err
	}
	if err = copyBytes(f, old, n); err == nil {
		err = f.Datasync()
	}
	if err != nil {
		f.Truncate(0)
	}
	return err
}

func copyBytes(to, from File, n int64) error {
	buf := make([]byte, min(n, copyPiece))
	for off := int64(0); off < n; {
		got, err := from.ReadAt(buf[:min(n-off, int64(len(buf)))], off)
		if err != nil && err != io.EOF {
			return err
		}
		if got == 0 {
			break
		}
		if _, err := to.WriteAt(buf[:got], off); err != nil {
			return err
		}
		off += int64(got)
	}
	return nil
}

// detach closes the file, whose name is that of another one now, which is on the
// disk.
func (d *descriptor) detach() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirty.Store(false)
	d.loose.Store(false)
	if d.f == nil || !d.core.files.open.remove(d) {
		return
	}
	d.f.Close()
	d.f = nil
}
