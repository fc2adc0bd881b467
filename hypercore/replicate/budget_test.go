package replicate

import (
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"multicore/hypercore"
)

// uplink is what all streams of a node share to send: a number of bytes a second.
type uplink struct {
	mu   sync.Mutex
	rate float64
	free time.Time // when the next byte can leave
}

// take waits until n bytes have left.
func (u *uplink) take(n int) {
	u.mu.Lock()
	if now := time.Now(); u.free.Before(now) {
		u.free = now
	}
	u.free = u.free.Add(time.Duration(float64(n) / u.rate * float64(time.Second)))
	at := u.free
	u.mu.Unlock()
	time.Sleep(time.Until(at))
}

// throttled is an end of a stream whose bytes leave over an uplink and arrive
// after a latency.
type throttled struct {
	out, in *flight
	up      *uplink
}

// flight is what is under way in one direction, at most 64 KiB of it.
type flight struct {
	latency time.Duration
	packets chan packet
	rest    []byte
	once    sync.Once
	closed  chan struct{}
}

type packet struct {
	at    time.Time
	bytes []byte
}

func throttledPair(a, b *uplink, latency time.Duration) (x, y *throttled) {
	one := &flight{latency: latency, packets: make(chan packet, 4), closed: make(chan struct{})}
	two := &flight{latency: latency, packets: make(chan packet, 4), closed: make(chan struct{})}
	return &throttled{one, two, a}, &throttled{two, one, b}
}

func (s *throttled) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		part := append([]byte(nil), p[n:min(len(p), n+16<<10)]...)
		s.up.take(len(part))
		select {
		case s.out.packets <- packet{time.Now().Add(s.out.latency), part}:
		case <-s.out.closed:
			return n, io.ErrClosedPipe
		}
		n += len(part)
	}
	return len(p), nil
}

func (s *throttled) Read(p []byte) (int, error) {
	for len(s.in.rest) == 0 {
		select {
		case k := <-s.in.packets:
			time.Sleep(time.Until(k.at))
			s.in.rest = k.bytes
		case <-s.in.closed:
			return 0, io.EOF
		}
	}
	n := copy(p, s.in.rest)
	s.in.rest = s.in.rest[n:]
	return n, nil
}

func (s *throttled) Close() error {
	for _, f := range []*flight{s.out, s.in} {
		f.once.Do(func() { close(f.closed) })
	}
	return nil
}

// One writer whose upload is limited, and eight readers who fetch a core that is
// there already: they take most from each other.
func TestSwarmSharesTheLoad(t *testing.T) {
	const (
		readers = 8
		rate    = 10e6
		fast    = 100e6
	)
	for _, load := range []struct{ count, size int }{{256, 64 << 10}, {5_000, 1 << 10}} {
		t.Run(fmt.Sprintf("%dx%d", load.count, load.size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNode(t, "writer")
				random := rand.NewChaCha8([32]byte{})
				blocks := make([][]byte, load.count)
				for i := range blocks {
					blocks[i] = make([]byte, load.size)
					random.Read(blocks[i])
				}
				core := w.own("core", blocks...)
				w.swarm.Attach(core, AttachOptions{})
				nodes, links := []*node{w}, []*uplink{{rate: rate}}
				var cores []*hypercore.Core
				start := time.Now()
				for i := range readers {
					r := newNode(t, fmt.Sprint("reader ", i))
					c, _ := r.replica(core.Key(), AttachOptions{Download: true})
					up := &uplink{rate: fast}
					for j, n := range nodes {
						x, y := throttledPair(links[j], up, time.Millisecond)
						connectOver(t, n, r, x, y)
					}
					nodes, links, cores = append(nodes, r), append(links, up), append(cores, c)
				}
				for i, c := range cores {
					until(t, c, "all blocks", func(n hypercore.Info) bool { return n.Length > 0 && n.Contiguous == n.Length })
					t.Logf("reader %d has all after %v", i, time.Since(start))
				}
				payload := float64(load.count * load.size)
				sent := 0.0
				for _, p := range w.swarm.Peers() {
					sent += float64(p.Sent)
				}
				took, once := time.Since(start).Seconds(), payload/rate
				t.Logf("writer sent %.2f x the payload, the last reader took %.2f x one copy", sent/payload, took/once)
				if sent > 2*payload || took > 3*once {
					t.Error("want at most 2 and 3")
				}
			})
		})
	}
}
