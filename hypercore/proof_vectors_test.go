package hypercore_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// prove answers a request as a writer of that length would.
func (l *vectorLog) prove(length int, r wire.Request) ([]byte, error) {
	p, err := merkle.Prove(l.trees[length], l.nodes, r.Request)
	if err != nil {
		return nil, err
	}
	if p.Block != nil {
		p.Block.Value = l.blocks[p.Block.Index]
	}
	if p.Upgrade != nil {
		p.Upgrade.Signature = l.signatures[length]
	}
	if r.Manifest {
		p.Manifest = l.manifest.Encode()
	}
	return wire.Data{ID: r.ID, Proof: *p}.Append(nil), nil
}

// replica is a reader that checks what it is sent and keeps what holds, as
// section 8.3 says.
type replica struct {
	key      hypercore.Key
	tree     merkle.Tree
	nodes    nodeMap
	blocks   map[uint64][]byte
	manifest *hypercore.Manifest
}

func newReplica(key hypercore.Key) *replica {
	return &replica{key: key, nodes: nodeMap{}, blocks: map[uint64][]byte{}}
}

func (r *replica) receive(payload []byte) error {
	data, err := wire.ParseData(payload)
	if err != nil {
		return err
	}
	manifest := r.manifest
	if manifest == nil && data.Manifest != nil {
		if manifest, err = hypercore.ParseManifest(data.Manifest); err != nil {
			return err
		}
		if manifest.Key() != r.key {
			return fmt.Errorf("%w: manifest of another core", hypercore.ErrBadProof)
		}
	}
	c, err := merkle.Check(r.tree, r.nodes, &data.Proof, func(t merkle.Tree) error {
		m := manifest
		if m == nil {
			m = hypercore.LegacyManifest(r.key)
		}
		return m.Verify(t, data.Upgrade.Signature)
	})
	if err != nil {
		return err
	}
	r.tree, r.manifest = c.Tree, manifest
	r.nodes.put(c.Nodes)
	if c.Block != nil {
		r.blocks[c.Block.Index] = c.Block.Value
	}
	return nil
}

func TestProofVectors(t *testing.T) {
	var v struct {
		Key   hex32
		Cases []struct {
			Label                 string
			SenderLength          int
			RequestWire, DataWire hexBytes
			Error                 string
		}
	}
	readVectors(t, "proofs", &v)
	l := readVectorLog(t)
	if len(v.Cases) != 235 {
		t.Fatalf("%d cases", len(v.Cases))
	}
	for _, c := range v.Cases {
		name := fmt.Sprintf("%s of %d", c.Label, c.SenderLength)
		r, err := wire.ParseRequest(c.RequestWire)
		if err != nil || !bytes.Equal(r.Append(nil), c.RequestWire) {
			t.Errorf("%s: request %+v, %v", name, r, err)
			continue
		}
		r.ID = 1
		got, err := l.prove(c.SenderLength, r)
		if c.Error != "" {
			if !errors.Is(err, merkle.ErrInvalidRequest) {
				t.Errorf("%s: %x, %v, want %v", name, got, err, merkle.ErrInvalidRequest)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, c.DataWire) {
			t.Errorf("%s:\n got %x, %v\nwant %x", name, got, err, []byte(c.DataWire))
			continue
		}
		// A reader that has what the request takes for granted accepts it.
		reader := newReplica(hypercore.Key(v.Key))
		reader.manifest = l.manifest
		from := c.SenderLength
		if r.Upgrade != nil {
			from = int(r.Upgrade.Start)
		}
		reader.tree = l.trees[from]
		reader.nodes.put(reader.tree.Roots)
		l.preload(reader, r)
		if err := reader.receive(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for index, n := range reader.nodes {
			if l.nodes[index] != n {
				t.Errorf("%s: stored node %v, want %v", name, n, l.nodes[index])
			}
		}
	}
}

// preload gives the reader the node that the path of a request ends at.
func (l *vectorLog) preload(r *replica, req wire.Request) {
	index, levels := uint64(0), uint64(0)
	switch {
	case req.Block != nil:
		index, levels = 2*req.Block.Index, req.Block.Nodes
	case req.Hash != nil:
		index, levels = req.Hash.Index, req.Hash.Nodes
	default:
		return
	}
	for range levels {
		index = merkle.Parent(index)
	}
	if _, hi := merkle.Span(index); hi < 2*r.tree.Length {
		r.nodes[index] = l.nodes[index]
	}
}

func TestVerifyVectors(t *testing.T) {
	var v struct {
		Key     hex32
		Results []struct {
			Label         string
			ReaderPreload []hexBytes
			DataWire      hexBytes
			Accepted      bool
			After         struct {
				Length, ByteLength uint64
				HasManifest        bool
				Roots              []vectorNode
			}
			StoredNodes, HasBlocks []uint64
		}
	}
	readVectors(t, "verify", &v)
	l := readVectorLog(t)
	if len(v.Results) != 35 {
		t.Fatalf("%d results", len(v.Results))
	}
	for _, c := range v.Results {
		r := newReplica(hypercore.Key(v.Key))
		for _, p := range c.ReaderPreload {
			if err := r.receive(p); err != nil {
				t.Fatalf("%s: preload: %v", c.Label, err)
			}
		}
		err := r.receive(c.DataWire)
		if (err == nil) != c.Accepted {
			t.Errorf("%s: %v, want accepted %v", c.Label, err, c.Accepted)
		}
		if err != nil && !errors.Is(err, hypercore.ErrBadProof) {
			t.Errorf("%s: %v, want %v", c.Label, err, hypercore.ErrBadProof)
		}
		if r.tree.Length != c.After.Length || r.tree.ByteLength() != c.After.ByteLength ||
			!slices.Equal(r.tree.Roots, vectorNodes(c.After.Roots)) || (r.manifest != nil) != c.After.HasManifest {
			t.Errorf("%s: afterwards %+v", c.Label, r.tree)
		}
		stored := []uint64{}
		for index, n := range r.nodes {
			stored = append(stored, index)
			if l.nodes[index] != n {
				t.Errorf("%s: stored node %v, want %v", c.Label, n, l.nodes[index])
			}
		}
		if slices.Sort(stored); !slices.Equal(stored, c.StoredNodes) {
			t.Errorf("%s: stored nodes %v, want %v", c.Label, stored, c.StoredNodes)
		}
		held := []uint64{}
		for i := range r.blocks {
			held = append(held, i)
		}
		if slices.Sort(held); !slices.Equal(held, c.HasBlocks) {
			t.Errorf("%s: blocks %v, want %v", c.Label, held, c.HasBlocks)
		}
	}
}

// A legacy core's upgrade comes without a manifest (spec 3).
func TestLegacyUpgradeVector(t *testing.T) {
	var v struct {
		Key             hex32
		UpgradeDataWire hexBytes
	}
	readVectors(t, "compat", &v)
	r := newReplica(hypercore.Key(v.Key))
	if err := r.receive(v.UpgradeDataWire); err != nil || r.tree.Length != 3 {
		t.Errorf("length %d, %v", r.tree.Length, err)
	}
	for bit := range 8 * len(v.UpgradeDataWire) {
		flipped := bytes.Clone(v.UpgradeDataWire)
		flipped[bit/8] ^= 1 << (bit % 8)
		if bit >= 5 && bit < 16 { // flags without a meaning, and the request's id
			continue
		}
		r := newReplica(hypercore.Key(v.Key))
		if err := r.receive(flipped); err == nil && r.tree.Length > 0 {
			t.Errorf("bit %d of %d does not matter", bit, 8*len(v.UpgradeDataWire))
		}
	}
}

// The proof of a truncated log verifies against an empty tree of the new fork,
// and against nothing else (spec 9).
func TestForkProofVectors(t *testing.T) {
	var v struct {
		Key                                               hex32
		ForkProofDataWire, ForkProofAfterTruncateDataWire hexBytes
	}
	readVectors(t, "fork", &v)
	for _, payload := range []hexBytes{v.ForkProofDataWire, v.ForkProofAfterTruncateDataWire} {
		r := newReplica(hypercore.Key(v.Key))
		if err := r.receive(payload); !errors.Is(err, hypercore.ErrBadProof) {
			t.Errorf("on fork 0: %v", err)
		}
		r.tree.Fork = 1
		if err := r.receive(payload); err != nil || r.tree.Length == 0 || r.manifest == nil {
			t.Errorf("on fork 1: %v", err)
		}
	}
}
