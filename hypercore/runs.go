package hypercore

// Runs gives the held blocks of [from, to) as stretches, in order.
func (c *Core) Runs(from, to uint64) (list []Run) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, r := range c.bits.runs(from, min(to, c.tree.Length)) {
		list = append(list, Run{r.from, r.to})
	}
	return list
}

// Run is the blocks [From, To).
type Run struct{ From, To uint64 }

// Lacking gives the stretches of [from, to) that are not held, in order and at
// most so many, and how many blocks are not held in all of it. It takes time for
// what is held, however long the log.
func (c *Core) Lacking(from, to uint64, most int) (list []Run, blocks uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	to = min(to, c.tree.Length)
	if from >= to {
		return nil, 0
	}
	for at := c.bits.nextClear(from); at < to && len(list) < most; {
		end, ok := c.bits.next(at)
		if !ok || end > to {
			end = to
		}
		list = append(list, Run{at, end})
		at = c.bits.nextClear(end)
	}
	return list, to - from - c.bits.count(from, to)
}

// HeldBlocks counts the blocks that are held.
func (c *Core) HeldBlocks() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.bits.count(0, c.tree.Length)
}
