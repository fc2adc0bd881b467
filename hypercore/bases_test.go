package hypercore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// What is remembered of stretches gives the offsets that the tree gives, for each
// length, and also after the log was cut and went on with other sizes.
func TestOffsetsByStretches(t *testing.T) {
	c := own(t, flusherOf(t, storage.Memory()), 1)
	r := rand.New(rand.NewPCG(1, 1))
	check := func() {
		t.Helper()
		v, err := c.look()
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			i := r.Uint64N(v.tree.Length)
			for range 2 { // the second time from memory
				if _, err := c.Block(i); err != nil {
					t.Fatal(err)
				}
				c.cursor.put(v.era, 0, 0)
			}
			want, err := merkle.ByteOffset(v.tree, c.files, 2*i)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := c.bases.get(v.era, i); !ok {
				t.Fatalf("of the stretch of block %d of %d nothing is remembered", i, v.tree.Length)
			}
			if got, err := c.offset(v, i); err != nil || got != want {
				t.Fatalf("block %d of %d begins at %d (%v), want %d", i, v.tree.Length, got, err, want)
			}
		}
	}
	grow := func(n int) {
		blocks := make([][]byte, n)
		for i := range blocks {
			blocks[i] = fmt.Appendf(nil, "%*d", 1+r.IntN(20), i)
		}
		if _, err := c.Append(context.Background(), blocks...); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		for range 60 {
			grow(1 + r.IntN(20))
			check()
		}
		if err := c.Truncate(context.Background(), c.Info().Length/2); err != nil {
			t.Fatal(err)
		}
		check()
	}
}
