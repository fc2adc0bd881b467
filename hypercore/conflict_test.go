package hypercore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// twin is a log of the same key that shares the first blocks with the others.
func twin(t testing.TB, shared, length uint64) *Core {
	t.Helper()
	c := own(t, newFlusher(t), 1)
	refill(t, c, length, func(i uint64) []byte {
		if i < shared {
			return blockOf(i)
		}
		return late(i + 1)
	})
	mustFlush(t, c)
	return c
}

func headProof(t testing.TB, c *Core, length uint64) *merkle.Proof {
	t.Helper()
	p, err := c.Prove(merkle.Request{Fork: c.Head().Fork, Upgrade: &merkle.UpgradeRequest{Length: length}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestConflict: two logs of each length and common beginning are in conflict
// where they differ within both, and only there.
func TestConflict(t *testing.T) {
	const most = 7
	for shared := range uint64(most + 1) {
		for a := max(shared, 1); a <= most; a++ {
			for b := max(shared, 1); b <= most; b++ {
				ours := own(t, newFlusher(t), 1)
				fill(t, ours, a)
				mustFlush(t, ours)
				theirs := twin(t, shared, b)
				want := shared < min(a, b)
				err := ours.CheckConflict(headProof(t, theirs, min(a, b)))
				if errors.Is(err, ErrConflict) != want || !want && err != nil || ours.Info().Conflict != want {
					t.Fatalf("%d shared of %d and %d: %v", shared, a, b, err)
				}
			}
		}
	}
}

// TestFrozen: a frozen core is read, and nothing else, also after it was opened
// anew; the evidence verifies.
func TestFrozen(t *testing.T) {
	stores(t, func(t *testing.T, f *Flusher) {
		ctx := context.Background()
		c := own(t, f, 1)
		fill(t, c, 5)
		mustFlush(t, c)
		var events []Event
		c.Subscribe(func(e Event) { events = append(events, e) })
		other := twin(t, 3, 9)
		if err := c.CheckConflict(headProof(t, other, 5)); !errors.Is(err, ErrConflict) {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(events), fmt.Sprint([]Event{{Conflicted, 9, 5}}); got != want {
			t.Fatalf("events %s, want %s", got, want)
		}
		for range 2 {
			if !c.Info().Conflict {
				t.Fatal("not frozen")
			}
			checkLog(t, c, 5, blockOf)
			f := c.Conflict()
			for _, h := range []SignedHead{f.Ours, f.Theirs} {
				if h.Length == 0 || len(h.Signature) == 0 {
					t.Fatalf("%+v", h)
				}
			}
			if f.Ours.Hash != c.Head().Hash() || f.Theirs.Hash != other.Head().Hash() ||
				!slices.Equal(f.Theirs.Signature, other.Head().Signature) || f.Theirs.Length != 9 || f.Found.IsZero() {
				t.Fatalf("%+v", f)
			}
			refused := map[string]error{
				"truncate":  c.Truncate(ctx, 2),
				"update":    c.Update(ctx),
				"the proof": c.CheckConflict(headProof(t, other, 5)),
				"upgrade":   upgrade(twin(t, 5, 8), c),
			}
			_, refused["append"] = c.Append(ctx, []byte("x"))
			refused["append to all"] = AppendAll(ctx, []Batch{{Core: c, Blocks: [][]byte{{1}}}})
			for name, err := range refused {
				if !errors.Is(err, ErrConflict) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			c = own(t, c.flusher, 1)
		}
	})
}

// TestFrozenSignsNothing: what was appended and not yet signed when the conflict
// showed stays here, readable and unsigned.
func TestFrozenSignsNothing(t *testing.T) {
	f := newFlusher(t)
	c := own(t, f, 1, held(3))
	fill(t, c, 5)
	mustFlush(t, c)
	if err := c.CheckConflict(headProof(t, twin(t, 1, 3), 3)); !errors.Is(err, ErrConflict) {
		t.Fatal(err)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, c)
	for range 2 {
		if h := c.Head(); h.Length != 3 || c.Info().Length != 5 {
			t.Fatalf("head %d of %d", h.Length, c.Info().Length)
		}
		checkLog(t, c, 5, blockOf)
		c.Close()
		c = own(t, f, 1)
	}
}

// TestNoConflict: nothing but two valid signatures freezes a core.
func TestNoConflict(t *testing.T) {
	f := newFlusher(t)
	c := replica(t, f, 1)
	source := own(t, newFlusher(t), 1)
	fill(t, source, 6)
	mustFlush(t, source)
	other := twin(t, 2, 6)
	if err := c.CheckConflict(headProof(t, other, 6)); !errors.Is(err, ErrStale) {
		t.Errorf("nothing of our own: %v", err)
	}
	transfer(t, source, c)

	good := headProof(t, other, 6)
	for i := range good.Upgrade.Nodes {
		p := headProof(t, other, 6)
		p.Upgrade.Nodes[i].Hash[3] ^= 1
		if err := c.CheckConflict(p); !errors.Is(err, ErrBadProof) {
			t.Errorf("node %d forged: %v", i, err)
		}
		p = headProof(t, source, 6)
		p.Upgrade.Nodes[i].Size++
		if err := c.CheckConflict(p); !errors.Is(err, ErrBadProof) {
			t.Errorf("size %d forged: %v", i, err)
		}
	}
	p := headProof(t, other, 6)
	p.Upgrade.Signature = source.Head().Signature
	if err := c.CheckConflict(p); !errors.Is(err, ErrBadProof) {
		t.Errorf("the signature of our own log: %v", err)
	}
	cut, _ := truncatedLog(t, 6, 2, 6, false)
	if err := c.CheckConflict(headProof(t, cut, 6)); !errors.Is(err, ErrStale) {
		t.Errorf("another fork: %v", err)
	}
	p = headProof(t, source, 4)
	p.Upgrade.Nodes[0].Size, p.Upgrade.Additional[0].Size = p.Upgrade.Nodes[0].Size+1, p.Upgrade.Additional[0].Size-1
	if err := c.CheckConflict(p); err != nil && !errors.Is(err, ErrBadProof) {
		t.Errorf("sizes shared otherwise: %v", err)
	}
	if c.Info().Conflict {
		t.Fatal("frozen")
	}
	checkLog(t, source, 6, blockOf)
}

// TestDamageIsNoConflict: nodes of our own that rotted do not freeze a core.
func TestDamageIsNoConflict(t *testing.T) {
	fsys := storage.MemoryFS()
	st := storage.MemoryOn(fsys)
	c := own(t, flusherOf(t, st), 1)
	fill(t, c, 7)
	mustFlush(t, c)
	files := st.Files(storage.ID(c.id))
	for _, index := range merkle.Chunks(0, 6) {
		n, _, err := files.Node(index)
		if err != nil {
			t.Fatal(err)
		}
		bad := n
		bad.Hash[0] ^= 1
		if err := files.WriteNodes([]merkle.Node{bad}); err != nil {
			t.Fatal(err)
		}
		if err := c.CheckConflict(headProof(t, twin(t, 6, 6), 6)); errors.Is(err, ErrConflict) || c.Info().Conflict {
			t.Fatalf("node %d: %v", index, err)
		}
		if err := files.WriteNodes([]merkle.Node{n}); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzConflictRecord(f *testing.F) {
	example := Conflict{Fork: 3, Ours: SignedHead{Length: 5, ByteLength: 6, Hash: merkle.Hash{1}, Signature: []byte("ours")},
		Theirs: SignedHead{Length: 7, Signature: []byte{}}}
	b := example.append(nil)
	f.Add(b[:len(b)-4])
	f.Fuzz(func(t *testing.T, b []byte) {
		parseConflict(b)
		r, err := parseConflict(appendSum(slices.Clone(b), 0))
		if err != nil {
			return
		}
		again, err := parseConflict(r.append(nil))
		if err != nil || !slices.Equal(r.append(nil), again.append(nil)) {
			t.Fatalf("%+v, %v, want %+v", again, err, r)
		}
	})
}
