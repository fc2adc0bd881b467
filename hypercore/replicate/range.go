package replicate

import (
	"context"
	"time"

	"multicore/hypercore"
)

var _ hypercore.RangeSource = (*source)(nil)

// FetchRange returns once the blocks [from, to) are stored; of those beyond the
// length, when the log has grown that far. Many requests are under way at a time,
// to all peers that have such blocks, the rarest first. It shares them with reads
// and other downloads; where ctx ends, what was asked for this alone is cancelled.
func (s *source) FetchRange(ctx context.Context, from, to uint64) error {
	if from >= to {
		return nil
	}
	if ctx.Err() != nil {
		return s.ended(ctx)
	}
	var wait *span
	err := ErrClosed
	s.swarm.do(func(m *machine, now time.Time) {
		switch {
		case len(s.core.attached) == 0 || s.swarm.closed:
		case s.core.broken != nil:
			err = s.core.broken
		default:
			wait = m.addSpan(s.core, from, to, now)
		}
	})
	if wait == nil {
		return err
	}
	select {
	case <-wait.done:
		return wait.err
	case <-ctx.Done():
		s.swarm.do(func(m *machine, now time.Time) { m.leaveSpan(s.core, wait, now) })
		return s.ended(ctx)
	}
}
