package replicate

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// TestConflict: a reader of one log meets a writer that signed another with the
// same key. Both see it and freeze the core; the rest of the stream goes on, and
// who has the reader's log is not disturbed.
func TestConflict(t *testing.T) {
	for name, blocks := range map[string][][]byte{
		"as long":             anew(0, 9),
		"the last one":        append(numbered(8), []byte("another")),
		"longer":              append(numbered(5), anew(5, 30)...),
		"longer, from a root": append(numbered(8), anew(8, 30)...),
	} {
		t.Run(name, func(t *testing.T) {
			w, w2, r := newNode(t, "writer"), newNode(t, "copy"), newNode(t, "reader")
			core := w.own("core", numbered(9)...)
			twin := w2.own("core", blocks...)
			other := w2.own("other", numbered(3)...)
			w.swarm.Attach(core, AttachOptions{})
			w2.swarm.Attach(twin, AttachOptions{})
			w2.swarm.Attach(other, AttachOptions{})
			c, _ := r.replica(core.Key(), AttachOptions{})
			c2, _ := r.replica(other.Key(), AttachOptions{})
			first := connect(t, w, r)
			for _, i := range []uint64{4, 3, 2, 1, 0} { // in order, block 8 would be fetched ahead
				get(t, c, i, fmt.Sprint("block ", i))
			}
			reads := len(blocks) == 9
			if reads { // only the copy can be asked
				first.cut()
			}
			connect(t, w2, r)
			if _, err := c.Get(deadline(t), 8); reads && !errors.Is(err, hypercore.ErrConflict) {
				t.Fatal(err)
			}
			frozen := func(i hypercore.Info) bool { return i.Conflict }
			until(t, c, "the conflict", frozen)
			until(t, twin, "the conflict at the copy", frozen)
			for _, x := range []*hypercore.Core{c, twin} {
				f := x.Conflict()
				if f == nil || f.Ours.Hash == f.Theirs.Hash || x.Manifest().Verify(x.Head().Tree, f.Ours.Signature) != nil {
					t.Errorf("recorded %+v", f)
				}
			}
			if _, err := twin.Append(t.Context(), []byte("more")); !errors.Is(err, hypercore.ErrConflict) {
				t.Errorf("append: %v", err)
			}
			if !reads { // who has the reader's log is shown the other one
				until(t, core, "the conflict at the writer", frozen)
			} else if core.Info().Conflict {
				t.Error("the writer's own log was taken for another")
			}
			get(t, c, 0, "block 0")
			get(t, c2, 2, "block 2")
			if peers, _ := r.swarm.CorePeers(core.DiscoveryKey()); peers != 0 {
				t.Errorf("%d peers have the core open", peers)
			}
			late := newNode(t, "late")
			c3, _ := late.replica(core.Key(), AttachOptions{})
			c4, _ := late.replica(other.Key(), AttachOptions{})
			connect(t, late, r)
			connect(t, late, w2)
			get(t, c4, 1, "block 1")
			if c3.Info().Learned || late.swarm.Reached(core.DiscoveryKey()) {
				t.Error("a frozen core was replicated")
			}
			if err := c.Update(deadline(t)); !errors.Is(err, hypercore.ErrConflict) {
				t.Errorf("update: %v", err)
			}
		})
	}
}

// TestConflictOfEquals: two copies of a writer that are as long as each other, of
// which the reader lacks nothing, are found out when it meets the second, and so
// are copies that grow elsewhere while both are connected, and ones that meet.
func TestConflictOfEquals(t *testing.T) {
	frozen := func(i hypercore.Info) bool { return i.Conflict }
	setup := func(t *testing.T, blocks [][]byte) (w, w2 *node, core, twin *hypercore.Core) {
		w, w2 = newNode(t, "writer"), newNode(t, "copy")
		core, twin = w.own("core", numbered(9)...), w2.own("core", blocks...)
		w.swarm.Attach(core, AttachOptions{})
		w2.swarm.Attach(twin, AttachOptions{})
		return w, w2, core, twin
	}
	for name, blocks := range map[string][][]byte{
		"as long": append(numbered(8), []byte("another")), "shorter": append(numbered(2), []byte("another"))} {
		t.Run(name, func(t *testing.T) {
			w, w2, core, twin := setup(t, blocks)
			r := newNode(t, "reader")
			c, _ := r.replica(core.Key(), AttachOptions{Download: true})
			connect(t, w, r)
			until(t, c, "a copy", func(i hypercore.Info) bool { return i.Contiguous == 9 })
			connect(t, w2, r)
			for _, x := range []*hypercore.Core{c, core, twin} {
				until(t, x, "the conflict", frozen)
			}
			get(t, c, 8, "block 8")
		})
	}
	t.Run("writers that meet", func(t *testing.T) {
		w, w2, core, twin := setup(t, append(numbered(8), []byte("another")))
		connect(t, w, w2)
		until(t, core, "the conflict", frozen)
		until(t, twin, "the conflict", frozen)
	})
	t.Run("no conflict", func(t *testing.T) {
		w, w2, core, twin := setup(t, numbered(5))
		r := newNode(t, "reader")
		c, _ := r.replica(core.Key(), AttachOptions{Download: true})
		connect(t, w, r)
		until(t, c, "a copy", func(i hypercore.Info) bool { return i.Contiguous == 9 })
		connect(t, w2, r)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		agreed := false
		for ctx := deadline(t); !agreed && ctx.Err() == nil; { // the comparison is over
			r.swarm.do(func(m *machine, _ time.Time) {
				for _, ch := range m.cores[core.DiscoveryKey()].channels {
					agreed = agreed || ch.them.length == 5 && ch.agreed == 5 && ch.probe == nil
				}
			})
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		if !agreed || c.Info().Conflict || core.Info().Conflict || twin.Info().Conflict {
			t.Errorf("agreed %v, conflicts %v %v %v", agreed, c.Info().Conflict, core.Info().Conflict, twin.Info().Conflict)
		}
	})
}

// TestBadProofWithoutConflict: a peer whose proof does not hold, and whose log is
// no other, is dropped for the proof; so is one that shows none.
func TestBadProofWithoutConflict(t *testing.T) {
	for _, answer := range []string{"the same log", "noData", "a forged log", "close"} {
		t.Run(answer, func(t *testing.T) {
			w, r := newNode(t, "writer"), newNode(t, "reader")
			core := w.own("core", numbered(9)...)
			w.swarm.Attach(core, AttachOptions{})
			c, _ := r.replica(core.Key(), AttachOptions{})
			first := connect(t, w, r)
			get(t, c, 0, "block 0")
			first.cut()

			x, y := rawPipe()
			ended := make(chan error, 1)
			go func() { ended <- r.swarm.Serve(t.Context(), Conn{Stream: x, Initiator: true, Peer: "liar"}) }()
			p := newRawPeer(t, y, [64]byte{})
			p.openedIDs(1)
			p.open(1, core.Key())
			p.send(1, wire.Sync{Length: 9, RemoteLength: 9, Uploading: true})
			p.send(1, wire.Range{Length: 9})
			go c.Get(t.Context(), 5)
			q := asked(p, func(q wire.Request) bool { return q.Block != nil })
			proof, err := core.Prove(q.Request)
			if err != nil {
				t.Fatal(err)
			}
			proof.Block.Value = []byte("a lie!!")
			p.send(1, wire.Data{ID: q.ID, Proof: *proof})
			probe := asked(p, func(q wire.Request) bool { return q.ID == 0 })
			if probe.Upgrade == nil || *probe.Upgrade != (merkle.UpgradeRequest{Length: 9}) || probe.Fork != 0 {
				t.Fatalf("%+v", probe)
			}
			if proof, err = core.Prove(probe.Request); err != nil {
				t.Fatal(err)
			}
			switch answer {
			case "the same log":
				p.send(1, wire.Data{Proof: *proof})
			case "a forged log":
				proof.Upgrade.Nodes[0].Hash[0] ^= 1
				p.send(1, wire.Data{Proof: *proof})
			case "noData":
				p.send(1, wire.NoData{Reason: wire.ReasonNotAvailable})
			case "close":
				p.send(0, wire.Close{Channel: 1})
			}
			if err := <-ended; !errors.Is(err, ErrMisbehaved) {
				t.Fatal(err)
			}
			if c.Info().Conflict {
				t.Fatal("a conflict was believed")
			}
			connect(t, w, r)
			get(t, c, 5, "block 5")
		})
	}
}

// asked waits for a request of the peer.
func asked(p *rawPeer, ok func(wire.Request) bool) (q wire.Request) {
	p.t.Helper()
	p.wait("a request", func(got []rawMessage) bool {
		for _, m := range got {
			if m.channel == 0 || m.typ != wire.TypeRequest {
				continue
			}
			parsed, err := wire.Parse(m.typ, m.payload)
			if err != nil {
				p.t.Error(err)
			} else if q = parsed.(wire.Request); ok(q) {
				return true
			}
		}
		return false
	})
	return q
}

// isProbe says whether a message asks for the head of a peer.
func isProbe(m wire.Message) bool {
	q, ok := m.(wire.Request)
	return ok && q.ID == 0
}

// A peer is asked for a head that is no longer than ours; that it does not answer,
// refuses, or answers late, is no fault. It is asked anew after a while at most.
func TestUnansweredComparison(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	ch := a.channels[r.c.id]
	_, rest := r.sent(a)
	if n := len(slices.DeleteFunc(rest, func(m wire.Message) bool { return !isProbe(m) })); n != 1 {
		t.Fatalf("asked for its head %d times", n)
	}
	for range 2 * maxProofs {
		r.pass(stallAfter + 2*tickEvery)
		if len(r.m.drops) != 0 || ch.probe != nil {
			t.Fatalf("drops %v, probe %v", r.m.drops, ch.probe)
		}
		r.receive(a, wire.Data{Proof: merkle.Proof{Upgrade: &merkle.UpgradeProof{Length: ch.them.length}}})
		r.m.synced(ch, wire.Sync{Length: ch.them.length, Uploading: true}, r.now)
		if ch.probe != nil && r.now.Sub(ch.compared) != 0 {
			t.Fatal("asked again too early")
		}
		r.pass(compareEvery)
		r.m.synced(ch, wire.Sync{Length: ch.them.length, Uploading: true}, r.now)
		if ch.probe == nil {
			t.Fatal("not asked again")
		}
	}
	if _, err := r.m.receive(a, 1, wire.NoData{}, r.now); err != nil || ch.probe != nil || ch.pushes > maxProofs {
		t.Fatalf("%v, probe %v, %d pushes", err, ch.probe, ch.pushes)
	}
}

// A peer that does not answer a probe is dropped.
func TestUnansweredProbe(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	q, _ := r.sent(a)
	a.channels[r.c.id].probe = nil // of a comparison
	w := r.receive(a, wire.Data{ID: q[0].id, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: q[0].index}}})
	bad := fmt.Errorf("%w: %w", hypercore.ErrBadProof, &merkle.MismatchError{})
	if err := r.m.applied(w.request, bad, r.now); err != nil {
		t.Fatal(err)
	}
	if q, rest := r.sent(a); len(q) != 0 || len(rest) != 1 || rest[0].(wire.Request).ID != 0 {
		t.Fatalf("%d requests, %v", len(q), rest)
	}
	r.pass(stallAfter - tickEvery)
	if len(r.m.drops) != 0 {
		t.Fatal("dropped at once")
	}
	r.pass(2 * tickEvery)
	if len(r.m.drops) != 1 || !errors.Is(r.m.drops[0].err, ErrMisbehaved) {
		t.Fatalf("drops %v", r.m.drops)
	}
}

// Proofs that nobody asked for cost a peer its stream before long.
func TestUnaskedProofs(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	a.channels[r.c.id].probe = nil // of a comparison
	proof := merkle.Proof{Upgrade: &merkle.UpgradeProof{Length: 5}}
	for range maxProofs {
		if w := r.receive(a, wire.Data{Proof: proof}); w.probed == nil {
			t.Fatal("it is not looked at")
		}
	}
	if _, err := r.m.receive(a, 1, wire.Data{Proof: proof}, r.now); !errors.Is(err, ErrMisbehaved) {
		t.Fatal(err)
	}
	ch := a.channels[r.c.id]
	if err := r.m.checked(ch, fmt.Errorf("%w: forged", hypercore.ErrBadProof), r.now); !errors.Is(err, ErrMisbehaved) {
		t.Fatal(err)
	}
	if err := r.m.checked(ch, nil, r.now); err != nil {
		t.Fatal(err)
	}
}
