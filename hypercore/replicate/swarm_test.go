package replicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// node is a store in memory and a swarm.
type node struct {
	t       testing.TB
	name    string
	store   storage.Store
	flusher *hypercore.Flusher
	swarm   *Swarm
	logged  lineLog

	mu    sync.Mutex
	cores map[hypercore.DiscoveryKey]*hypercore.Core // its Directory
	lent  int                                        // sessions that the swarm holds
}

func newNode(t testing.TB, name string) *node {
	n := &node{t: t, name: name, store: storage.Memory(), cores: make(map[hypercore.DiscoveryKey]*hypercore.Core)}
	logger := slog.New(slog.NewTextHandler(&n.logged, nil))
	n.flusher = hypercore.NewFlusher(n.store, logger)
	n.swarm = New(Options{Directory: n, Log: logger})
	t.Cleanup(func() {
		n.swarm.Close()
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.lent != 0 {
			t.Errorf("%s: %d lent cores were not given back", name, n.lent)
		}
		for _, c := range n.cores {
			c.Close()
		}
		n.flusher.Close()
		n.store.Close()
	})
	return n
}

func (n *node) Key(d hypercore.DiscoveryKey) (hypercore.Key, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.cores[d]; c != nil {
		return c.Key(), true
	}
	return hypercore.Key{}, false
}

func (n *node) Open(d hypercore.DiscoveryKey) (*hypercore.Core, func(), error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.cores[d]
	if c == nil {
		return nil, nil, errors.New("no such core")
	}
	n.lent++
	return c, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.lent--
	}, nil
}

func (n *node) open(o hypercore.Options) *hypercore.Core {
	n.t.Helper()
	c, err := hypercore.Open(n.flusher, o)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	n.cores[c.DiscoveryKey()] = c
	n.mu.Unlock()
	return c
}

// own makes a writable core; the same name is the same key on every node.
func (n *node) own(name string, blocks ...[]byte) *hypercore.Core {
	n.t.Helper()
	var seed [32]byte
	copy(seed[:], name)
	pair := hypercore.KeyPairFromSeed(seed)
	c := n.open(hypercore.Options{Key: hypercore.DefaultManifest(pair.Public).Key(), KeyPair: &pair})
	n.add(c, blocks...)
	return c
}

func (n *node) add(c *hypercore.Core, blocks ...[]byte) {
	n.t.Helper()
	for len(blocks) > 0 {
		k := min(len(blocks), 1024)
		if _, err := c.Append(n.t.Context(), blocks[:k]...); err != nil {
			n.t.Fatal(err)
		}
		blocks = blocks[k:]
	}
	if err := c.Flush(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// replica makes and attaches a core of somebody else.
func (n *node) replica(key hypercore.Key, o AttachOptions) (*hypercore.Core, *Attachment) {
	c := n.open(hypercore.Options{Key: key})
	return c, n.swarm.Attach(c, o)
}

// lineLog counts lines of a log.
type lineLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *lineLog) count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// link is a stream between two nodes.
type link struct {
	cut  func() // ends it and waits until both sides are done
	errA error
	errB error
}

// connect joins two nodes by a stream; a is the initiator.
func connect(t testing.TB, a, b *node) *link {
	x, y := net.Pipe()
	return connectOver(t, a, b, x, y)
}

func connectOver(t testing.TB, a, b *node, x, y io.ReadWriteCloser) *link {
	return serveBoth(t, a, b, Conn{Stream: x}, Conn{Stream: y})
}

// serveBoth is connectOver with what else there is to say of the streams.
func serveBoth(t testing.TB, a, b *node, ac, bc Conn) *link {
	var hash [64]byte
	for i := range hash {
		hash[i] = byte(rand.Uint32())
	}
	ac.Initiator, ac.HandshakeHash, ac.Peer = true, hash, b.name
	bc.HandshakeHash, bc.Peer = hash, a.name
	ctx, cancel := context.WithCancel(context.Background())
	l := &link{}
	var both sync.WaitGroup
	both.Go(func() {
		l.errA = a.swarm.Serve(ctx, ac)
	})
	both.Go(func() {
		l.errB = b.swarm.Serve(ctx, bc)
	})
	l.cut = func() {
		cancel()
		both.Wait()
	}
	t.Cleanup(l.cut)
	return l
}

// deadline is a context that ends the test's waiting, not its subject's.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// until waits for a condition on a core.
func until(t testing.TB, c *hypercore.Core, what string, ok func(hypercore.Info) bool) {
	t.Helper()
	ctx := deadline(t)
	for {
		changed := c.Changed()
		if ok(c.Info()) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %+v", what, c.Info())
		}
	}
}

// numbered makes blocks "block 0", "block 1", ...
func numbered(n int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = fmt.Appendf(nil, "block %d", i)
	}
	return blocks
}

func get(t testing.TB, c *hypercore.Core, i uint64, want string) {
	t.Helper()
	b, err := c.Get(deadline(t), i)
	if err != nil {
		t.Fatalf("block %d: %v", i, err)
	}
	if string(b) != want {
		t.Fatalf("block %d: got %q, want %q", i, b, want)
	}
}

func TestSparseGet(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(10_000)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{})
	connect(t, w, r)

	get(t, replica, 7, "block 7")
	info := replica.Info()
	if info.Length != 10_000 || info.Contiguous != 0 {
		t.Errorf("got %+v, want length 10000 and nothing else kept", info)
	}
	for i := range uint64(10_000) {
		if replica.Has(i) != (i == 7) {
			t.Fatalf("block %d: held %v", i, replica.Has(i))
		}
	}
	p := r.swarm.Peers()
	if len(p) != 1 || p[0].Received+p[0].Sent > 16<<10 {
		t.Errorf("stream took %+v, want less than 16 KiB", p)
	}
}

func TestSeekAndReadAt(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	var all []byte
	blocks := numbered(3000)
	for _, b := range blocks {
		all = append(all, b...)
	}
	core := w.own("core", blocks...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{})
	connect(t, w, r)
	ctx := deadline(t)
	for _, off := range []uint64{0, 1, 8, 12_345, uint64(len(all)) / 2, uint64(len(all)) - 1, uint64(len(all))} {
		i, within, err := replica.Seek(ctx, off)
		wantI, wantWithin, wantErr := core.Seek(ctx, off)
		if i != wantI || within != wantWithin || err != nil || wantErr != nil {
			t.Errorf("seek %d: got %d+%d %v, want %d+%d %v", off, i, within, err, wantI, wantWithin, wantErr)
		}
	}
	p := make([]byte, 1000)
	if n, err := replica.ReadAt(ctx, p, 15_000); n != len(p) || err != nil || !bytes.Equal(p, all[15_000:16_000]) {
		t.Errorf("read: %d %v %q", n, err, p[:40])
	}
	held := 0
	for i := range uint64(3000) {
		if replica.Has(i) {
			held++
		}
	}
	if held > 110 {
		t.Errorf("a read of 1000 bytes kept %d blocks", held)
	}
	if off, size, err := replica.Extent(ctx, 2999); err != nil || off != uint64(len(all))-10 || size != 10 {
		t.Errorf("extent: %d %d %v", off, size, err)
	}
}

func TestDownload(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(5000)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, a := r.replica(core.Key(), AttachOptions{})
	connect(t, w, r)
	a.SetDownload(true)
	until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Length == 5000 && i.Contiguous == 5000 })
	for i := range uint64(5000) {
		if b, err := replica.Block(i); err != nil || string(b) != fmt.Sprintf("block %d", i) {
			t.Fatalf("block %d: %q %v", i, b, err)
		}
	}
	untilCorePeers(t, w.swarm, core.DiscoveryKey(), 1, 1)
	untilCorePeers(t, r.swarm, core.DiscoveryKey(), 1, 1)
	for _, p := range w.swarm.Peers() {
		if !w.swarm.Proved(p.Peer) {
			t.Errorf("peer %q proved the core, but not by that name", p.Peer)
		}
	}
	if w.swarm.Proved("somebody else") {
		t.Error("a peer that is not connected proved a core")
	}
}

// untilCorePeers waits for figures that change with messages, not with events.
func untilCorePeers(t testing.TB, s *Swarm, d hypercore.DiscoveryKey, peers, full int) {
	t.Helper()
	ctx := deadline(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		p, f := s.CorePeers(d)
		if p == peers && f == full {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("core has %d peers, %d full, want %d and %d", p, f, peers, full)
		}
	}
}

// Blocks of every size travel, the largest and the empty among small ones.
func TestBlockSizes(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	var blocks [][]byte
	for i, size := range []int{0, 1, hypercore.MaxBlock, 0, 300, aloneAt - 1, aloneAt, flushAt, 8 << 20, hypercore.MaxBlock, 7 << 20, 2} {
		b := make([]byte, size)
		for j := 0; j < size; j += 997 {
			b[j] = byte(i + j)
		}
		blocks = append(blocks, b)
	}
	core := w.own("core", blocks...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
	connect(t, w, r)
	until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == uint64(len(blocks)) })
	for i, want := range blocks {
		if got, err := replica.Block(uint64(i)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("block %d of %d bytes: %d bytes, %v", i, len(want), len(got), err)
		}
	}
}

func TestLiveAppends(t *testing.T) {
	const burst = 10_000
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core")
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
	connect(t, w, r)
	go func() {
		for i := range burst {
			core.Append(t.Context(), fmt.Appendf(nil, "block %d", i))
		}
	}()
	for i := range uint64(burst) {
		if i >= replica.Info().Length {
			until(t, replica, "growth", func(n hypercore.Info) bool { return n.Length > i })
		}
		get(t, replica, i, fmt.Sprintf("block %d", i))
	}
	if got := replica.Info().Length; got != burst {
		t.Errorf("length %d, want %d", got, burst)
	}
}
