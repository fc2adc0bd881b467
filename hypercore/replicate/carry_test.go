package replicate

import (
	"slices"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// grow has a peer announce n more blocks, and gives the upgrade that it is asked
// for.
func (r *rig) grow(p *peer, n uint64) *request {
	r.t.Helper()
	length := r.log.head.Length
	r.receive(p, wire.Sync{Length: length + n, RemoteLength: length, Uploading: true, CanUpgrade: true})
	r.receive(p, wire.Range{Length: length + n}) // behind the sync, in one frame
	requests, _ := r.sent(p)
	for _, q := range requests {
		if q.kind == forUpgrade {
			return q
		}
	}
	r.t.Fatalf("no upgrade was asked for: %v", requests)
	return nil
}

// wholeRig is a rig that downloads, and lacks nothing so far.
func wholeRig(t *testing.T) *rig {
	r := newRig(t, true)
	for i := range uint64(rigLength) {
		r.log.held[i] = true
	}
	return r
}

// take gives the answer to an upgrade to the machine, as if it had verified.
func (r *rig) take(p *peer, q *request) {
	r.t.Helper()
	d := wire.Data{ID: q.id, Proof: merkle.Proof{Upgrade: &merkle.UpgradeProof{Start: q.upgrade.Start, Length: q.upgrade.Length}}}
	if q.carries {
		d.Block = &merkle.BlockProof{Index: q.index}
		r.log.held[q.index] = true
	}
	w := r.receive(p, d)
	if w.request != q {
		r.t.Fatalf("the answer went to %+v", w.request)
	}
	r.log.head.Length += q.upgrade.Length
	if err := r.m.applied(q, nil, r.now); err != nil {
		r.t.Fatal(err)
	}
	r.sent(p)
}

func TestFirstNewBlockComesAlong(t *testing.T) {
	t.Run("of a download", func(t *testing.T) {
		r := wholeRig(t)
		p := r.peer("a")
		r.sent(p)
		if q := r.grow(p, 3); !q.carries || q.index != rigLength {
			t.Errorf("carries %v, block %d; want block %d", q.carries, q.index, rigLength)
		}
	})
	t.Run("of a log that is followed, as long as it is", func(t *testing.T) {
		r := newRig(t, false)
		p := r.peer("a")
		r.sent(p)
		q := r.grow(p, 1)
		if q.carries {
			t.Error("a block that nobody asked for came along")
		}
		r.take(p, q)
		f := r.m.fetch(r.c, want{forBlock, rigLength}, r.now)
		requests, _ := r.sent(p)
		if len(requests) != 1 {
			t.Fatalf("%d requests", len(requests))
		}
		r.answer(p, requests[0])
		<-f.done
		for n := range mostTaken + 1 {
			q := r.grow(p, 1)
			if q.carries != (n < mostTaken) {
				t.Fatalf("growth %d: carries %v", n, q.carries)
			}
			r.take(p, q)
		}
	})
	t.Run("not where the peer has it not", func(t *testing.T) {
		r := wholeRig(t)
		p := r.peer("a")
		r.sent(p)
		r.receive(p, wire.Sync{Length: rigLength + 1, RemoteLength: rigLength, Uploading: true, CanUpgrade: true})
		requests, _ := r.sent(p)
		for _, q := range requests {
			if q.carries {
				t.Errorf("block %d was asked for", q.index)
			}
		}
	})
	t.Run("and the head without it where it is refused", func(t *testing.T) {
		r := wholeRig(t)
		p := r.peer("a")
		r.sent(p)
		q := r.grow(p, 1)
		r.receive(p, wire.NoData{ID: q.id})
		requests, _ := r.sent(p)
		if i := slices.IndexFunc(requests, func(q *request) bool { return q.kind == forUpgrade }); i < 0 || requests[i].carries {
			t.Errorf("then it asked for %+v", requests)
		}
	})
	t.Run("and no other block", func(t *testing.T) {
		r := wholeRig(t)
		p := r.peer("a")
		r.sent(p)
		q := r.grow(p, 2)
		_, err := r.m.receive(p, 1, wire.Data{ID: q.id, Proof: merkle.Proof{
			Block:   &merkle.BlockProof{Index: rigLength + 1},
			Upgrade: &merkle.UpgradeProof{Start: q.upgrade.Start, Length: q.upgrade.Length},
		}}, r.now)
		if !isMisbehaved(err) {
			t.Errorf("error %v", err)
		}
	})
}

// A reader that follows a log holds a new block when it learns of it.
func TestFollowedLog(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(3)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{})
	connect(t, w, r)
	if err := replica.Update(deadline(t)); err != nil {
		t.Fatal(err)
	}
	get(t, replica, 2, "block 2")
	blocks := numbered(20)
	for i := uint64(3); i < 20; i++ {
		w.add(core, blocks[i])
		until(t, replica, "growth", func(n hypercore.Info) bool { return n.Length > i })
		if !replica.Has(i) {
			t.Errorf("block %d is not here", i)
		}
		get(t, replica, i, string(blocks[i]))
	}
}

// BenchmarkVisible is from an append to the block at a reader that follows the
// log, in memory at both ends.
func BenchmarkVisible(b *testing.B) {
	w, r := newNode(b, "writer"), newNode(b, "reader")
	core := w.own("core", numbered(2)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{})
	x, y := tcpPair(b)
	connectOver(b, w, r, x, y)
	if err := replica.Update(b.Context()); err != nil {
		b.Fatal(err)
	}
	var times []time.Duration
	for b.Loop() {
		i := core.Info().Length
		began := time.Now()
		if _, err := core.Append(b.Context(), make([]byte, 64)); err != nil {
			b.Fatal(err)
		}
		until(b, replica, "the block", func(info hypercore.Info) bool { return info.Length > i })
		if _, err := replica.Get(b.Context(), i); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
}
