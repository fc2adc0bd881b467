package replicate

import (
	"testing"
	"time"

	"multicore/hypercore"
)

// Who holds all of several logs, and who has some of what is missing of one.
func TestReplicas(t *testing.T) {
	w, r, s := newNode(t, "writer"), newNode(t, "reader"), newNode(t, "of one log")
	long, short, empty := w.own("long", numbered(300)...), w.own("short", numbered(3)...), w.own("empty")
	if _, err := long.Clear(t.Context(), 5, 7); err != nil {
		t.Fatal(err)
	}
	ids := func(cores ...*hypercore.Core) (list []hypercore.DiscoveryKey) {
		for _, c := range cores {
			w.swarm.Attach(c, AttachOptions{})
			list = append(list, c.DiscoveryKey())
		}
		return list
	}
	all := ids(long, short, empty)
	download := AttachOptions{Download: true}
	replica, _ := r.replica(long.Key(), download)
	r.replica(short.Key(), download)
	r.replica(empty.Key(), download)
	s.replica(short.Key(), download)
	connect(t, w, r)
	connect(t, w, s)
	untilCorePeers(t, w.swarm, short.DiscoveryKey(), 2, 2)
	until(t, replica, "all that there is", func(i hypercore.Info) bool { return replica.HeldBlocks() == 298 })

	// Two blocks are nowhere.
	if runs, n := replica.Lacking(0, 1000, 9); n != 2 || len(runs) != 1 || runs[0] != (hypercore.Run{From: 5, To: 7}) {
		t.Errorf("missing are %d blocks, %v", n, runs)
	}
	if n := r.swarm.Sources(long.DiscoveryKey(), []Range{{5, 7}}); n != 0 {
		t.Errorf("%d peers have what nobody has", n)
	}
	if n := r.swarm.Sources(long.DiscoveryKey(), []Range{{5, 7}, {6, 8}}); n != 1 {
		t.Errorf("%d peers have block 7, want the writer", n)
	}
	if n := w.swarm.FullReplicas(all); n != 0 {
		t.Errorf("%d peers hold all", n)
	}
	if n := w.swarm.FullReplicas(all[1:]); n != 2 {
		t.Errorf("%d peers hold all of the short one, want 2", n)
	}
	if n := w.swarm.FullReplicas(all[2:]); n != 0 {
		t.Errorf("%d peers hold all of nothing", n)
	}
	if d := time.Since(r.swarm.LastCame(long.DiscoveryKey())); d < 0 || d > time.Minute {
		t.Errorf("the last block came %v ago", d)
	}
	if at := r.swarm.LastCame(hypercore.DiscoveryKey{}); !at.IsZero() {
		t.Errorf("something of an unknown log came at %v", at)
	}

	// They turn up, and the reader has all.
	x := newNode(t, "another copy")
	x.swarm.Attach(x.own("long", numbered(300)...), AttachOptions{})
	connect(t, x, r)
	until(t, replica, "all", func(i hypercore.Info) bool { return i.Contiguous == 300 })
	untilCorePeers(t, w.swarm, long.DiscoveryKey(), 1, 1)
	if n := w.swarm.FullReplicas(all); n != 1 {
		t.Errorf("%d peers hold all, want the reader", n)
	}
}
