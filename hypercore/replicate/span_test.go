package replicate

import (
	"context"
	"errors"
	"testing"
	"time"

	"multicore/hypercore"
)

// A range is downloaded, nothing else, and the call waits for it.
func TestDownloadOfRange(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(2000)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, a := r.replica(core.Key(), AttachOptions{})
	connect(t, w, r)
	if err := a.FetchRange(deadline(t), 500, 700); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(2000) {
		if replica.Has(i) != (i >= 500 && i < 700) {
			t.Fatalf("block %d: held %v", i, replica.Has(i))
		}
	}
	if err := a.FetchRange(deadline(t), 600, 650); err != nil { // at once
		t.Fatal(err)
	}

	// A range beyond the length waits for the log to grow, or ctx to end.
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.FetchRange(ctx, 1990, 3000) }()
	until(t, replica, "the blocks there are", func(hypercore.Info) bool { return replica.Has(1999) && replica.Has(1990) })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	go func() { done <- a.FetchRange(t.Context(), 1995, 2010) }()
	w.add(core, numbered(10)...)
	if err := <-done; err != nil || !replica.Has(2009) {
		t.Errorf("%v, block 2009 held %v", err, replica.Has(2009))
	}

	go func() { done <- a.FetchRange(t.Context(), 3000, 3010) }()
	r.swarm.do(func(*machine, time.Time) {})
	a.Detach()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("after Detach: %v", err)
	}
	if err := a.FetchRange(t.Context(), 0, 10); !errors.Is(err, ErrClosed) {
		t.Errorf("detached: %v", err)
	}
}

// A range that nobody waits for any more is cancelled at the peer.
func TestRangeIsCancelled(t *testing.T) {
	r := newRig(t, false)
	a := r.peer("a")
	s := r.m.addSpan(r.c, 100, 120, r.now)
	q, _ := r.sent(a)
	if len(q) != 20 || q[0].index != 100 {
		t.Fatalf("%d requests", len(q))
	}
	f := r.m.fetch(r.c, want{forBlock, 105}, r.now)
	r.m.leaveSpan(r.c, s, r.now)
	for _, x := range q {
		if x.over == (x.index == 105) {
			t.Errorf("block %d: cancelled %v", x.index, x.over)
		}
	}
	if _, rest := r.sent(a); len(rest) < 19 || a.inflight != 1 {
		t.Errorf("%d messages, %d under way", len(rest), a.inflight)
	}
	r.m.leave(r.c, f, r.now)
	if a.inflight != 0 || r.c.download {
		t.Error("something is left")
	}
}

// What a sequential reader wants next comes before a download, and is dropped
// with the reader.
func TestAheadGoesFirst(t *testing.T) {
	r := newRig(t, true)
	a := r.peer("a")
	first, _ := r.sent(a)
	s := r.m.addAhead(r.c, 3000, 3010, r.now)
	for _, x := range first {
		r.answer(a, x)
	}
	next, _ := r.sent(a)
	for i := range uint64(10) {
		if next[i].index != 3000+i {
			t.Fatalf("request %d is for block %d", i, next[i].index)
		}
	}
	r.m.leaveAhead(r.c, s, r.now)
	if next[0].over {
		t.Error("cancelled what is downloaded anyway")
	}
}

// A core that is read block after block is fetched ahead; a read apart is not.
func TestSequentialReadsAreFetchedAhead(t *testing.T) {
	const count = 2000
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(count)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{})
	connect(t, w, r)
	get(t, replica, 1500, "block 1500")
	for i := range uint64(2) {
		get(t, replica, i, string(numbered(int(i + 1))[i]))
	}
	until(t, replica, "the rest", func(hypercore.Info) bool { return replica.Has(count - 1) })
}
