package hypercore

// OnRead calls fn with blocks [from, to) that were read, on the goroutine of who
// read them. It must not block. One fn at a time is called; nil: none.
func (c *Core) OnRead(fn func(from, to uint64)) {
	if fn == nil {
		c.reads.Store(nil)
		return
	}
	c.reads.Store(&fn)
}

// tellRead tells of the blocks that hold the bytes [off, off+n), n > 0.
func (c *Core) tellRead(v view, off, n uint64) {
	fn := c.reads.Load()
	if fn == nil {
		return
	}
	first, _, found, err := c.seek(v, off)
	if err != nil || !found {
		return // it changed meanwhile; nobody needs to know exactly
	}
	last, _, found, err := c.seek(v, off+n-1)
	if err == nil && found {
		(*fn)(first, last+1)
	}
}
