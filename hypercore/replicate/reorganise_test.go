package replicate

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// anew makes blocks that differ from numbered ones.
func anew(from, to int) (blocks [][]byte) {
	for i := from; i < to; i++ {
		blocks = append(blocks, fmt.Appendf(nil, "anew %d", i))
	}
	return blocks
}

func truncate(t testing.TB, c *hypercore.Core, length uint64) {
	t.Helper()
	if err := c.Truncate(t.Context(), length); err != nil {
		t.Fatal(err)
	}
}

// same waits until a replica has the head of another core and holds all of it.
func same(t testing.TB, c, from *hypercore.Core) {
	t.Helper()
	h := from.Head()
	until(t, c, fmt.Sprintf("fork %d of length %d", h.Fork, h.Length), func(i hypercore.Info) bool {
		return i.Fork == h.Fork && i.Length == h.Length && i.Contiguous == h.Length
	})
	for i := range h.Length {
		want, err := from.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		get(t, c, i, string(want))
	}
}

// TestFollowTruncation: readers in several states follow a writer that truncates
// and appends, over and over, and end with what it has.
func TestFollowTruncation(t *testing.T) {
	w := newNode(t, "writer")
	core := w.own("core", numbered(100)...)
	w.swarm.Attach(core, AttachOptions{})

	whole, a := newNode(t, "whole"), newNode(t, "a reader of a reader")
	sparse, away := newNode(t, "sparse"), newNode(t, "away")
	download := AttachOptions{Download: true}
	c1, _ := whole.replica(core.Key(), download)
	c2, _ := a.replica(core.Key(), download)
	c3, _ := sparse.replica(core.Key(), AttachOptions{})
	c4, _ := away.replica(core.Key(), download)
	connect(t, w, whole)
	connect(t, whole, a)
	connect(t, w, sparse)
	gone := connect(t, w, away)
	for _, c := range []*hypercore.Core{c1, c2, c4} {
		same(t, c, core)
	}
	gone.cut()
	for _, i := range []uint64{0, 3, 64, 65, 99} {
		get(t, c3, i, fmt.Sprint("block ", i))
	}

	for round, step := range []struct{ cut, grow int }{{97, 120}, {64, 70}, {1, 2}, {0, 33}, {32, 33}} {
		truncate(t, core, uint64(step.cut))
		w.add(core, anew(step.cut+round, step.grow+round)...)
		if round%2 == 0 {
			same(t, c1, core)
			same(t, c2, core)
		}
	}
	same(t, c1, core)
	same(t, c2, core)
	want, _ := core.Block(31)
	until(t, c3, "the last fork", func(i hypercore.Info) bool { return i.Fork == 5 && i.Length == 33 })
	get(t, c3, 31, string(want))
	connect(t, whole, away)
	same(t, c4, core)
}

// TestTruncationKeepsBlocks: what both forks have is not fetched again.
func TestTruncationKeepsBlocks(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(1000)...)
	w.swarm.Attach(core, AttachOptions{})
	c, _ := r.replica(core.Key(), AttachOptions{Download: true})
	first := connect(t, w, r)
	same(t, c, core)
	first.cut()
	var dropped hypercore.Event
	fetched := 0
	done := make(chan struct{})
	c.Subscribe(func(e hypercore.Event) {
		switch e.Kind {
		case hypercore.Truncated:
			dropped = e
		case hypercore.Stored:
			if fetched += int(e.To - e.From); fetched == 1010-990 {
				close(done)
			}
		}
	})
	truncate(t, core, 990)
	w.add(core, anew(990, 1010)...)
	connect(t, w, r)
	same(t, c, core)
	<-done
	if dropped.From != 990 || dropped.To != 1000 || fetched != 20 {
		t.Errorf("%+v, %d blocks fetched", dropped, fetched)
	}
}

// TestReadAcrossTruncation: a read that waits for a block ends when the writer
// has dropped it, and one that waits for a block that stays gets it.
func TestReadAcrossTruncation(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(20)...)
	w.swarm.Attach(core, AttachOptions{})
	c, _ := r.replica(core.Key(), AttachOptions{})
	first := connect(t, w, r)
	get(t, c, 0, "block 0")
	first.cut()
	outcome := make(chan error, 2)
	for _, i := range []uint64{3, 15} {
		go func() {
			_, err := c.Get(deadline(t), i)
			outcome <- err
		}()
	}
	truncate(t, core, 10)
	connect(t, w, r)
	truncated := 0
	for range 2 {
		switch err := <-outcome; {
		case errors.Is(err, hypercore.ErrTruncated):
			truncated++
		case errors.Is(err, hypercore.ErrPastEnd): // it began after all of this
			truncated++
		case err != nil:
			t.Error(err)
		}
	}
	if truncated != 1 {
		t.Errorf("%d reads were told of the truncation, want 1", truncated)
	}
}

// TestTruncatedToNothing: a core of length 0 cannot be proved; readers follow
// when there is something in it again, and stay as they are until then.
func TestTruncatedToNothing(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(9)...)
	w.swarm.Attach(core, AttachOptions{})
	c, _ := r.replica(core.Key(), AttachOptions{Download: true})
	connect(t, w, r)
	same(t, c, core)
	truncate(t, core, 0)
	if err := c.Update(deadline(t)); err != nil {
		t.Fatal(err)
	}
	w.add(core, anew(0, 3)...)
	same(t, c, core)
}

// TestRestoredWriterFollowsItsFork: a writer made from a backup gets the fork
// that its key has signed elsewhere from a reader, before it signs anything.
func TestRestoredWriterFollowsItsFork(t *testing.T) {
	w, r, restored := newNode(t, "writer"), newNode(t, "reader"), newNode(t, "restored")
	core := w.own("core", numbered(9)...)
	w.swarm.Attach(core, AttachOptions{})
	c, _ := r.replica(core.Key(), AttachOptions{Download: true})
	connect(t, w, r)
	truncate(t, core, 4)
	w.add(core, anew(4, 7)...)
	same(t, c, core)

	var seed [32]byte
	copy(seed[:], "core")
	pair := hypercore.KeyPairFromSeed(seed)
	back := restored.open(hypercore.Options{Key: core.Key(), KeyPair: &pair, Hold: true})
	if _, err := back.Append(t.Context(), []byte("mine")); err != nil {
		t.Fatal(err)
	}
	restored.swarm.Attach(back, AttachOptions{Download: true})
	connect(t, restored, r)
	until(t, back, "the fork, and the end of the hold", func(i hypercore.Info) bool {
		return i.Fork == 1 && !i.Held && i.Length == 8 && i.Durable == 8 && i.Contiguous == 8
	})
	get(t, back, 7, "mine")
	until(t, c, "what was appended", func(i hypercore.Info) bool { return i.Length == 8 })
}

// TestForgedForkIsDropped: a peer that announces a higher fork and cannot prove
// it is dropped, and the reader keeps what it has.
func TestForgedForkIsDropped(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(9)...)
	w.swarm.Attach(core, AttachOptions{})
	c, _ := r.replica(core.Key(), AttachOptions{Download: true})
	connect(t, w, r)
	same(t, c, core)

	x, y := rawPipe()
	ended := make(chan error, 1)
	go func() { ended <- r.swarm.Serve(context.Background(), Conn{Stream: x, Initiator: true, Peer: "forger"}) }()
	p := newRawPeer(t, y, [64]byte{})
	p.openedIDs(1)
	p.open(1, core.Key())
	p.send(1, wire.Sync{Fork: 7, Length: 3, CanUpgrade: true, Uploading: true})
	var q wire.Request
	p.wait("a request", func(got []rawMessage) bool {
		for _, m := range got {
			if m.channel != 0 && m.typ == wire.TypeRequest {
				parsed, err := wire.Parse(m.typ, m.payload)
				if q = parsed.(wire.Request); err == nil {
					return true
				}
			}
		}
		return false
	})
	if q.Fork != 7 || q.Upgrade == nil || *q.Upgrade != (merkle.UpgradeRequest{Length: 3}) {
		t.Fatalf("%+v", q)
	}
	proof, err := core.Prove(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: 9}})
	if err != nil {
		t.Fatal(err)
	}
	proof.Fork = 7
	p.send(1, wire.Data{ID: q.ID, Proof: *proof})
	if err := <-ended; !errors.Is(err, ErrMisbehaved) {
		t.Fatal(err)
	}
	same(t, c, core)
	if c.Info().Fork != 0 {
		t.Fatal("the fork was believed")
	}
}
