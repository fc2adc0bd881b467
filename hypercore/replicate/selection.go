package replicate

import (
	"cmp"
	"math"
	"slices"

	"multicore/hypercore"
)

// Range is the blocks [From, To).
type Range struct{ From, To uint64 }

// Selection is what of a log a download is about. What it leaves out is fetched
// only for somebody who reads it. The zero value is all.
type Selection struct {
	// Newest is how many blocks before the end are downloaded, at whatever
	// length; 0: all. None downloads nothing.
	Newest uint64
	// Except are blocks that are not.
	Except []Range
}

// None as Selection.Newest is no block at all.
const None = math.MaxUint64

// selection is a Selection in the form that the machine asks.
type selection struct {
	newest uint64   // 0: none
	except []extent // sorted, apart from each other
}

// compile gives nil for all.
func (s Selection) compile() *selection {
	l := &selection{newest: s.Newest}
	switch s.Newest {
	case 0:
		l.newest = math.MaxUint64
	case None:
		l.newest = 0
	}
	for _, r := range s.Except {
		if r.From < r.To {
			l.except = append(l.except, extent{r.From, r.To})
		}
	}
	slices.SortFunc(l.except, func(a, b extent) int { return cmp.Compare(a.from, b.from) })
	keep := l.except[:0]
	for _, e := range l.except {
		if n := len(keep); n > 0 && e.from <= keep[n-1].to {
			keep[n-1].to = max(keep[n-1].to, e.to)
			continue
		}
		keep = append(keep, e)
	}
	l.except = keep
	if s.Newest == 0 && len(keep) == 0 {
		return nil
	}
	return l
}

// floor is the first of the newest blocks of a log.
func (l *selection) floor(length uint64) uint64 { return length - min(l.newest, length) }

// behind gives the place of the first exception that ends behind block i.
func (l *selection) behind(i uint64) int {
	at, _ := slices.BinarySearchFunc(l.except, i, func(e extent, i uint64) int {
		if e.to <= i {
			return -1
		}
		return 1
	})
	return at
}

// word gives the bits of the 32 blocks from at on that are selected.
func (l *selection) word(at, length uint64) uint32 {
	w := ^uint32(0)
	if floor := l.floor(length); floor >= at+32 {
		return 0
	} else if floor > at {
		w <<= floor - at
	}
	for k := l.behind(at); k < len(l.except) && l.except[k].from < at+32; k++ {
		mask, _ := wordMask(max(l.except[k].from, at), min(l.except[k].to, at+32))
		w &^= mask
	}
	return w
}

// next gives the first block from i on that is selected.
func (l *selection) next(i, length uint64) uint64 {
	i = max(i, l.floor(length))
	for k := l.behind(i); k < len(l.except) && l.except[k].from <= i; k++ {
		i = l.except[k].to
	}
	return i
}

// limit says whether the core is downloaded, and of the selections of those who
// download it; nil where one of them wants all.
func (c *core) limit() (whole bool, limits []*selection) {
	all := false
	for _, a := range c.attached {
		if a.download {
			whole = true
			all = all || a.limit == nil
			limits = append(limits, a.limit)
		}
	}
	if all {
		return whole, nil
	}
	return whole, limits
}

// HeldByPeers says whether each of the blocks [from, to) is held by some
// connected peer, as far as the peers have told: of what nobody asked them they
// may be silent.
func (s *Swarm) HeldByPeers(d hypercore.DiscoveryKey, from, to uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.machine.cores[d]
	if c == nil || from >= to {
		return c != nil
	}
	var prefix uint64
	for _, ch := range c.channels {
		if ch.them.synced && ch.them.fork == c.fork {
			prefix = max(prefix, ch.blocks.prefix)
		}
	}
	for at := max(from, prefix); at < to; at = at&^31 + 32 {
		mask, _ := wordMask(at, to)
		for _, ch := range c.channels {
			if ch.them.synced && ch.them.fork == c.fork {
				mask &^= ch.blocks.word(at &^ 31)
			}
		}
		if mask != 0 {
			return false
		}
	}
	return true
}
