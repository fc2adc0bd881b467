package hypercore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// testPair is the key pair of the cores in these tests; n tells them apart.
func testPair(n byte) KeyPair { return KeyPairFromSeed([32]byte{n, 'c', 'o', 'r', 'e'}) }

func testKey(n byte) Key { return DefaultManifest(testPair(n).Public).Key() }

// own opens a writable core.
func own(t testing.TB, f *Flusher, n byte, set ...func(*Options)) *Core {
	t.Helper()
	pair := testPair(n)
	o := Options{Key: testKey(n), KeyPair: &pair, Log: testLog(t)}
	for _, fn := range set {
		fn(&o)
	}
	return mustOpen(t, f, o)
}

// replica opens the same core without its key pair.
func replica(t testing.TB, f *Flusher, n byte) *Core {
	t.Helper()
	return mustOpen(t, f, Options{Key: testKey(n), Log: testLog(t)})
}

func mustOpen(t testing.TB, f *Flusher, o Options) *Core {
	t.Helper()
	c, err := Open(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if testing.Verbose() {
		w.t.Logf("%s", bytes.TrimSpace(p))
	}
	return len(p), nil
}

// newFlusher is one over memory, closed with the test.
func newFlusher(t testing.TB) *Flusher {
	t.Helper()
	return flusherOf(t, storage.Memory())
}

func flusherOf(t testing.TB, st storage.Store) *Flusher {
	t.Helper()
	f := NewFlusher(st, testLog(t))
	t.Cleanup(func() {
		f.Close()
		st.Close()
	})
	return f
}

// diskStore is one in a temporary directory.
func diskStore(t testing.TB) storage.Store {
	t.Helper()
	st, err := storage.Open(t.TempDir(), storage.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// stores runs a test over both storages.
func stores(t *testing.T, fn func(t *testing.T, f *Flusher)) {
	t.Run("memory", func(t *testing.T) { fn(t, newFlusher(t)) })
	t.Run("disk", func(t *testing.T) { fn(t, flusherOf(t, diskStore(t))) })
}

// blockOf is block i of the test logs: sizes from 0 up.
func blockOf(i uint64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%d,", i), int(i*7%11))
}

func fill(t testing.TB, c *Core, to uint64) {
	t.Helper()
	for i := c.Info().Length; i < to; i++ {
		if got, err := c.Append(context.Background(), blockOf(i)); err != nil || got != i {
			t.Fatalf("append %d: %d, %v", i, got, err)
		}
	}
}

func mustFlush(t testing.TB, c *Core) {
	t.Helper()
	if err := c.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// checkLog reads every block, extent and byte of a core that holds all.
func checkLog(t testing.TB, c *Core, length uint64, block func(uint64) []byte) {
	t.Helper()
	if info := c.Info(); info.Length != length || info.Contiguous != length {
		t.Fatalf("length %d, contiguous %d, want %d", info.Length, info.Contiguous, length)
	}
	ctx := context.Background()
	var all []byte
	for i := range length {
		want := block(i)
		got, err := c.Block(i)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("block %d: %q, %v, want %q", i, got, err, want)
		}
		off, size, err := c.LocalExtent(i)
		if err != nil || off != uint64(len(all)) || size != uint64(len(want)) {
			t.Fatalf("extent %d: %d+%d, %v, want %d+%d", i, off, size, err, len(all), len(want))
		}
		for within := range want {
			if j, w, err := c.Seek(ctx, off+uint64(within)); err != nil || j != i || w != uint64(within) {
				t.Fatalf("seek %d: block %d, %d, %v, want %d, %d", off+uint64(within), j, w, err, i, within)
			}
		}
		all = append(all, want...)
	}
	if got := c.Info().ByteLength; got != uint64(len(all)) {
		t.Fatalf("byte length %d, want %d", got, len(all))
	}
	if i, w, err := c.Seek(ctx, uint64(len(all))); err != nil || i != length || w != 0 {
		t.Fatalf("seek end: %d, %d, %v", i, w, err)
	}
	if len(all) > 0 {
		got := make([]byte, len(all))
		if n, err := c.ReadAt(ctx, got, 0); err != nil || n != len(all) || !bytes.Equal(got, all) {
			t.Fatalf("read all: %d, %v", n, err)
		}
	}
	if _, err := c.Block(length); !errors.Is(err, ErrPastEnd) {
		t.Fatalf("block past the end: %v", err)
	}
}

// transfer brings a replica to the head of from, and to hold the given blocks.
func transfer(t testing.TB, from, to *Core, blocks ...uint64) {
	t.Helper()
	if err := upgrade(from, to); err != nil {
		t.Fatal(err)
	}
	for _, i := range blocks {
		if err := fetchBlock(from, to, i); err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
	}
}

func upgrade(from, to *Core) error {
	head, have := from.Head(), to.Head()
	if head.Length <= have.Length {
		return nil
	}
	p, err := from.Prove(merkle.Request{Fork: head.Fork, Manifest: to.Manifest() == nil,
		Upgrade: &merkle.UpgradeRequest{Start: have.Length, Length: head.Length - have.Length}})
	if err != nil {
		return err
	}
	return to.Apply(p)
}

func fetchBlock(from, to *Core, i uint64) error {
	nodes, err := to.Missing(2 * i)
	if err != nil {
		return err
	}
	p, err := from.Prove(merkle.Request{Fork: to.Head().Fork, Block: &merkle.BlockRequest{Index: i, Nodes: nodes}})
	if err != nil {
		return err
	}
	return to.Apply(p)
}

func TestAppendReadReopen(t *testing.T) {
	stores(t, func(t *testing.T, f *Flusher) {
		c := own(t, f, 1)
		for to := range uint64(40) {
			fill(t, c, to)
			checkLog(t, c, to, blockOf)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = own(t, f, 1)
		checkLog(t, c, 39, blockOf)
		if info := c.Info(); info.Durable != 39 || info.Grown.IsZero() {
			t.Fatalf("%+v", info)
		}
		head := c.Head()
		if err := c.Manifest().Verify(head.Tree, head.Signature); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReplicaHoldsWhatItFetched(t *testing.T) {
	stores(t, func(t *testing.T, f *Flusher) {
		c := own(t, f, 1)
		r := replica(t, newFlusher(t), 1)
		if r.Info().Learned {
			t.Fatal("learned from nothing")
		}
		for length := uint64(1); length < 34; length += 3 {
			fill(t, c, length)
			mustFlush(t, c)
			transfer(t, c, r)
			order := rand.Perm(int(length))
			for _, i := range order {
				if r.Has(uint64(i)) {
					continue
				}
				if _, err := r.Block(uint64(i)); !errors.Is(err, ErrNotHeld) {
					t.Fatalf("block %d before: %v", i, err)
				}
				transfer(t, c, r, uint64(i))
			}
			checkLog(t, r, length, blockOf)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r = replica(t, r.flusher, 1)
			checkLog(t, r, length, blockOf)
			if info := r.Info(); !info.Learned || info.Writable || info.Durable != length {
				t.Fatalf("%+v", info)
			}
		}
	})
}
