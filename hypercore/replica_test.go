package hypercore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// hostile gives copies of a proof, each with one thing changed. What is left
// out changes nothing that is verified: surplus nodes, and the position of the
// request in Seek.
func hostile(p *merkle.Proof) map[string]*merkle.Proof {
	all := make(map[string]*merkle.Proof)
	add := func(name string, change func(q *merkle.Proof)) {
		q := cloneProof(p)
		change(q)
		all[name] = q
	}
	nodes := func(part string, list func(q *merkle.Proof) []merkle.Node) {
		for i := range list(p) {
			name := fmt.Sprintf("%s node %d", part, i)
			add(name+" index", func(q *merkle.Proof) { list(q)[i].Index ^= 2 })
			add(name+" size", func(q *merkle.Proof) { list(q)[i].Size++ })
			add(name+" huge", func(q *merkle.Proof) { list(q)[i].Size = merkle.MaxSize })
			for _, bit := range []int{0, 7, 100, 255} {
				add(fmt.Sprintf("%s hash bit %d", name, bit), func(q *merkle.Proof) { list(q)[i].Hash[bit/8] ^= 1 << (bit % 8) })
			}
		}
	}
	if p.Block != nil {
		nodes("block", func(q *merkle.Proof) []merkle.Node { return q.Block.Nodes })
		add("block index", func(q *merkle.Proof) { q.Block.Index++ })
		add("block longer", func(q *merkle.Proof) { q.Block.Value = append(q.Block.Value, 0) })
		for i := range p.Block.Value {
			add(fmt.Sprintf("block byte %d", i), func(q *merkle.Proof) { q.Block.Value[i] ^= 1 })
		}
		if len(p.Block.Nodes) > 0 {
			add("block path cut", func(q *merkle.Proof) { q.Block.Nodes = q.Block.Nodes[:len(q.Block.Nodes)-1] })
		}
	}
	if p.Upgrade != nil {
		nodes("upgrade", func(q *merkle.Proof) []merkle.Node { return q.Upgrade.Nodes })
		nodes("additional", func(q *merkle.Proof) []merkle.Node { return q.Upgrade.Additional })
		add("upgrade shorter", func(q *merkle.Proof) { q.Upgrade.Length-- })
		add("upgrade longer", func(q *merkle.Proof) { q.Upgrade.Length++ })
		add("no signature", func(q *merkle.Proof) { q.Upgrade.Signature = nil })
		for i := 1; i < 1+1+64; i++ { // the signer and the signature; the counts around them may be larger
			add(fmt.Sprintf("signature byte %d", i), func(q *merkle.Proof) { q.Upgrade.Signature[i] ^= 0x10 })
		}
	}
	if p.Manifest != nil {
		for i := range p.Manifest {
			add(fmt.Sprintf("manifest byte %d", i), func(q *merkle.Proof) { q.Manifest[i] ^= 1 })
		}
	}
	return all
}

func cloneProof(p *merkle.Proof) *merkle.Proof {
	q := *p
	if p.Block != nil {
		b := *p.Block
		b.Value, b.Nodes = bytes.Clone(b.Value), slices.Clone(b.Nodes)
		q.Block = &b
	}
	if p.Hash != nil {
		h := *p.Hash
		h.Nodes = slices.Clone(h.Nodes)
		q.Hash = &h
	}
	if p.Seek != nil {
		s := *p.Seek
		s.Nodes = slices.Clone(s.Nodes)
		q.Seek = &s
	}
	if p.Upgrade != nil {
		u := *p.Upgrade
		u.Nodes, u.Additional, u.Signature = slices.Clone(u.Nodes), slices.Clone(u.Additional), bytes.Clone(u.Signature)
		q.Upgrade = &u
	}
	q.Manifest = bytes.Clone(p.Manifest)
	return &q
}

// content is everything that a core stores.
func content(t testing.TB, k *crash) string {
	t.Helper()
	return fmt.Sprintf("%x\n%x\n%v", k.read("blocks"), k.read("tree"), k.records())
}

// TestHostileProofs: what does not verify is refused and changes nothing.
func TestHostileProofs(t *testing.T) {
	source := own(t, newFlusher(t), 1)
	for length := uint64(1); length <= 8; length++ {
		fill(t, source, length)
		mustFlush(t, source)
		for have := range length {
			for block := range length {
				k := newCrash(t)
				r, err := Open(k.f, Options{Key: testKey(1)})
				k.check(err)
				if have > 0 {
					p, err := source.Prove(merkle.Request{Manifest: true, Upgrade: &merkle.UpgradeRequest{Length: have}})
					k.check(err)
					p.Upgrade.Additional = nil // signed for the whole length: refused below
					if err := r.Apply(p); have < length && !errors.Is(err, ErrBadProof) {
						t.Fatal(err)
					}
				}
				p, err := source.Prove(merkle.Request{Manifest: true, Block: &merkle.BlockRequest{Index: block},
					Upgrade: &merkle.UpgradeRequest{Length: length}})
				k.check(err)
				k.check(r.Flush(context.Background()))
				before := content(t, k)
				for name, q := range hostile(p) {
					if err := r.Apply(q); !errors.Is(err, ErrBadProof) {
						t.Fatalf("length %d, block %d: %s: %v", length, block, name, err)
					}
				}
				if info := r.Info(); info.Length != 0 || info.Learned || content(t, k) != before {
					t.Fatalf("length %d: a refused proof left something: %+v", length, info)
				}
				k.check(r.Apply(p))
				if got, err := r.Block(block); err != nil || !bytes.Equal(got, blockOf(block)) {
					t.Fatalf("block %d: %q, %v", block, got, err)
				}
				k.check(r.Close())
			}
		}
	}
}

// TestHostileBlocks is the same for blocks of a log that is known.
func TestHostileBlocks(t *testing.T) {
	const length = 8
	source := own(t, newFlusher(t), 1)
	fill(t, source, length)
	mustFlush(t, source)
	for first := range uint64(length) {
		for block := range uint64(length) {
			k := newCrash(t)
			r, err := Open(k.f, Options{Key: testKey(1)})
			k.check(err)
			transfer(t, source, r, first)
			if block == first {
				continue
			}
			nodes, err := r.Missing(2 * block)
			k.check(err)
			p, err := source.Prove(merkle.Request{Block: &merkle.BlockRequest{Index: block, Nodes: nodes}})
			k.check(err)
			k.check(r.Flush(context.Background()))
			before := content(t, k)
			for name, q := range hostile(p) {
				if err := r.Apply(q); !errors.Is(err, ErrBadProof) {
					t.Fatalf("block %d: %s: %v", block, name, err)
				}
			}
			if content(t, k) != before || r.Has(block) {
				t.Fatal("a refused proof left something")
			}
			k.check(r.Apply(p))
			k.check(r.Apply(p)) // harmless
			if got, err := r.Block(block); err != nil || !bytes.Equal(got, blockOf(block)) {
				t.Fatalf("block %d: %q, %v", block, got, err)
			}
		}
	}
}

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
	from, to      *Core
	blocks, nodes int
}

func (s *pull) FetchBlock(_ context.Context, i uint64) error {
	s.blocks++
	err := fetchBlock(s.from, s.to, i)
	for try := 0; errors.Is(err, ErrStale) && try < 5; try++ {
		err = fetchBlock(s.from, s.to, i)
	}
	return err
}

func (s *pull) FetchNode(_ context.Context, index uint64) error {
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
