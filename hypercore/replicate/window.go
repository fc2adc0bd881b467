package replicate

import "time"

// delivery is what a peer was measured to deliver, in bytes as requests count them
// (request.cost), and the window that follows from it: what it delivers in
// windowTime and two times its latency. By Little's law, who answers sooner than
// that while the window is full gets a larger one, and who answers later a
// smaller one, so that a slow peer's queue of ours stays short: what waits there
// cannot come from elsewhere.
type delivery struct {
	window    int           // bytes under way at a time
	rate      float64       // bytes a second
	lag       time.Duration // of an answer, smoothed; 0: none came yet
	best      time.Duration // the shortest lately
	bestAt    time.Time
	delivered uint64 // bytes so far
	answers   uint64 // so far
}

// measured takes an answer to r.
func (p *delivery) measured(r *request, now time.Time) {
	age := max(now.Sub(r.left), time.Microsecond)
	p.answers++
	p.delivered += uint64(r.cost)
	if p.lag == 0 {
		p.lag = age
	}
	p.lag += (age - p.lag) / 8
	expired := now.Sub(p.bestAt) > bestFor
	if p.best == 0 || age < p.best || expired && r.alone {
		p.best, p.bestAt, expired = age, now, false
	}
	rate := float64(p.delivered-r.deliveredBefore) / age.Seconds()
	switch {
	case p.rate == 0:
		p.rate = rate
	case rate > p.rate:
		p.rate = min(rate, 2*p.rate)
	case r.crowded: // else it was we who asked for little
		p.rate += (rate - p.rate) / 8
	}
	if p.window = windowLeast; expired {
		return // until a request that waits behind few others of ours tells the latency
	}
	p.window = int(min(max(p.rate*(windowTime+2*p.best).Seconds(), windowLeast), windowBytes))
}

// shrink takes it that requests were not answered in their time.
func (p *delivery) shrink() {
	p.rate /= 2
	if p.rate > 0 {
		p.rate = max(p.rate, 1) // so that wait stays a time
	}
	p.window = max(p.window/2, windowLeast)
}

// wait is how long an answer to one more request will take, about.
func (p *peer) wait() time.Duration {
	if p.delivery.rate == 0 {
		return 0
	}
	return p.delivery.best + time.Duration(float64(p.inflightSize)/p.delivery.rate*float64(time.Second))
}

// room says whether one more request fits the window. A peer that let us down
// gets one at a time until it answers.
func (p *peer) room(read bool) bool {
	switch {
	case read:
		return p.inflight < windowRequests+windowReads
	case p.strikes > 0:
		return p.inflight == 0
	}
	return p.inflight < windowRequests && (p.inflightSize < p.delivery.window || p.inflight < 2)
}

// remaining is how long the answer to r will still take, about: of one that is
// overdue, as long as it took so far.
func (r *request) remaining(now time.Time) time.Duration {
	age := now.Sub(r.left)
	if lag := r.ch.peer.delivery.lag; age < lag {
		return lag - age
	}
	return age
}
