package replicate

import (
	"time"

	"multicore/hypercore"
)

var _ hypercore.AheadSource = (*source)(nil)

// Ahead has peers asked for the blocks [from, to), which a reader will want next,
// before what is only downloaded. It does not wait for them. drop ends the
// interest; what is under way for it alone is cancelled.
func (s *source) Ahead(from, to uint64) (drop func()) {
	var x *span
	s.swarm.do(func(m *machine, now time.Time) {
		if c := s.core; len(c.attached) > 0 && !s.swarm.closed && c.broken == nil {
			x = m.addAhead(c, from, to, now)
		}
	})
	return func() {
		if x != nil {
			s.swarm.do(func(m *machine, now time.Time) { m.leaveAhead(s.core, x, now) })
		}
	}
}
