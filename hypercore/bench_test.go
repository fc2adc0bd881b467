package hypercore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The budgets are ratios to BenchmarkPlainWrites and BenchmarkPlainBatches: what
// the same bytes cost with nothing of ours in the way.

func benchFile(b *testing.B, name string) *os.File {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), name))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return f
}

func BenchmarkPlainWrites(b *testing.B) {
	for _, size := range []int{64, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			blocks, tree := benchFile(b, "blocks"), benchFile(b, "tree")
			block, nodes := make([]byte, size), make([]byte, 80)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i++ {
				if _, err := blocks.WriteAt(block, i*int64(size)); err != nil {
					b.Fatal(err)
				}
				if _, err := tree.WriteAt(nodes, i*80); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{64, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := own(b, flusherOf(b, diskStore(b)), 1)
			block := make([]byte, size)
			ctx := context.Background()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Append(ctx, block); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

const batchBlocks, batchBlock = 1024, 1024

func BenchmarkPlainBatches(b *testing.B) {
	blocks := benchFile(b, "blocks")
	batch := make([]byte, batchBlocks*batchBlock)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		if _, err := blocks.WriteAt(batch, i%256*int64(len(batch))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendBatches(b *testing.B) {
	c := own(b, flusherOf(b, diskStore(b)), 1)
	batch := make([][]byte, batchBlocks)
	for i := range batch {
		batch[i] = make([]byte, batchBlock)
	}
	b.SetBytes(batchBlocks * batchBlock)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Append(context.Background(), batch...); err != nil {
			b.Fatal(err)
		}
	}
}

// benchLog is a core of 1 KiB blocks on the disk.
func benchLog(b *testing.B, blocks uint64) *Core {
	b.Helper()
	c := own(b, flusherOf(b, diskStore(b)), 1)
	batch := make([][]byte, 4096)
	for i := range batch {
		batch[i] = make([]byte, 1024)
	}
	for c.Info().Length < blocks {
		if _, err := c.Append(context.Background(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	mustFlush(b, c)
	return c
}

func BenchmarkGet(b *testing.B) {
	const blocks = 1 << 17
	c := benchLog(b, blocks)
	b.Run("sequential", func(b *testing.B) {
		b.SetBytes(1024)
		b.ReportAllocs()
		for i := uint64(0); b.Loop(); i++ {
			if _, err := c.Get(context.Background(), i%blocks); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("random", func(b *testing.B) {
		b.SetBytes(1024)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Get(context.Background(), rand.Uint64N(blocks)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	c := benchLog(b, 1<<17)
	f := c.flusher
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c := own(b, f, 1)
		if _, err := c.Get(context.Background(), 77777); err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDurable is from one append to a signed head that peers may see. The
// ceiling is what the disk takes for one write to each of three files, the last
// of which is synced twice, as the database is.
func BenchmarkDurable(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		blocks, tree, db := benchFile(b, "blocks"), benchFile(b, "tree"), benchFile(b, "db")
		page := make([]byte, 4096)
		sync := func(f *os.File) {
			if err := unix.Fdatasync(int(f.Fd())); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := db.WriteAt(make([]byte, 1<<20), 0); err != nil {
			b.Fatal(err)
		}
		sync(db)
		var times []time.Duration
		for i := int64(0); b.Loop(); i++ {
			began := time.Now()
			for n, f := range []*os.File{blocks, tree, db, db} {
				b, at := page[:80], i*80
				if n > 1 {
					b, at = page, int64(n)*4096
				}
				f.WriteAt(b, at)
				sync(f)
			}
			times = append(times, time.Since(began))
		}
		reportTimes(b, times)
	})
	b.Run("flush", func(b *testing.B) {
		c := own(b, flusherOf(b, diskStore(b)), 1)
		ctx := context.Background()
		var times []time.Duration
		for b.Loop() {
			began := time.Now()
			if _, err := c.Append(ctx, make([]byte, 64)); err != nil {
				b.Fatal(err)
			}
			if err := c.Flush(ctx); err != nil {
				b.Fatal(err)
			}
			times = append(times, time.Since(began))
		}
		reportTimes(b, times)
	})
}

// reportTimes adds percentiles: the mean says little where others use the disk.
func reportTimes(b *testing.B, times []time.Duration) {
	slices.Sort(times)
	for _, p := range []int{10, 50} {
		b.ReportMetric(float64(times[len(times)*p/100].Microseconds()), fmt.Sprintf("p%d-µs", p))
	}
}
