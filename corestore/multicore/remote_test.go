package multicore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// held lets peers open the cores of a store.
type held struct{ st *corestore.Store }

func (h held) Key(d hypercore.DiscoveryKey) (hypercore.Key, bool) { return h.st.Key(d) }

func (h held) Open(d hypercore.DiscoveryKey) (*hypercore.Core, func(), error) {
	c, err := h.st.OpenDiscovery(d)
	if err != nil {
		return nil, nil, err
	}
	return c.Core, func() { c.Close() }, nil
}

func newSwarm(t *testing.T, st *corestore.Store) *replicate.Swarm {
	sw := replicate.New(replicate.Options{Directory: held{st}})
	t.Cleanup(func() { sw.Close() })
	return sw
}

// connect joins two swarms until cut is called or the test ends.
func connect(t *testing.T, a, b *replicate.Swarm) (cut func()) {
	ctx, cancel := context.WithCancel(context.Background())
	x, y := net.Pipe()
	var served sync.WaitGroup
	served.Go(func() { a.Serve(ctx, replicate.Conn{Stream: x, Initiator: true, Peer: "b"}) })
	served.Go(func() { b.Serve(ctx, replicate.Conn{Stream: y, Peer: "a"}) })
	cut = func() { cancel(); served.Wait() }
	t.Cleanup(cut)
	return cut
}

func openRemote(t *testing.T, st *corestore.Store, sw Swarm, k hypercore.Key) *Remote {
	t.Helper()
	r, err := OpenRemote(st, sw, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close remote: %v", err)
		}
	})
	return r
}

func names(cores []Named) string {
	var s string
	for _, c := range cores {
		s += c.Name + " "
	}
	return s
}

// within gives a context that fails a test which waits for too long.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestRemoteLearnsAndReads(t *testing.T) {
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
	own := makeOwn(t, wst, wsw)
	if err := own.Append(t.Context(), "", [][]byte{[]byte("hi\n"), []byte("hello\n"), []byte("world\n")}); err != nil {
		t.Fatal(err)
	}
	if err := own.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := openRemote(t, rst, rsw, own.Key())
	if cores, complete := r.Known(); complete || names(cores) != "main " {
		t.Fatalf("before a peer: %s, complete %t", names(cores), complete)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Cores(short); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, hypercore.ErrNoPeers) {
		t.Fatalf("Cores without a peer = %v, want %v and %v", err, context.DeadlineExceeded, hypercore.ErrNoPeers)
	}

	cut := connect(t, wsw, rsw)
	ctx := within(t)
	cores, err := r.Cores(ctx)
	if err != nil || names(cores) != "main core-2 core-3 " {
		t.Fatalf("Cores = %s, %v", names(cores), err)
	}
	if cores, complete := r.Known(); !complete || names(cores) != "main core-2 core-3 " {
		t.Fatalf("Known = %s, %t", names(cores), complete)
	}
	awaitLength(t, cores[2].Core, 2)
	if b, err := cores[2].Core.Get(ctx, 1); err != nil || string(b) != "world\n" {
		t.Fatalf("core-3 block 1 = %q, %v", b, err)
	}
	if cores[2].Core.Has(0) {
		t.Fatal("a block that nobody read is held")
	}

	// All of it, also what comes later.
	r.SetDownload(true)
	if err := own.Append(t.Context(), "", [][]byte{[]byte("yo\n"), []byte("later\n")}); err != nil {
		t.Fatal(err)
	}
	awaitHeld(t, cores[1].Core, 2)
	awaitHeld(t, cores[2].Core, 3)
	expectBlocks(t, "core-3 of the reader", cores[2].Core, "hello\n", "world\n", "later\n")

	// Known at once after a restart, without any network.
	cut()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	offline := openRemote(t, rst, nil, own.Key())
	if cores, complete := offline.Known(); !complete || names(cores) != "main core-2 core-3 " {
		t.Fatalf("Known after a restart = %s, %t", names(cores), complete)
	}
}

// TestRemoteByItself checks that the other cores are attached without anybody
// asking for them, and downloaded where that was said before.
func TestRemoteByItself(t *testing.T) {
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
	own := makeOwn(t, wst, wsw)
	if err := own.Append(t.Context(), "", [][]byte{[]byte("hello\n")}); err != nil {
		t.Fatal(err)
	}
	r := openRemote(t, rst, rsw, own.Key())
	r.SetDownload(true)
	connect(t, wsw, rsw)
	long := own.cores[placeLong]
	ctx := within(t)
	for {
		changed := rsw.Changed()
		if peers, _ := rsw.CorePeers(long.DiscoveryKey()); peers == 1 {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("core-3 was not opened by itself")
		}
	}
	cores, err := r.Cores(ctx)
	if err != nil {
		t.Fatal(err)
	}
	awaitHeld(t, cores[2].Core, 1)
}

func TestRemoteOfOtherCores(t *testing.T) {
	many := make([]hypercore.Key, 20)
	for i := range many {
		many[i] = key(byte(i + 1))
	}
	for _, c := range []struct{ desc, block, want string }{
		{"any hypercore", "not an index\n", "main "},
		{"an index of nothing", `{"otherKeys":[]}`, "main "},
		{"a bad index", `{"otherKeys":[` + quoted(key(1), key(1)) + `]}`, "main "},
		{"one", `{"otherKeys":[` + quoted(key(1)) + `]}`, "main core-2 "},
	} {
		t.Run(c.desc, func(t *testing.T) {
			remote := publish(t, c.block)
			cores, err := remote.Cores(within(t))
			if err != nil || names(cores) != c.want {
				t.Fatalf("Cores = %s, %v, want %s", names(cores), err, c.want)
			}
		})
	}
	t.Run("many", func(t *testing.T) {
		cores, err := publish(t, `{"otherKeys":[`+quoted(many...)+`]}`).Cores(within(t))
		if err != nil || len(cores) != 21 || cores[20].Name != "core-21" || cores[20].Core.Key() != many[19] {
			t.Fatalf("%d cores, %v, want 21", len(cores), err)
		}
	})
}

// TestRemoteOfEmptyMain opens a core that was verified to be empty: main alone,
// until it has a block 0.
func TestRemoteOfEmptyMain(t *testing.T) {
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
	c, err := wst.OpenName(corestore.Namespace{}, "a log", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer wsw.Attach(c.Core, replicate.AttachOptions{}).Detach()
	r := openRemote(t, rst, rsw, c.Key())
	connect(t, wsw, rsw)
	cores, err := r.Cores(within(t))
	if err != nil || names(cores) != "main " || !cores[0].Core.Info().Learned {
		t.Fatalf("Cores = %s, %v, want main alone, learned to be empty", names(cores), err)
	}
	if _, complete := r.Known(); complete {
		t.Fatal("the cores of an empty main are complete")
	}
	if _, err := c.Append(t.Context(), []byte(`{"otherKeys":[`+quoted(key(1))+`]}`)); err != nil {
		t.Fatal(err)
	}
	awaitLength(t, r.Main(), 1)
	if cores, err := r.Cores(within(t)); err != nil || names(cores) != "main core-2 " {
		t.Fatalf("Cores = %s, %v", names(cores), err)
	}
}

// publish writes a core with that block 0 in one store and opens it in another.
func publish(t *testing.T, block string) *Remote {
	t.Helper()
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, t.TempDir(), nil)
	wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
	c, err := wst.OpenName(corestore.Namespace{}, "a log", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Append(t.Context(), []byte(block)); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil { // or its peers may verify that it is empty
		t.Fatal(err)
	}
	a := wsw.Attach(c.Core, replicate.AttachOptions{})
	t.Cleanup(a.Detach)
	r := openRemote(t, rst, rsw, c.Key())
	connect(t, wsw, rsw)
	return r
}

// TestRemoteOfOwn shows the store's own multicore through the same door.
func TestRemoteOfOwn(t *testing.T) {
	st := openStore(t, t.TempDir(), nil)
	own := makeOwn(t, st, nil)
	r := openRemote(t, st, nil, own.Key())
	cores, err := r.Cores(t.Context())
	if err != nil || names(cores) != "main core-2 core-3 " || cores[2].Core != own.cores[placeLong].Core {
		t.Fatalf("Cores = %s, %v, want the own ones", names(cores), err)
	}
}

// TestRemoteRecorded takes block 0 away, as a crash before its flush would: the
// other cores are known all the same.
func TestRemoteRecorded(t *testing.T) {
	st := openStore(t, t.TempDir(), nil)
	r := openRemote(t, st, nil, key(9))
	if err := r.learn([]hypercore.Key{key(1), key(2)}, true); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := openRemote(t, st, nil, key(9))
	if cores, complete := again.Known(); !complete || names(cores) != "main core-2 core-3 " || cores[1].Core.Key() != key(1) {
		t.Fatalf("Known = %s, %t", names(cores), complete)
	}
}

func TestRemoteClose(t *testing.T) {
	st := openStore(t, t.TempDir(), nil)
	sw := newSwarm(t, st)
	r := openRemote(t, st, sw, key(9))
	asked := make(chan error)
	go func() {
		_, err := r.Cores(context.Background())
		asked <- err
	}()
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-asked:
		if !errors.Is(err, ErrClosed) {
			t.Fatalf("Cores of a closed remote = %v, want %v", err, ErrClosed)
		}
	case <-within(t).Done():
		t.Fatal("Cores goes on after Close")
	}
	nobody := openRemote(t, st, nil, key(8))
	if _, err := nobody.Cores(context.Background()); !errors.Is(err, hypercore.ErrNoPeers) {
		t.Fatalf("Cores without a network = %v, want %v", err, hypercore.ErrNoPeers)
	}
}

func awaitLength(t *testing.T, c *hypercore.Core, n uint64) {
	t.Helper()
	await(t, c, fmt.Sprintf("length %d", n), func() bool { return c.Info().Length >= n })
}

func awaitHeld(t *testing.T, c *hypercore.Core, n uint64) {
	t.Helper()
	await(t, c, fmt.Sprintf("%d blocks held", n), func() bool { return c.Info().Contiguous >= n })
}

func await(t *testing.T, c *hypercore.Core, what string, is func() bool) {
	t.Helper()
	ctx := within(t)
	for {
		changed := c.Changed()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("no %s: %+v", what, c.Info())
		}
	}
}
