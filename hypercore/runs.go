package hypercore

import "math"

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

// HeldBlocks counts the blocks that are held.
func (c *Core) HeldBlocks() (n uint64) {
	for _, r := range c.Runs(0, math.MaxUint64) {
		n += r.To - r.From
	}
	return n
}
