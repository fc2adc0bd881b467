package hypercore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"multicore/hypercore/merkle"
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
		for _, have := range []uint64{0, length / 2} {
			for block := length % 2; block < length; block += 2 {
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
