package hypercore

import (
	"context"
	"errors"
	"testing"

	"multicore/hypercore/merkle"
)

// Each damaged byte of the blocks, each lost node and each node that says
// something else is found, and no block is read as right that is not; a replica
// that gives up what is damaged can fetch it again and is right then.
func TestVerify(t *testing.T) {
	ctx := context.Background()
	source := own(t, newFlusher(t), 1)
	fill(t, source, 11)
	mustFlush(t, source)
	good, err := source.Verify(ctx, VerifyOptions{})
	if err != nil || good.First != nil || good.Blocks != 11 || good.Bytes != source.Info().ByteLength {
		t.Fatalf("%+v, %v", good, err)
	}
	holdings := [][]uint64{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {6}, {2, 3, 9}, nil}
	for _, held := range holdings {
		var damages []func(c *Core) bool // false: nothing was there to be damaged
		for off := range int64(good.Bytes) {
			damages = append(damages, func(c *Core) bool {
				i, _, _, err := merkle.Find(source.Head().Tree, source.files, uint64(off), 0)
				if err != nil || !c.Has(i.Index/2) {
					return false
				}
				b := make([]byte, 1)
				if _, err := c.files.ReadBlocks(b, off); err != nil {
					t.Fatal(err)
				}
				b[0]++
				return c.files.WriteBlocks(b, off) == nil
			})
		}
		for index := range uint64(21) {
			damages = append(damages, func(c *Core) bool {
				_, ok, _ := c.files.Node(index)
				return ok && c.needs(index) && c.files.EraseNodes([]uint64{index}) == nil
			}, func(c *Core) bool {
				n, ok, _ := c.files.Node(index)
				n.Hash[7]++
				return ok && c.files.WriteNodes([]merkle.Node{n}) == nil
			}, func(c *Core) bool {
				n, ok, _ := c.files.Node(index)
				n.Size++
				return ok && c.files.WriteNodes([]merkle.Node{n}) == nil
			})
		}
		for i, damage := range damages {
			c := replica(t, newFlusher(t), 1)
			transfer(t, source, c, held...)
			mustFlush(t, c)
			if found, err := c.Verify(ctx, VerifyOptions{}); err != nil || found.First != nil || found.Blocks != uint64(len(held)) {
				t.Fatalf("held %v: %+v, %v", held, found, err)
			}
			if !damage(c) {
				continue
			}
			found, err := c.Verify(ctx, VerifyOptions{Repair: true})
			if err != nil || found.First == nil || found.Damaged == 0 || !errors.Is(found.First, ErrDamaged) {
				t.Fatalf("held %v, damage %d: %+v, %v", held, i, found, err)
			}
			if found.First.File == "tree" && len(c.headRoots(found.First.Offset/treeNodeBytes)) > 0 {
				continue // a root: the head itself is to be learned again, which opening does
			}
			c.SetSource(&prover{from: source, to: c})
			for _, i := range held {
				if b, err := c.Get(ctx, i); err != nil || string(b) != string(blockOf(i)) {
					t.Fatalf("held %v, damage %d, repaired: block %d: %q, %v", held, i, i, b, err)
				}
			}
			if found, err := c.Verify(ctx, VerifyOptions{}); err != nil || found.First != nil || found.Blocks < uint64(len(held)) {
				t.Fatalf("held %v, damage %d, repaired: %+v, %v", held, i, found, err)
			}
		}
	}
}

// headRoots gives the root with that index, if it is one.
func (c *Core) headRoots(index uint64) (list []merkle.Node) {
	for _, r := range c.Head().Roots {
		if r.Index == index {
			list = append(list, r)
		}
	}
	return list
}

// needs says whether a held block has node index on its path, or beside it.
func (c *Core) needs(index uint64) bool {
	lo, hi := merkle.Span(index)
	if p := merkle.Parent(index); p < 2*c.Info().Length {
		lo, hi = merkle.Span(p)
	}
	i, ok := c.nextHeld(lo / 2)
	return ok && i <= hi/2 || len(c.headRoots(index)) > 0
}

// Verify ends with its context, tells how far it is, and says what signs no more.
func TestVerifyHead(t *testing.T) {
	c := own(t, newFlusher(t), 1)
	fill(t, c, 5)
	mustFlush(t, c)
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	if _, err := c.Verify(ctx, VerifyOptions{Progress: func(_ Verification, of uint64) {
		if calls++; of != 5 {
			t.Errorf("of %d blocks", of)
		}
	}}); err != nil || calls == 0 {
		t.Fatal(err, calls)
	}
	cancel()
	if _, err := c.Verify(ctx, VerifyOptions{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.signature[10]++
	c.mu.Unlock()
	found, err := c.Verify(context.Background(), VerifyOptions{})
	if err != nil || found.First == nil || found.First.File != "head record" {
		t.Fatalf("%+v, %v", found, err)
	}
}
