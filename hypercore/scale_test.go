package hypercore

import (
	"context"
	testflag "flag"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// scaleTo is 7 in the long run:
//
//	go test ./hypercore -run '^$' -bench Scale -benchtime 1x -timeout 0 -scale 7
var scaleTo = testflag.Int("scale", 5, "power of ten of the longest core of BenchmarkScale")

// scaleBlocks is how many blocks each figure is taken from.
const scaleBlocks = 2000

// grown makes a core longer, with small blocks.
func grown(tb testing.TB, c *Core, to uint64) {
	tb.Helper()
	batch := make([][]byte, 8192)
	for i := range batch {
		batch[i] = []byte("a block of 32 bytes, no more..\r\n")
	}
	for n := c.Info().Length; n < to; n = c.Info().Length {
		if _, err := c.Append(context.Background(), batch[:min(to-n, uint64(len(batch)))]...); err != nil {
			tb.Fatal(err)
		}
	}
	mustFlush(tb, c)
}

// useScaled opens a core, appends and reads, and calls done with the name of what
// it did and how often.
func useScaled(tb testing.TB, f *Flusher, done func(what string, count int)) {
	tb.Helper()
	ctx := context.Background()
	c := own(tb, f, 1)
	done("open", 1)
	length := c.Info().Length
	block := make([]byte, 32)
	for range scaleBlocks {
		if _, err := c.Append(ctx, block); err != nil {
			tb.Fatal(err)
		}
	}
	mustFlush(tb, c)
	done("append", scaleBlocks)
	from := length / 3
	for i := range uint64(scaleBlocks / 4) {
		if _, err := c.Get(ctx, from+i); err != nil {
			tb.Fatal(err)
		}
	}
	done("read", scaleBlocks/4)
	r := rand.New(rand.NewPCG(length, 1))
	for range scaleBlocks / 4 {
		if _, err := c.Get(ctx, r.Uint64N(length)); err != nil {
			tb.Fatal(err)
		}
	}
	done("random", scaleBlocks/4)
	if err := c.Close(); err != nil {
		tb.Fatal(err)
	}
}

// TestCostStays: what is asked of the files for one open, append or read of a
// block does not grow with the length but by its logarithm.
func TestCostStays(t *testing.T) {
	costs := func(blocks uint64) map[string]float64 {
		var calls atomic.Int64
		fsys := &storagetest.Faults{FS: storage.MemoryFS()}
		f := flusherOf(t, storage.MemoryOn(fsys))
		c := own(t, f, 1)
		grown(t, c, blocks)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		fsys.Hook(func(storagetest.Op, string) error { calls.Add(1); return nil })
		per := make(map[string]float64)
		useScaled(t, f, func(what string, count int) {
			per[what] = float64(calls.Swap(0)) / float64(count)
		})
		return per
	}
	small, large := costs(1000), costs(100_000)
	t.Logf("calls for each: %v with 1,000 blocks, %v with 100,000", small, large)
	levels := math.Log2(100) // that the tree is higher
	for what, most := range map[string]float64{
		"open":   small["open"] + 2*levels,
		"append": small["append"] + 0.1,
		"read":   small["read"] + 0.1,
		"random": small["random"] + levels,
	} {
		if large[what] > most {
			t.Errorf("%s: %.3f calls, want at most %.3f", what, large[what], most)
		}
	}
}

// BenchmarkScale is the cost of a block in cores of ever more blocks.
func BenchmarkScale(b *testing.B) {
	for n := 3; n <= *scaleTo; n++ {
		b.Run(fmt.Sprintf("1e%d", n), func(b *testing.B) {
			f := flusherOf(b, diskStore(b))
			c := own(b, f, 1)
			grown(b, c, uint64(math.Pow10(n)))
			if err := c.Close(); err != nil {
				b.Fatal(err)
			}
			best := make(map[string]time.Duration) // of several runs: others use the machine too
			for b.Loop() {
				for range 7 {
					last := time.Now()
					useScaled(b, f, func(what string, count int) {
						took := time.Since(last) / time.Duration(count)
						if was, ok := best[what]; !ok || took < was {
							best[what] = took
						}
						last = time.Now()
					})
				}
			}
			for what, took := range best {
				b.ReportMetric(float64(took.Nanoseconds()), "ns/"+what)
			}
		})
	}
}
