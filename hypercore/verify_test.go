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

// Repair of a core whose log was cut between the look and the repair begins
// anew: what is there now was never found damaged.
func TestRepairOfWhatWasCut(t *testing.T) {
	ctx := context.Background()
	c := own(t, newFlusher(t), 1)
	fill(t, c, 8)
	mustFlush(t, c)
	v, err := c.look()
	if err != nil {
		t.Fatal(err)
	}
	w := &verifier{ctx: ctx, core: c, cuts: c.cutsSoFar(), view: v, options: VerifyOptions{Repair: true},
		bad: []uint64{5}, found: Verification{Damaged: 1}}
	if err := c.Truncate(ctx, 2); err != nil {
		t.Fatal(err)
	}
	other := func(i uint64) []byte { return blockOf(i + 1) }
	for i := range uint64(6) {
		if _, err := c.Append(ctx, other(i+2)); err != nil {
			t.Fatal(err)
		}
	}
	mustFlush(t, c)
	if err := w.repair(); !errors.Is(err, errMoved) {
		t.Fatal(err)
	}
	checkLog(t, c, 8, func(i uint64) []byte {
		if i < 2 {
			return blockOf(i)
		}
		return other(i)
	})
}

// Repair gives up nothing that peers cannot have: appended blocks that were not
// signed yet, whatever node above them is damaged.
func TestRepairKeepsWhatPeersLack(t *testing.T) {
	for _, signed := range []uint64{0, 1, 5, 6} {
		const length = 8
		for index := range uint64(2*length - 1) {
			f := newFlusher(t)
			c := own(t, f, 1, held(signed))
			fill(t, c, length)
			mustFlush(t, c)
			n, ok, err := c.files.Node(index)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			n.Hash[7]++
			if err := c.files.WriteNodes([]merkle.Node{n}); err != nil {
				t.Fatal(err)
			}
			found, err := c.Verify(context.Background(), VerifyOptions{Repair: true})
			if err != nil || found.First == nil {
				t.Fatalf("node %d: %+v, %v", index, found, err)
			}
			for i := signed; i < length; i++ {
				if b, err := c.Block(i); err != nil || string(b) != string(blockOf(i)) {
					t.Fatalf("%d signed, node %d damaged: block %d: %q, %v", signed, index, i, b, err)
				}
			}
		}
	}
}

// Clearing goes on while a log is verified: it neither begins anew each time nor
// takes what was cleared for damage.
func TestVerifyWhileClearing(t *testing.T) {
	ctx := context.Background()
	c := own(t, newFlusher(t), 1)
	const length = 3000
	for i := range uint64(length) {
		if _, err := c.Append(ctx, blockOf(i)); err != nil {
			t.Fatal(err)
		}
	}
	mustFlush(t, c)
	calls, next := 0, uint64(0)
	found, err := c.Verify(ctx, VerifyOptions{Progress: func(Verification, uint64) {
		if calls++; calls > 10 {
			t.Fatal("it begins again and again")
		}
		if _, err := c.Clear(ctx, next, next+10); err != nil {
			t.Fatal(err)
		}
		next += 10
	}})
	if err != nil || found.Damaged > 0 || found.Blocks < length-100 || found.Blocks > length-10 {
		t.Fatalf("%+v, %v", found, err)
	}
}
