package replicate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// Where readers can exchange what they have, a writer whose upload is limited
// sends its log at most twice, however many they are.
func TestSimulationUpload(t *testing.T) {
	for _, c := range []struct {
		readers, blocks int
		long            bool
	}{{8, 512, false}, {8, 1024, true}, {20, 1024, true}} {
		t.Run(fmt.Sprintf("%d readers of %d blocks", c.readers, c.blocks), func(t *testing.T) {
			if testing.Short() {
				t.Skip("takes seconds")
			}
			if c.long && *simSeeds <= 20 {
				t.Skip("in the long run only: with -sim.seeds of more than 20")
			}
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { shareLimited(t, c.readers, c.blocks) })
		})
	}
}

func shareLimited(t *testing.T, readers, blocks int) {
	const size, rate = 16 << 10, 2_000_000
	s := &sim{t: t, seed: uint64(readers), rand: rand.New(rand.NewPCG(uint64(readers), 6))}
	s.plan = simPlan{hosts: readers + 1, logs: 1}
	s.blocks = 0
	s.build()
	for _, h := range s.hosts {
		h.kind, h.lag, h.rate = simFull, 0, 100*rate
	}
	w := s.hosts[0]
	w.rate = rate
	l := s.logs[0]
	for len(l.blocks()) < blocks {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(s.rand.Uint32())
		}
		l.append(w.cores[0], b)
	}
	for i, a := range s.hosts {
		a.final()
		for _, b := range s.hosts[:i] {
			s.link(a, b)
		}
	}
	for _, k := range s.links {
		k.latency, k.jitter = 5*time.Millisecond, 0
		k.dial(0)
	}
	s.over = true
	began := s.at
	s.rest("the start")
	if s.wrong == nil {
		s.verify()
	}
	payload := uint64(0)
	for _, b := range l.blocks() {
		payload += uint64(len(b))
	}
	once := time.Duration(payload) * time.Second / rate
	t.Logf("%d readers: the writer sent %.2f x the payload, the last was done within %.2f x the time of one copy",
		readers, float64(w.upload)/float64(payload), float64(s.at-began)/float64(once))
	if most := 2*payload + uint64(readers)*(16<<10); w.upload > most {
		s.violate("the writer sent %d bytes of %d, at most %d", w.upload, payload, most)
	}
	s.end()
	if s.wrong != nil {
		t.Error(s.wrong)
	}
}
