package storage

import "errors"

// Pages is the file of blocks, to be read by a system call of somebody else's.
type Pages struct {
	Fd   uintptr
	Size int64 // in bytes

	core *core
}

// filed is a File with a descriptor of the operating system.
type filed interface{ Fd() uintptr }

func (c *core) Pages() (Pages, error) {
	c.pages.RLock()
	f, err := c.blocks.acquire(false)
	if err != nil {
		c.pages.RUnlock()
		return Pages{}, err
	}
	p := Pages{core: c}
	if file, ok := f.(filed); ok {
		p.Fd = file.Fd()
		p.Size, err = f.Size()
	} else {
		err = errors.ErrUnsupported
	}
	if err != nil {
		p.Release()
		return Pages{}, err
	}
	return p, nil
}

// Release ends the use. Once.
func (p Pages) Release() {
	p.core.blocks.release()
	p.core.pages.RUnlock()
}
