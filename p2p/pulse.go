package p2p

import (
	"math/rand/v2"
	"sync"
	"time"
)

// pulse tells any number of waiters that something happened. A waiter takes
// the channel before it looks at the state, so that it misses nothing.
type pulse struct {
	mu sync.Mutex
	ch chan struct{}
}

// next is closed by the next beat.
func (p *pulse) next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ch == nil {
		p.ch = make(chan struct{})
	}
	return p.ch
}

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ch != nil {
		close(p.ch)
		p.ch = nil
	}
}

// beaten says whether a channel of next has been closed.
func beaten(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// backoff gives waits that double from min to max, each spread by a quarter so
// that peers do not move in step. The zero count gives min.
type backoff struct {
	min, max time.Duration
	n        uint
}

func (b *backoff) next() time.Duration {
	d := b.max
	if b.n < 32 && b.min<<b.n < b.max {
		d = b.min << b.n
		b.n++
	}
	return spread(d)
}

func (b *backoff) reset() { b.n = 0 }

// spread gives a random time between three and five quarters of d.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d*3/4 + rand.N(d/2+1)
}
