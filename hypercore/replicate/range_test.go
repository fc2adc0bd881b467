package replicate

import (
	"context"
	"errors"
	"testing"

	"multicore/hypercore"
)

// TestDownloadRange: Core.Download goes through the attachment: of two peers, each
// of which has a part, with its progress; and nothing outside of the range comes.
func TestDownloadRange(t *testing.T) {
	w, half, r := newNode(t, "writer"), newNode(t, "half"), newNode(t, "reader")
	core := w.own("core", numbered(3000)...)
	w.swarm.Attach(core, AttachOptions{})
	first, _ := half.replica(core.Key(), AttachOptions{})
	c, a := r.replica(core.Key(), AttachOptions{})
	link := connect(t, w, half)
	if err := first.Download(deadline(t), 1000, 2000, nil); err != nil {
		t.Fatal(err)
	}
	link.cut()
	connect(t, half, r)
	if err := c.Download(deadline(t), 1200, 1300, nil); err != nil {
		t.Fatal(err)
	}
	connect(t, w, r)
	var last uint64
	err := c.Download(deadline(t), 500, 2500, func(held, total uint64) {
		if held < last || total != 2000 {
			t.Errorf("%d of %d, before %d", held, total, last)
		}
		last = held
	})
	if err != nil || last != 2000 {
		t.Fatal(err, last)
	}
	for i := range uint64(3000) {
		if want := i >= 500 && i < 2500; c.Has(i) != want {
			t.Fatalf("block %d held: %v", i, !want)
		}
	}

	// What ends it ends it at once, and leaves nothing to be asked for.
	ctx, cancel := context.WithCancel(t.Context())
	err = c.Download(ctx, 0, 3000, func(held, total uint64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r.swarm.mu.Lock()
	left := len(r.swarm.machine.cores[core.DiscoveryKey()].spans)
	r.swarm.mu.Unlock()
	if left != 0 {
		t.Errorf("%d spans are left", left)
	}
	ended := make(chan error, 1)
	lone := newNode(t, "lone")
	c2, _ := lone.replica(core.Key(), AttachOptions{})
	connect(t, half, lone)
	if err := c2.Update(deadline(t)); err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{}, 1000)
	go func() {
		ended <- c2.Download(deadline(t), 0, 3000, func(uint64, uint64) { started <- struct{}{} })
	}()
	<-started // half of it is nowhere
	lone.swarm.Close()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	a.Detach()
	if err := c.Download(deadline(t), 0, 3000, nil); !errors.Is(err, hypercore.ErrNoPeers) {
		t.Error(err)
	}
}
