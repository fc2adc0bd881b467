package replicate

import (
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/wire"
)

// In a download each node of the tree crosses about once.
func TestDownloadIsLean(t *testing.T) {
	const count = 10_000
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(count)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
	connect(t, w, r)
	until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == count })
	// A block, its part of the message and a node.
	if per := r.swarm.Peers()[0].Received / count; per > 10+12+2*40 {
		t.Errorf("%d bytes a block", per)
	}
}

// A peer that answers in another order, and leaves out some blocks at first, is
// not blamed for proofs that end at a node which did not come.
func TestDownloadInAnyOrder(t *testing.T) {
	const count = 300
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(count)...)
	replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
	x, y := rawPipe()
	go r.swarm.Serve(t.Context(), Conn{Stream: x, Initiator: true, Peer: "reversing"})
	p := newRawPeer(t, y, [64]byte{})
	p.openedIDs(1)
	p.open(1, core.Key())
	p.send(1, wire.Sync{Length: count, CanUpgrade: true, Uploading: true, HasManifest: true})
	go func() {
		for seen := 0; ; {
			var fresh []rawMessage
			if !p.wait("requests", func(got []rawMessage) bool {
				fresh, seen = got[seen:], len(got)
				return len(fresh) > 0
			}) {
				return
			}
			for i := len(fresh) - 1; i >= 0; i-- {
				q, err := wire.ParseRequest(fresh[i].payload)
				if fresh[i].channel == 0 || fresh[i].typ != wire.TypeRequest || err != nil {
					continue
				}
				proof, err := core.Prove(q.Request)
				if err != nil {
					t.Errorf("request %+v: %v", q.Request, err)
				}
				p.send(1, wire.Data{ID: q.ID, Proof: *proof})
				if q.Upgrade != nil {
					p.send(1, wire.Sync{Length: count, RemoteLength: count, Uploading: true})
					p.send(1, wire.Range{Length: count})
				}
			}
		}
	}()
	until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == count })
	if n := r.logged.count("dropped"); n != 0 {
		t.Errorf("%d drops: %v", n, r.logged.lines)
	}
	r.swarm.mu.Lock()
	defer r.swarm.mu.Unlock()
	for _, ch := range r.swarm.machine.peers[0].order {
		if !ch.coming.off {
			t.Error("goes on leaning on what does not come in order")
		}
	}
}

// The nodes that are coming are those of requests under way, and no others.
func TestComingFollowsRequests(t *testing.T) {
	var c coming
	a, b, d := &request{index: 0}, &request{index: 1}, &request{index: 2}
	// Nothing is stored below node 7, the root of 8 blocks.
	for i, x := range []struct {
		r           *request
		nodes, want uint64
	}{{a, 3, 3}, {b, 3, 0}, {d, 3, 1}} {
		if got := c.lean(x.r, x.nodes); got != x.want {
			t.Errorf("request %d: %d nodes, want %d", i, got, x.want)
		}
	}
	c.end(d)
	c.end(a)
	if len(c.by) != 0 {
		t.Errorf("%d nodes are left", len(c.by))
	}
	if got := c.lean(a, 3); got != 3 || len(c.by) != 0 {
		t.Errorf("a request that is over brings %d nodes, asks for %d", len(c.by), got)
	}
	if c.fell(a) || !c.fell(b) || !c.off {
		t.Error("who leaned is wrong")
	}
	if got := c.lean(&request{index: 3}, 3); got != 3 {
		t.Errorf("leans after that: %d nodes", got)
	}
}
