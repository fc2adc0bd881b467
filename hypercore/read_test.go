package hypercore

import (
	"context"
	"errors"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// prover is a Source that proves from another core. With a shift it lies about
// how the bytes of the node that a seek travels with and its sibling are
// shared, which no hash covers (merkle.Check).
type prover struct {
	from, to *Core
	shift    uint64
}

func (p *prover) give(r merkle.Request) error {
	proof, err := p.from.Prove(r)
	if err != nil {
		return err
	}
	if h := proof.Hash; h != nil && len(h.Nodes) > 1 && h.Nodes[1].Size > p.shift {
		h.Nodes[0].Size += p.shift
		h.Nodes[1].Size -= p.shift
	}
	return p.to.Apply(proof)
}

func (p *prover) FetchBlock(_ context.Context, i uint64) error {
	for {
		nodes, err := p.to.Missing(2 * i)
		if err == nil {
			err = p.give(merkle.Request{Block: &merkle.BlockRequest{Index: i, Nodes: nodes}})
		}
		if !errors.Is(err, ErrStale) { // else the log was cleared meanwhile
			return err
		}
	}
}

func (p *prover) FetchNode(context.Context, uint64) error { return nil }

func (p *prover) FetchSeek(_ context.Context, bytes uint64) error {
	hash, done, err := p.to.SeekPath(bytes)
	if err != nil || done {
		return err
	}
	return p.give(merkle.Request{Hash: &hash, Seek: &merkle.SeekRequest{Bytes: bytes}})
}

func (p *prover) Refresh(context.Context) error { return nil }
func (p *prover) Connected() bool               { return true }

// A read of a sparse core never gives bytes that are not held: each of 8 blocks
// of 4 bytes read in pieces, with some of them held and the others fetched.
func TestReadAtFetchesWhatItCovers(t *testing.T) {
	ctx := context.Background()
	const text = "aaaabbbbccccddddeeeeffffgggghhhh"
	from := own(t, newFlusher(t), 1)
	for i := 0; i < len(text); i += 4 {
		if _, err := from.Append(ctx, []byte(text[i:i+4])); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for _, held := range [][]uint64{nil, {7}, {7, 4}, {0, 3, 5}} {
		for off := range len(text) {
			for _, n := range []int{1, 2, 4, 5, 9} {
				want := text[off:min(off+n, len(text))]
				for _, shift := range []uint64{0, 3} {
					to := replica(t, newFlusher(t), 1)
					p := &prover{from: from, to: to}
					if err := p.give(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: 8}, Manifest: true}); err != nil {
						t.Fatal(err)
					}
					to.SetSource(p)
					for _, i := range held {
						if err := p.FetchBlock(ctx, i); err != nil {
							t.Fatal(err)
						}
					}
					p.shift = shift
					got := make([]byte, len(want))
					if _, err := to.ReadAt(ctx, got, uint64(off)); err != nil || string(got) != want {
						t.Fatalf("held %v, lie %d: read %d at %d: %q, %v; want %q", held, p.shift, n, off, got, err, want)
					}
				}
			}
		}
	}
}

// A read that the disk fails gives no bytes.
func TestReadAtFails(t *testing.T) {
	faults := &storagetest.Faults{FS: storage.MemoryFS()}
	c := own(t, flusherOf(t, storage.MemoryOn(faults)), 1)
	fill(t, c, 5)
	faults.Hook(func(op storagetest.Op, name string) error {
		if op == storagetest.Read && path.Base(name) == "blocks" {
			return syscall.EIO
		}
		return nil
	})
	if n, err := c.ReadAt(context.Background(), make([]byte, 10), 1); n != 0 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("read: %d, %v", n, err)
	}
}

// interrupted is a prover that ends the reader's context at the nth fetch of a
// block, which it does not answer.
type interrupted struct {
	prover
	cancel context.CancelFunc
	left   atomic.Int64
	one    sync.Mutex // the prover does one thing at a time
}

func (s *interrupted) FetchBlock(ctx context.Context, i uint64) error {
	if s.left.Add(-1) < 0 {
		s.cancel()
		return ctx.Err()
	}
	s.one.Lock()
	defer s.one.Unlock()
	return s.prover.FetchBlock(ctx, i)
}

// A read whose context ends, before it or at any of its fetches, gives bytes that
// are held or an error, never what is in the file where a block is missing.
func TestReadAtInterrupted(t *testing.T) {
	const text = "aaaabbbbccccddddeeeeffffgggghhhh"
	from := own(t, newFlusher(t), 1)
	for i := 0; i < len(text); i += 4 {
		if _, err := from.Append(t.Context(), []byte(text[i:i+4])); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, held := range [][]uint64{nil, {7}, {0, 3, 5}, {0, 1, 2, 3, 4, 5, 6, 7}} {
		for fetched := range int64(8) {
			to := replica(t, newFlusher(t), 1)
			ctx, cancel := context.WithCancel(t.Context())
			s := &interrupted{prover: prover{from: from, to: to}, cancel: cancel}
			if err := s.give(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: 8}, Manifest: true}); err != nil {
				t.Fatal(err)
			}
			to.SetSource(s)
			for _, i := range held {
				if err := s.prover.FetchBlock(ctx, i); err != nil {
					t.Fatal(err)
				}
			}
			s.left.Store(fetched)
			p := make([]byte, len(text))
			for range 2 { // the second time ctx has ended before
				n, err := to.ReadAt(ctx, p, 0)
				missing := len(held) < 8 && fetched < int64(8-len(held))
				if missing && (n != 0 || !errors.Is(err, context.Canceled)) || !missing && (err != nil || string(p) != text) {
					t.Fatalf("held %v, interrupted at fetch %d: read %q, %v", held, fetched, p[:n], err)
				}
			}
			cancel()
			if n, err := to.ReadAt(ctx, p, 0); err == nil && string(p[:n]) != text {
				t.Fatalf("held %v, after %d fetches: read %q", held, fetched, p[:n])
			}
		}
	}
}
