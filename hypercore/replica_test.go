package hypercore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// TestForksAreRefused: nothing of another fork is stored.
func TestForksAreRefused(t *testing.T) {
	source := own(t, newFlusher(t), 1)
	fill(t, source, 5)
	mustFlush(t, source)
	r := replica(t, newFlusher(t), 1)
	p, err := source.Prove(merkle.Request{Manifest: true, Upgrade: &merkle.UpgradeRequest{Length: 5}})
	if err != nil {
		t.Fatal(err)
	}
	p.Fork = 1
	if err := r.Apply(p); !errors.Is(err, ErrFork) || errors.Is(err, ErrBadProof) || r.Info().Learned {
		t.Fatal(err)
	}
	if _, err := source.Prove(merkle.Request{Fork: 1, Block: &merkle.BlockRequest{}}); !errors.Is(err, ErrNotHeld) {
		t.Fatal(err)
	}
	p, err = source.Prove(merkle.Request{Fork: 1, Manifest: true})
	if err != nil || p.Fork != 1 || p.Manifest == nil || p.Upgrade != nil {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := r.Apply(p); err != nil || !r.Info().Learned || r.Manifest() == nil {
		t.Fatalf("a manifest alone: %v, %+v", err, r.Info())
	}
}

// TestTornNodesAreAskedAgain damages each stored node of a replica: no peer is
// blamed, and the core gets well.
func TestTornNodesAreAskedAgain(t *testing.T) {
	const length = 8 // one root, so that every other node has a parent
	source := own(t, newFlusher(t), 1)
	fill(t, source, length)
	mustFlush(t, source)
	for index := range uint64(2*length - 1) {
		if index == length-1 {
			continue
		}
		for _, tear := range []string{"erased", "garbled"} {
			f := newFlusher(t)
			r := replica(t, f, 1)
			transfer(t, source, r, 0, 5)
			stored, ok, err := r.files.Node(index)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				continue
			}
			if tear == "erased" {
				err = r.files.EraseNodes([]uint64{index})
			} else {
				stored.Hash[3] ^= 8
				err = r.files.WriteNodes([]merkle.Node{stored})
			}
			if err != nil {
				t.Fatal(err)
			}
			r.SetSource(&pull{from: source, to: r})
			for try := 0; try < 2 || r.Info().Contiguous < length; try++ { // the second time finds all at rest
				for i := range uint64(length) {
					if _, err := r.Get(context.Background(), i); err != nil {
						t.Fatalf("node %d %s: block %d: %v", index, tear, i, err)
					}
					if err := fetchBlock(source, r, i); err != nil && !errors.Is(err, ErrStale) {
						t.Fatalf("node %d %s: block %d: %v", index, tear, i, err)
					}
				}
				if try > 5 {
					t.Fatalf("node %d %s: %+v", index, tear, r.Info())
				}
			}
			checkLog(t, r, length, blockOf)
		}
	}
}

// pull is a Source that asks one other core and counts what it fetched.
type pull struct {
	from, to *Core

	mu            sync.Mutex // one at a time, as the counts and ErrStale want it
	blocks, nodes int
}

func (s *pull) FetchBlock(_ context.Context, i uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks++
	err := fetchBlock(s.from, s.to, i)
	for try := 0; errors.Is(err, ErrStale) && try < 5; try++ {
		err = fetchBlock(s.from, s.to, i)
	}
	return err
}

func (s *pull) FetchNode(_ context.Context, index uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes++
	missing, err := s.to.Missing(index)
	if err != nil {
		return err
	}
	p, err := s.from.Prove(merkle.Request{Hash: &merkle.HashRequest{Index: index, Nodes: missing}})
	if err != nil {
		return err
	}
	return s.to.Apply(p)
}

func (s *pull) FetchSeek(_ context.Context, bytes uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes++
	hash, done, err := s.to.SeekPath(bytes)
	if err != nil || done {
		return err
	}
	p, err := s.from.Prove(merkle.Request{Hash: &hash, Seek: &merkle.SeekRequest{Bytes: bytes}})
	if err != nil {
		return err
	}
	return s.to.Apply(p)
}

func (s *pull) Refresh(context.Context) error { return upgrade(s.from, s.to) }
func (s *pull) Connected() bool               { return true }

// TestSparseReads: each way of reading fetches what it needs and no more.
func TestSparseReads(t *testing.T) {
	ctx := context.Background()
	for _, length := range []uint64{1, 2, 3, 7, 8, 21, 64, 100} {
		source := own(t, newFlusher(t), 1)
		fill(t, source, length)
		mustFlush(t, source)
		for i := range length {
			want := blockOf(i)
			off, size, err := source.LocalExtent(i)
			if err != nil {
				t.Fatal(err)
			}
			get := func(read func(r *Core) error) *pull {
				t.Helper()
				r := replica(t, newFlusher(t), 1)
				s := &pull{from: source, to: r}
				r.SetSource(s)
				if err := read(r); err != nil {
					t.Fatalf("length %d, block %d: %v", length, i, err)
				}
				return s
			}
			if s := get(func(r *Core) error {
				got, err := r.Get(ctx, i)
				if !bytes.Equal(got, want) {
					return fmt.Errorf("%q, %w", got, err)
				}
				return err
			}); s.blocks != 1 {
				t.Fatalf("get: %d blocks", s.blocks)
			}
			if s := get(func(r *Core) error {
				o, n, err := r.Extent(ctx, i)
				if o != off || n != size {
					return fmt.Errorf("extent %d+%d, want %d+%d, %w", o, n, off, size, err)
				}
				return err
			}); s.blocks != 0 || s.nodes > 1 {
				t.Fatalf("extent: %d blocks, %d nodes", s.blocks, s.nodes)
			}
			for within := range want {
				if s := get(func(r *Core) error {
					j, w, err := r.Seek(ctx, off+uint64(within))
					if j != i || w != uint64(within) {
						return fmt.Errorf("seek to %d, %d, %w", j, w, err)
					}
					return err
				}); s.blocks != 0 || s.nodes > 3 {
					t.Fatalf("seek: %d blocks, %d nodes", s.blocks, s.nodes)
				}
			}
			if size == 0 {
				continue
			}
			if s := get(func(r *Core) error {
				p := make([]byte, size)
				if n, err := r.ReadAt(ctx, p, off); n != len(p) || !bytes.Equal(p, want) {
					return fmt.Errorf("read %d: %q, %w", n, p, err)
				}
				return nil
			}); s.blocks != 1 {
				t.Fatalf("read: %d blocks", s.blocks)
			}
		}
	}
}

// TestReadAtRanges reads every range of a log of which nothing is held at first.
func TestReadAtRanges(t *testing.T) {
	const length = 9
	ctx := context.Background()
	source := own(t, newFlusher(t), 1)
	for i := range uint64(length) {
		if _, err := source.Append(ctx, small(i)); err != nil {
			t.Fatal(err)
		}
	}
	mustFlush(t, source)
	all := make([]byte, source.Info().ByteLength)
	if _, err := source.ReadAt(ctx, all, 0); err != nil {
		t.Fatal(err)
	}
	for off := range len(all) + 1 {
		for n := range len(all) + 3 - off {
			r := replica(t, newFlusher(t), 1)
			s := &pull{from: source, to: r}
			r.SetSource(s)
			p := make([]byte, n)
			got, err := r.ReadAt(ctx, p, uint64(off))
			want := all[off:min(off+n, len(all))]
			short := off+n > len(all) || off == len(all)
			if !bytes.Equal(p[:got], want) || short != (err == io.EOF) || err != nil && err != io.EOF {
				t.Fatalf("read %d at %d: %q, %v, want %q", n, off, p[:got], err, want)
			}
			for i := range uint64(length) {
				start, size, _ := source.LocalExtent(i)
				covered := n > 0 && size > 0 && int(start) < off+n && int(start+size) > off
				if size > 0 && r.Has(i) != covered {
					t.Fatalf("read %d at %d: block %d is held: %v", n, off, i, r.Has(i))
				}
			}
		}
	}
}

func TestReadsWithoutPeers(t *testing.T) {
	ctx := context.Background()
	r := replica(t, newFlusher(t), 1)
	if _, err := r.Get(ctx, 0); !errors.Is(err, ErrNoPeers) {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(ctx, make([]byte, 1), 0); !errors.Is(err, ErrNoPeers) || err == io.EOF {
		t.Fatal(err)
	}
	source := own(t, newFlusher(t), 1)
	fill(t, source, 9)
	mustFlush(t, source)
	transfer(t, source, r, 4)
	if _, err := r.Get(ctx, 5); !errors.Is(err, ErrNoPeers) || !errors.Is(err, ErrNotHeld) {
		t.Fatal(err)
	}
	if _, err := r.Get(ctx, 9); !errors.Is(err, ErrPastEnd) {
		t.Fatal(err)
	}
	if _, err := r.Append(ctx, nil); !errors.Is(err, ErrReadOnly) {
		t.Fatal(err)
	}
	if err := r.Update(ctx); !errors.Is(err, ErrNoPeers) {
		t.Fatal(err)
	}
}

// TestDamagedReplicaStartsAnew: a replica whose roots are gone does not show an
// empty log; it waits for its head.
func TestDamagedReplicaStartsAnew(t *testing.T) {
	source := own(t, newFlusher(t), 1)
	fill(t, source, 8)
	mustFlush(t, source)
	f := newFlusher(t)
	r := replica(t, f, 1)
	transfer(t, source, r, 0, 1, 2)
	r.Close()
	if err := f.store.Files(storage.ID(r.id)).EraseNodes([]uint64{7}); err != nil {
		t.Fatal(err)
	}
	r = replica(t, f, 1)
	if info := r.Info(); info.Learned || info.Length != 0 || r.Has(0) {
		t.Fatalf("%+v", info)
	}
	r.SetSource(&pull{from: source, to: r})
	for i := range uint64(8) {
		if got, err := r.Get(context.Background(), i); err != nil || !bytes.Equal(got, blockOf(i)) {
			t.Fatalf("block %d: %q, %v", i, got, err)
		}
	}
	checkLog(t, r, 8, blockOf)
}

// TestLegacyCore: the key is the public key, and there is no manifest.
func TestLegacyCore(t *testing.T) {
	pair := testPair(1)
	key := Key(pair.Public)
	source := mustOpen(t, newFlusher(t), Options{Key: key, KeyPair: &pair})
	fill(t, source, 5)
	mustFlush(t, source)
	if source.Head().HasManifest {
		t.Fatal("legacy core has a manifest to give")
	}
	f := newFlusher(t)
	r := mustOpen(t, f, Options{Key: key})
	transfer(t, source, r, 0, 1, 2, 3, 4)
	checkLog(t, r, 5, blockOf)
	r.Close()
	r = mustOpen(t, f, Options{Key: key})
	checkLog(t, r, 5, blockOf)
	fill(t, source, 7)
	mustFlush(t, source)
	transfer(t, source, r, 5, 6)
	checkLog(t, r, 7, blockOf)
}

// TestPrologue: the first blocks of a core whose manifest names them need no
// signature, and no upgrade may stop within them or go around them.
func TestPrologue(t *testing.T) {
	const length = 3
	pair := testPair(1)
	draft := own(t, newFlusher(t), 1)
	fill(t, draft, length)
	mustFlush(t, draft)
	m := DefaultManifest(pair.Public)
	m.Prologue = &Prologue{Hash: draft.Head().Hash(), Length: length}
	open := func(pair *KeyPair) *Core {
		return mustOpen(t, newFlusher(t), Options{Key: m.Key(), Manifest: m, KeyPair: pair})
	}
	source, other := open(&pair), open(&pair)
	fill(t, source, 6)
	mustFlush(t, source)
	for i := range uint64(6) {
		if _, err := other.Append(context.Background(), late(i)); err != nil {
			t.Fatal(err)
		}
	}
	mustFlush(t, other)
	r := open(nil)
	if err := upgrade(other, r); !errors.Is(err, ErrBadProof) {
		t.Fatalf("a log that goes around the prologue: %v", err)
	}
	head := source.Head()
	for _, n := range []uint64{1, 2, 6} {
		p, err := merkle.Prove(head.Tree, source.files, merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: n}})
		if err != nil {
			t.Fatal(err)
		}
		p.Upgrade.Signature = head.Signature
		if err := r.Apply(p); !errors.Is(err, ErrBadProof) {
			t.Fatalf("an upgrade of %d blocks that does not show the prologue: %v", n, err)
		}
	}
	transfer(t, source, r, 0, 1, 2, 3, 4, 5)
	checkLog(t, r, 6, blockOf)
}
