package multicore

import (
	"context"
	"errors"
	"math"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
	"multicore/hypercore/storage"
)

// kept is what of a core is not cache.
type kept struct {
	all     bool // but for what was cleared
	from    uint64
	cleared []replicate.Range
	index   bool // block 0 names other cores
	of      bool // from and cleared are of a record, which is true of one fork
	fork    uint64
}

// kept is what the list of the followed keeps, of all cores that it concerns.
func (c *Cache) kept() (map[hypercore.DiscoveryKey]kept, error) {
	out := make(map[hypercore.DiscoveryKey]kept)
	err := c.st.View(func(tx storage.Tx) error {
		clear(out)
		if err := tx.Bucket(learnedBucket).Scan(nil, func(k, v []byte) error {
			if len(k) == 32 && len(v) > 1 {
				out[hypercore.Key(k).Discovery()] = kept{from: math.MaxUint64, index: true}
			}
			return nil
		}); err != nil {
			return err
		}
		return scanFollowed(tx, func(f Followed) error {
			keys := []hypercore.Key{f.Key}
			if v := tx.Bucket(learnedBucket).Get(f.Key[:]); len(v)%32 == 1 {
				for v = v[1:]; len(v) > 0; v = v[32:] {
					keys = append(keys, hypercore.Key(v[:32]))
				}
			}
			for _, key := range keys {
				d := key.Discovery()
				p, found := readPresence(tx, f.Key, d)
				k, shared := out[d]
				if shared && (k.all || k.from != math.MaxUint64) {
					k.all, k.from, k.cleared, k.of = true, 0, nil, false // two keep it
				} else {
					k.all, k.from, k.cleared = f.Keep.All(), p.floor, p.cleared
					k.of, k.fork = found, p.fork
				}
				out[d] = k
			}
			return nil
		})
	})
	return out, err
}

// cached gives the ranges of a log of some length that are cache, in order.
func (k kept) cached(length uint64) []replicate.Range {
	floor := length
	if k.all {
		floor = 0
	} else if k.from < length {
		floor = k.from
	}
	var out []replicate.Range
	if floor > 0 {
		out = append(out, replicate.Range{To: floor})
	}
	for _, r := range k.cleared {
		if r.From, r.To = max(r.From, floor), min(r.To, length); r.From < r.To {
			out = append(out, r)
		}
	}
	if k.index && len(out) > 0 {
		out[0].From = max(out[0].From, 1)
	}
	return out
}

// survey lists what is cache of all cores.
func (c *Cache) survey(ctx context.Context) (list []stretch, err error) {
	keeps, err := c.kept()
	if err != nil {
		return nil, err
	}
	cores, err := c.st.Replicas()
	if err != nil {
		return nil, err
	}
	for _, d := range cores {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		k, known := keeps[d]
		if !known {
			k.from = math.MaxUint64
		}
		if k.all && len(k.cleared) == 0 {
			continue
		}
		core, err := c.st.OpenDiscovery(d)
		switch {
		case errors.Is(err, corestore.ErrClosed):
			return nil, err
		case err != nil:
			continue // it is damaged, and verify says so
		}
		if !core.Writable() {
			info := core.Info()
			if k.of && k.fork != info.Fork { // other blocks were meant
				k.from, k.cleared = 0, nil
			}
			list = c.stretches(list, core.Core, k.cached(info.Length))
		}
		core.Close()
	}
	return list, nil
}

// stretches adds those of a core, as far as they lie in ranges and something of
// them is held.
func (c *Cache) stretches(list []stretch, core *hypercore.Core, ranges []replicate.Range) []stretch {
	d := core.DiscoveryKey()
	info := core.Info()
	average := max(1, info.ByteLength/max(1, info.Length))
	size := min(max(1, c.bytes/average), maxStretch)
	read := map[uint64]uint64{}
	c.mu.Lock()
	if r := c.cores[d]; r != nil {
		size = r.blocks
		for s, at := range r.read {
			read[s] = at
		}
	}
	c.mu.Unlock()
	for _, r := range ranges {
		for _, run := range core.Runs(r.From, r.To) {
			for from := run.From; from < run.To; {
				s := from / size
				to := min(run.To, (s+1)*size)
				bytes := span(core, from, to)
				if n := len(list); n > 0 && list[n-1].core == d && list[n-1].from >= r.From && list[n-1].from/size == s {
					list[n-1].to = to
					list[n-1].bytes += bytes
				} else {
					list = append(list, stretch{core: d, from: from, to: to, bytes: bytes, read: read[s]})
				}
				from = to
			}
		}
	}
	return list
}

// span is the bytes of held blocks [from, to).
func span(core *hypercore.Core, from, to uint64) uint64 {
	start, _, err := core.LocalExtent(from)
	if err != nil {
		return 0 // it was truncated meanwhile
	}
	last, size, err := core.LocalExtent(to - 1)
	if err != nil {
		return 0
	}
	return last + size - min(start, last+size)
}
