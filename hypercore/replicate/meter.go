package replicate

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Meter counts the bytes of one stream and keeps them to the limits of its
// swarm. Serve puts one around a stream that comes without. A stream that
// gathers a frame before it passes any of it on, as an encrypted one does,
// needs one below it, Over what carries its bytes: else a large frame would be
// silence first and a burst then. Safe for concurrent use.
type Meter struct {
	up, down *rate.Limiter // of the swarm; nil: no limit
	ctx      context.Context
	cancel   context.CancelFunc

	sent, received atomic.Uint64
	held           atomic.Bool // the download limit held back what had come
}

// NewMeter gives a Meter for one stream, for Conn.Meter.
func (s *Swarm) NewMeter() *Meter {
	m := &Meter{up: s.up, down: s.down}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Close ends Reads and Writes that wait for their turn, now and later. Serve
// does so at its end.
func (m *Meter) Close() { m.cancel() }

// Over gives rw, counted and limited. A Read gives no more than a small part of
// a second's worth at a time, and a Write passes on as much, each after those
// of other streams that wait already; so streams share a limit evenly, whatever
// the size of what they carry.
func (m *Meter) Over(rw io.ReadWriter) io.ReadWriter { return metered{m, rw} }

type metered struct {
	*Meter
	rw io.ReadWriter
}

func (m metered) Read(p []byte) (int, error) {
	if m.down == nil {
		n, err := m.rw.Read(p)
		m.received.Add(uint64(n))
		return n, err
	}
	// Paid for afterwards, as nobody knows when how much will come.
	if most := slice(m.down); len(p) > most {
		p = p[:most]
	}
	n, err := m.rw.Read(p)
	m.received.Add(uint64(n))
	if n == 0 || m.down.AllowN(time.Now(), n) {
		return n, err
	}
	if n == len(p) {
		m.held.Store(true) // more may be there
	}
	if late := m.down.WaitN(m.ctx, n); late != nil {
		return 0, late
	}
	return n, err
}

func (m metered) Write(p []byte) (n int, err error) {
	if m.up == nil {
		n, err = m.rw.Write(p)
		m.sent.Add(uint64(n))
		return n, err
	}
	for most := slice(m.up); n < len(p) && err == nil; {
		part := p[n:min(len(p), n+most)]
		if err = m.up.WaitN(m.ctx, len(part)); err != nil {
			break
		}
		var k int
		k, err = m.rw.Write(part)
		m.sent.Add(uint64(k))
		n += k
	}
	return n, err
}

// pace is how fast bytes pass, lately.
type pace struct {
	at             time.Time
	sent, received uint64
	up, down       float64 // bytes a second
}

// look takes the counts of now; what was before weighs less with each look.
func (p *pace) look(m *Meter, now time.Time) {
	sent, received, d := m.sent.Load(), m.received.Load(), now.Sub(p.at).Seconds()
	if d <= 0 {
		return
	}
	const weight = 0.4 // of the newest
	p.up += weight * (float64(sent-p.sent)/d - p.up)
	p.down += weight * (float64(received-p.received)/d - p.down)
	p.at, p.sent, p.received = now, sent, received
}

// A limit is kept over each sixteenth of a second, and given out in slices of a
// quarter of that: so a timer that fires late loses nothing, and hundreds of
// streams have their turn within seconds.
const (
	limitBurst = 16
	limitSlice = 4
	sliceMost  = 64 << 10
)

// newLimiter gives a limit in bytes a second; nil for none.
func newLimiter(limit int64) *rate.Limiter {
	if limit <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(limit), int(max(limit/limitBurst, 1)))
}

// slice is how many bytes take a turn.
func slice(l *rate.Limiter) int { return min(max(l.Burst()/limitSlice, 1), sliceMost) }

// batchOf is how many bytes of messages share a frame towards peers: less than
// flushAt where these would keep the ones behind them waiting for long.
func batchOf(up *rate.Limiter) int {
	if up == nil {
		return flushAt
	}
	return min(max(4*up.Burst(), 4<<10), flushAt)
}
