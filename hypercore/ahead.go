package hypercore

import (
	"context"
	"sync"
)

// AheadSource is a Source that can fetch what nobody waits for yet.
type AheadSource interface {
	Source
	// Ahead asks for the blocks [from, to) and returns at once. Those that did
	// not come when drop is called are not wanted any more. Safe for concurrent
	// use, drop too.
	Ahead(from, to uint64) (drop func())
}

const (
	aheadFirst   = 64 << 10 // bytes that are asked for ahead of a reader at first
	aheadMost    = 4 << 20  // and after some time
	aheadReaders = 4        // sequential readers of a core that are told apart
)

// ahead finds out who reads a core block after block, and asks for the blocks
// that come next: few at first, twice as many each time that the reader has come
// half way, up to aheadMost bytes. There may be several such readers at a time. A
// read elsewhere ends those that have not gone on since the one before it, and
// the oldest where there are too many.
type ahead struct {
	mu      sync.Mutex
	readers []*sequence // the latest first
}

// sequence is one sequential reader.
type sequence struct {
	next  uint64 // the block that it reads next
	asked uint64 // blocks before it were asked for
	bytes uint64 // to be asked for ahead
	went  bool   // on, since the last read elsewhere
	drop  []asking
}

// asking is a stretch asked for, until end.
type asking struct {
	end  uint64
	drop func()
}

// read notes that the blocks [first, last] are read, and fetches ahead.
func (a *ahead) read(ctx context.Context, c *Core, first, last uint64) {
	s, ok := c.Source().(AheadSource)
	if !ok || ctx.Err() != nil {
		return
	}
	info := c.Info()
	if info.Contiguous >= info.Length {
		return
	}
	a.follow(s, info, first, last)
}

func (a *ahead) follow(s AheadSource, info Info, first, last uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, q := range a.readers {
		if q.next == first || q.next == first+1 { // the last block again, or the rest of it
			copy(a.readers[1:i+1], a.readers[:i])
			a.readers[0] = q
			q.goOn(s, last+1, info)
			return
		}
	}
	keep := a.readers[:0]
	for _, q := range a.readers {
		if (q.went || len(q.drop) == 0) && len(keep) < aheadReaders-1 {
			q.went = false
			keep = append(keep, q)
		} else {
			q.end()
		}
	}
	clear(a.readers[len(keep):])
	a.readers = append([]*sequence{{next: last + 1, asked: last + 1, bytes: aheadFirst}}, keep...)
}

// goOn follows a reader that has come to block next.
func (q *sequence) goOn(s AheadSource, next uint64, info Info) {
	if q.next == next {
		return
	}
	q.next, q.went = next, true
	for len(q.drop) > 0 && q.drop[0].end <= next {
		q.drop = q.drop[1:]
	}
	average := max(info.ByteLength/max(info.Length, 1), 1)
	span := max(q.bytes/average, 1)
	q.asked = max(q.asked, next)
	if q.asked-next > span/2 || q.asked >= info.Length {
		return
	}
	q.bytes = min(2*q.bytes, aheadMost)
	to := min(next+max(q.bytes/average, 1), info.Length)
	if to > q.asked {
		q.drop = append(q.drop, asking{to, s.Ahead(q.asked, to)})
		q.asked = to
	}
}

// end drops what was asked for a reader that is gone.
func (q *sequence) end() {
	for _, d := range q.drop {
		d.drop()
	}
}
