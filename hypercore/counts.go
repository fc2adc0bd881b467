package hypercore

import (
	"sync/atomic"
	"time"
)

// Counts are what the cores of a Flusher did since it was made.
type Counts struct {
	AppendedBlocks, AppendedBytes uint64 // readable here; bytes as they are stored
	// Damaged are blocks and nodes that were stored here and did not verify, each
	// time that one was given up.
	Damaged uint64
}

type counters struct{ blocks, bytes, damaged atomic.Uint64 }

// Counts gives the counts. Each is right by itself.
func (f *Flusher) Counts() Counts {
	return Counts{f.counters.blocks.Load(), f.counters.bytes.Load(), f.counters.damaged.Load()}
}

// Round is one flush of all that had gathered.
type Round struct {
	Cores  int // that had something to flush
	Failed int // of them
	Took   time.Duration
}

// OnRound calls fn after each round, before the next one begins: it must not
// block. One fn at a time is called; nil: none.
func (f *Flusher) OnRound(fn func(Round)) {
	if fn == nil {
		f.rounds.Store(nil)
		return
	}
	f.rounds.Store(&fn)
}

// tell tells of a round that began at a time.
func (f *Flusher) tell(cores int, r *round, began time.Time) {
	if fn := f.rounds.Load(); fn != nil && cores+len(r.errs) > 0 {
		(*fn)(Round{Cores: max(cores, len(r.errs)), Failed: len(r.errs), Took: time.Since(began)})
	}
}
