package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"multicore/hypercore"
)

func TestManyCoresOnOneStream(t *testing.T) {
	const cores = 200
	w, r := newNode(t, "writer"), newNode(t, "reader")
	var own, replicas []*hypercore.Core
	for i := range cores {
		c := w.own(fmt.Sprintf("core %d", i), fmt.Appendf(nil, "only block of %d", i))
		w.swarm.Attach(c, AttachOptions{})
		own = append(own, c)
	}
	connect(t, w, r)
	for _, c := range own {
		rc, _ := r.replica(c.Key(), AttachOptions{Download: true})
		replicas = append(replicas, rc)
	}
	for i, c := range replicas {
		get(t, c, 0, fmt.Sprintf("only block of %d", i))
	}
}

func TestReaderServesReader(t *testing.T) {
	w, r, third := newNode(t, "writer"), newNode(t, "reader"), newNode(t, "third")
	core := w.own("core", numbered(300)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
	first := connect(t, w, r)
	until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == 300 })
	first.cut()
	w.swarm.Close()

	last, _ := third.replica(core.Key(), AttachOptions{})
	connect(t, r, third)
	get(t, last, 123, "block 123")
	if off, size, err := last.Extent(deadline(t), 7); err != nil || size != 7 || off != 49 {
		t.Errorf("extent: %d %d %v", off, size, err)
	}
}

func TestSparseReaderServesWhatItHas(t *testing.T) {
	w, r, third := newNode(t, "writer"), newNode(t, "reader"), newNode(t, "third")
	core := w.own("core", numbered(300)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{})
	first := connect(t, w, r)
	for _, i := range []uint64{3, 99, 100, 250} {
		get(t, replica, i, fmt.Sprintf("block %d", i))
	}
	first.cut()

	last, _ := third.replica(core.Key(), AttachOptions{})
	connect(t, r, third)
	get(t, last, 99, "block 99")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := last.Get(ctx, 98); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, hypercore.ErrNoPeers) {
		t.Errorf("block that nobody has: %v", err)
	}
	// What the reader fetches later is announced to the third.
	go last.Get(t.Context(), 7)
	connect(t, w, r)
	get(t, replica, 7, "block 7")
	get(t, last, 7, "block 7")
}

// A peer that is behind cannot prove blocks to one that knows only the roots of
// a longer tree; it is not asked, and not worn out by asking.
func TestPeerThatIsBehind(t *testing.T) {
	w, a, b := newNode(t, "writer"), newNode(t, "behind"), newNode(t, "ahead")
	core := w.own("core", numbered(300)...)
	w.swarm.Attach(core, AttachOptions{})
	behind, _ := a.replica(core.Key(), AttachOptions{Download: true})
	l := connect(t, w, a)
	until(t, behind, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == 300 })
	l.cut()
	w.add(core, numbered(700)...)
	ahead, attached := b.replica(core.Key(), AttachOptions{})
	l = connect(t, w, b)
	if err := ahead.Update(deadline(t)); err != nil || ahead.Info().Length != 1000 {
		t.Fatalf("%v, %+v", err, ahead.Info())
	}
	l.cut()
	l = connect(t, a, b)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	attached.SetDownload(true)
	if _, err := ahead.Get(ctx, 5); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a block that cannot be proved: %v", err)
	}
	if n := a.logged.count("dropped") + b.logged.count("dropped"); n != 0 {
		t.Errorf("%d drops", n)
	}
	connect(t, w, b) // now one has what the other lacks
	until(t, ahead, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == 1000 })
	until(t, behind, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == 1000 })
}

func TestReconnect(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(2000)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
	for n := uint64(100); n <= 500; n += 100 { // cut in the middle of the download
		l := connect(t, w, r)
		until(t, replica, "some blocks", func(i hypercore.Info) bool { return i.Contiguous >= n })
		l.cut()
		if !errors.Is(l.errA, context.Canceled) && !errors.Is(l.errA, io.EOF) && !errors.Is(l.errA, io.ErrClosedPipe) {
			t.Errorf("stream ended with %v", l.errA)
		}
	}
	w.add(core, []byte("after"))
	connect(t, w, r)
	until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == 2001 })
	get(t, replica, 2000, "after")
}

func TestTwoStreamsShareTheWork(t *testing.T) {
	w, v, r := newNode(t, "writer"), newNode(t, "second"), newNode(t, "reader")
	core := w.own("core", numbered(4000)...)
	w.swarm.Attach(core, AttachOptions{})
	second, _ := v.replica(core.Key(), AttachOptions{Download: true})
	connect(t, w, v)
	until(t, second, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == 4000 })
	connect(t, w, r)
	connect(t, v, r)
	replica, a := r.replica(core.Key(), AttachOptions{})
	untilCorePeers(t, r.swarm, core.DiscoveryKey(), 2, 2)
	a.SetDownload(true)
	until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == 4000 })
	for _, p := range r.swarm.Peers() {
		if p.Received < 20_000 {
			t.Errorf("%s gave only %d bytes", p.Peer, p.Received)
		}
	}
}

func TestContexts(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(10)...)
	replica, _ := r.replica(core.Key(), AttachOptions{})

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := replica.Get(short, 3)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, hypercore.ErrNoPeers) {
		t.Errorf("no peer: %v, want deadline and ErrNoPeers", err)
	}
	if err := replica.Update(short); !errors.Is(err, hypercore.ErrNoPeers) {
		t.Errorf("update without peers: %v", err)
	}

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := replica.Get(ctx, 3)
		done <- err
	}()
	stop()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("an interrupted read goes on")
	}

	// One of two waiters goes; the other is served.
	ctx, stop = context.WithCancel(t.Context())
	other := make(chan error, 1)
	go func() { _, err := replica.Get(ctx, 5); done <- err }()
	go func() { _, err := replica.Get(deadline(t), 5); other <- err }()
	stop()
	<-done
	w.swarm.Attach(core, AttachOptions{})
	connect(t, w, r)
	if err := <-other; err != nil {
		t.Errorf("the other waiter: %v", err)
	}
	if !r.swarm.Reached(core.DiscoveryKey()) || r.swarm.Reached(hypercore.DiscoveryKey{}) {
		t.Error("Reached is wrong")
	}
}

func TestUpdate(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core")
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{})
	if replica.Info().Learned {
		t.Fatal("learned without a peer")
	}
	go func() {
		<-time.After(10 * time.Millisecond) // most often while Update waits
		connect(t, w, r)
	}()
	if err := replica.Update(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if i := replica.Info(); !i.Learned || i.Length != 0 {
		t.Errorf("an empty core: %+v, want learned and empty", i)
	}
	for n := uint64(1); n < 50; n++ {
		w.add(core, []byte("more"))
		until(t, replica, "growth", func(i hypercore.Info) bool { return i.Length == n })
	}
	if err := replica.Update(deadline(t)); err != nil {
		t.Fatal(err)
	}
}

// A core with After is opened only to a peer that proved the main core.
func TestGate(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	main, second := w.own("main", []byte("keys")), w.own("second", []byte("secret"))
	w.swarm.Attach(main, AttachOptions{})
	w.swarm.Attach(second, AttachOptions{After: []hypercore.DiscoveryKey{main.DiscoveryKey()}})
	x, y := rawPipe()
	go w.swarm.Serve(t.Context(), Conn{Stream: x, Initiator: true, Peer: "raw"})
	raw := newRawPeer(t, y, [64]byte{})
	opens := raw.openedIDs(1)
	if len(opens) != 1 || opens[0] != main.DiscoveryKey() {
		t.Fatalf("opened %d cores at once, want main alone", len(opens))
	}
	raw.open(1, main.Key())
	opens = raw.openedIDs(2)
	if len(opens) != 2 || opens[1] != second.DiscoveryKey() {
		t.Fatalf("opened %v after main was proved, want the second core", opens)
	}
	y.Close()

	// The reader learns the second key from elsewhere, and both meet.
	connect(t, w, r)
	rm, _ := r.replica(main.Key(), AttachOptions{})
	get(t, rm, 0, "keys")
	rs, _ := r.replica(second.Key(), AttachOptions{After: []hypercore.DiscoveryKey{main.DiscoveryKey()}})
	get(t, rs, 0, "secret")
}

// A core that is held but not attached is served to who opens it.
func TestDirectoryServes(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(10)...)
	connect(t, w, r)
	replica, a := r.replica(core.Key(), AttachOptions{})
	get(t, replica, 4, "block 4")
	w.add(core, []byte("live"))
	until(t, replica, "growth", func(i hypercore.Info) bool { return i.Length == 11 })
	if peers, _ := w.swarm.CorePeers(core.DiscoveryKey()); peers != 1 {
		t.Errorf("core has %d peers", peers)
	}
	a.Detach()
	untilCorePeers(t, w.swarm, core.DiscoveryKey(), 0, 0)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lent != 0 {
		t.Errorf("%d sessions are left", w.lent)
	}
}

// After the last Detach, peers that have the core open are served on.
func TestDetachServesOn(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(10)...)
	a := w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{})
	connect(t, w, r)
	get(t, replica, 4, "block 4")
	a.Detach()
	a.Detach()
	get(t, replica, 5, "block 5")
	b := w.swarm.Attach(core, AttachOptions{})
	get(t, replica, 6, "block 6")
	b.Detach()
	get(t, replica, 7, "block 7")
}

// A core made from a primary key is released once a peer has answered for it.
func TestHoldIsReleased(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(10)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
	l := connect(t, w, r)
	until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == 10 })
	l.cut()

	restored := newNode(t, "restored")
	var seed [32]byte
	copy(seed[:], "core")
	pair := hypercore.KeyPairFromSeed(seed)
	again := restored.open(hypercore.Options{Key: core.Key(), KeyPair: &pair, Hold: true})
	restored.add(again, []byte("new 0"), []byte("new 1"))
	if i := again.Info(); !i.Held || i.Durable != 0 {
		t.Fatalf("got %+v, want a held core", i)
	}
	restored.swarm.Attach(again, AttachOptions{})
	connect(t, restored, r)
	until(t, again, "release", func(i hypercore.Info) bool { return !i.Held && i.Length == 12 && i.Durable == 12 })
	get(t, again, 3, "block 3")
	until(t, replica, "what was appended meanwhile", func(i hypercore.Info) bool { return i.Contiguous == 12 })
	get(t, replica, 11, "new 1")
}
