package hypercore_test

import (
	"bytes"
	"errors"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
)

// growTree is the tree of blocks, made by a batch.
func growTree(t *testing.T, fork uint64, blocks [][]byte) (merkle.Tree, nodeMap) {
	t.Helper()
	b := merkle.NewBatch(merkle.Tree{Fork: fork})
	for _, block := range blocks {
		if err := b.Append(block); err != nil {
			t.Fatal(err)
		}
	}
	nodes := nodeMap{}
	nodes.put(b.Nodes())
	return b.Tree(), nodes
}

func TestCoreLengthVectors(t *testing.T) {
	var v struct {
		Key                    hex32
		PublicKey              hexBytes
		ManifestEncoded        hexBytes
		ByteOffsets            []uint64
		AllTreeNodesAtLength20 []vectorNode
		Lengths                []struct {
			Length, Fork, ByteLength uint64
			TreeHash                 hex32
			Signable, SignatureBlob  hexBytes
			RawSignature             hexBytes
		}
	}
	readVectors(t, "core-lengths", &v)
	l := readVectorLog(t)
	if l.manifest.Key() != hypercore.Key(v.Key) || !bytes.Equal(l.manifest.Encode(), v.ManifestEncoded) || !bytes.Equal(l.keyPair.Public, v.PublicKey) {
		t.Fatalf("key %v, manifest %x", l.manifest.Key(), l.manifest.Encode())
	}
	for _, s := range v.Lengths {
		tree, nodes := growTree(t, s.Fork, l.blocks[:s.Length])
		want := l.trees[s.Length]
		if tree.Length != s.Length || tree.ByteLength() != s.ByteLength || tree.Hash() != merkle.Hash(s.TreeHash) || tree.Hash() != want.Hash() {
			t.Errorf("length %d: tree %v", s.Length, tree)
		}
		for index, n := range nodes {
			if l.nodes[index] != n {
				t.Errorf("length %d: node %v, want %v", s.Length, n, l.nodes[index])
			}
		}
		if s.Length == 20 && len(nodes) != len(v.AllTreeNodesAtLength20) {
			t.Errorf("%d nodes, want %d", len(nodes), len(v.AllTreeNodesAtLength20))
		}
		if s.Length < 20 {
			if off, err := merkle.ByteOffset(l.trees[20], l.nodes, 2*s.Length); err != nil || off != v.ByteOffsets[s.Length] {
				t.Errorf("block %d is at %d, %v", s.Length, off, err)
			}
		}
		if got := l.manifest.Signable(0, tree); !bytes.Equal(got, s.Signable) {
			t.Errorf("length %d: signable %x", s.Length, got)
		}
		if s.SignatureBlob == nil { // an empty log was never signed
			continue
		}
		sig, err := l.keyPair.Sign(l.manifest, tree)
		if err != nil || !bytes.Equal(sig, s.SignatureBlob) {
			t.Errorf("length %d: signature %x, %v", s.Length, sig, err)
		}
		if err := l.manifest.Verify(tree, sig); err != nil {
			t.Errorf("length %d: %v", s.Length, err)
		}
		wantRefused(t, l.manifest, tree, nil)
		wantRefused(t, l.manifest, tree, s.RawSignature)
		longer := tree
		longer.Length++
		wantRefused(t, l.manifest, longer, sig)
		forked := tree
		forked.Fork++
		wantRefused(t, l.manifest, forked, sig)
	}
}

func wantRefused(t *testing.T, m *hypercore.Manifest, tree merkle.Tree, sig []byte) {
	t.Helper()
	if err := m.Verify(tree, sig); !errors.Is(err, hypercore.ErrInvalidSignature) {
		t.Errorf("length %d, signature %x: %v, want %v", tree.Length, sig, err, hypercore.ErrInvalidSignature)
	}
}

func TestMultisigVectors(t *testing.T) {
	type signed struct {
		ManifestEncoded hexBytes
		Key             hex32
		Length, Fork    uint64
	}
	var v struct {
		signed
		TreeHash hex32
		Signable hexBytes
		Cases    []struct {
			Label    string
			Blob     hexBytes
			Verifies bool
		}
		PatchCase struct {
			signed
			Blob, BlobWithFlippedPatchNode hexBytes
		}
	}
	readVectors(t, "multisig", &v)
	l := readVectorLog(t)
	open := func(s signed) (*hypercore.Manifest, merkle.Tree) {
		m, err := hypercore.ParseManifest(s.ManifestEncoded)
		if err != nil || m.Key() != hypercore.Key(s.Key) {
			t.Fatalf("manifest: %v", err)
		}
		tree := l.trees[s.Length]
		tree.Fork = s.Fork
		return m, tree
	}
	m, tree := open(v.signed)
	if tree.Hash() != merkle.Hash(v.TreeHash) || !bytes.Equal(m.Signable(0, tree), v.Signable) {
		t.Errorf("signable %x", m.Signable(0, tree))
	}
	for _, c := range v.Cases {
		if err := m.Verify(tree, c.Blob); (err == nil) != c.Verifies {
			t.Errorf("%s: %v, want %v", c.Label, err, c.Verifies)
		}
	}
	m, tree = open(v.PatchCase.signed)
	if err := m.Verify(tree, v.PatchCase.Blob); err != nil {
		t.Errorf("patch: %v", err)
	}
	wantRefused(t, m, tree, v.PatchCase.BlobWithFlippedPatchNode)
	strict := *m
	strict.AllowPatch = false
	wantRefused(t, &strict, tree, v.PatchCase.Blob)
}

func TestLegacyVectors(t *testing.T) {
	var v struct {
		Seed, Key hex32
		Blocks    []string
		Lengths   []struct {
			Length              uint64
			TreeHash            hex32
			Signable, Signature hexBytes
		}
	}
	readVectors(t, "compat", &v)
	kp := hypercore.KeyPairFromSeed(v.Seed)
	m := hypercore.LegacyManifest(hypercore.Key(v.Key))
	for _, s := range v.Lengths {
		var blocks [][]byte
		for _, b := range v.Blocks[:s.Length] {
			blocks = append(blocks, []byte(b))
		}
		tree, _ := growTree(t, 0, blocks)
		if tree.Hash() != merkle.Hash(s.TreeHash) || !bytes.Equal(m.Signable(0, tree), s.Signable) {
			t.Errorf("length %d: signable %x", s.Length, m.Signable(0, tree))
		}
		sig, err := kp.Sign(m, tree)
		if err != nil || !bytes.Equal(sig, s.Signature) {
			t.Errorf("length %d: signature %x, %v", s.Length, sig, err)
		}
		if err := m.Verify(tree, s.Signature); err != nil {
			t.Errorf("length %d: %v", s.Length, err)
		}
		wantRefused(t, m, tree, append(sig, 0))
	}
}

func TestForkVectors(t *testing.T) {
	var v struct {
		Steps []struct {
			Label                   string
			Length, Fork            uint64
			Roots                   []vectorNode
			TreeHash                hex32
			Signable, SignatureBlob hexBytes
		}
	}
	readVectors(t, "fork", &v)
	l := readVectorLog(t)
	for _, s := range v.Steps {
		tree := merkle.Tree{Fork: s.Fork, Length: s.Length, Roots: vectorNodes(s.Roots)}
		if tree.Hash() != merkle.Hash(s.TreeHash) || !bytes.Equal(l.manifest.Signable(0, tree), s.Signable) {
			t.Errorf("%s: signable %x", s.Label, l.manifest.Signable(0, tree))
		}
		sig, err := l.keyPair.Sign(l.manifest, tree)
		if err != nil || !bytes.Equal(sig, s.SignatureBlob) {
			t.Errorf("%s: signature %x, %v", s.Label, sig, err)
		}
		if err := l.manifest.Verify(tree, sig); err != nil {
			t.Errorf("%s: %v", s.Label, err)
		}
	}
}

// Manifests that no vector signs: each kind signs and verifies, and refuses
// each flipped bit and each other kind's signature.
func TestSignAndVerifyKinds(t *testing.T) {
	kp := hypercore.KeyPairFromSeed([32]byte{1})
	other := hypercore.KeyPairFromSeed([32]byte{2})
	single := hypercore.DefaultManifest(kp.Public)
	v0 := *single
	v0.Version = 0
	v0Patch := v0
	v0Patch.AllowPatch = true
	two := *single
	two.Signers = append([]hypercore.Signer{{PublicKey: [32]byte(other.Public)}}, single.Signers...)
	kinds := []*hypercore.Manifest{single, &v0, &v0Patch, &two, hypercore.LegacyManifest(hypercore.Key(kp.Public))}
	tree, _ := growTree(t, 3, [][]byte{[]byte("a"), []byte("bc")})
	for i, m := range kinds {
		sig, err := kp.Sign(m, tree)
		if err != nil {
			t.Fatalf("kind %d: %v", i, err)
		}
		for j, n := range kinds {
			if err := n.Verify(tree, sig); (err == nil) != (i == j) {
				t.Errorf("signature of kind %d by kind %d: %v", i, j, err)
			}
		}
		for bit := range 8 * len(sig) {
			flipped := bytes.Clone(sig)
			flipped[bit/8] ^= 1 << (bit % 8)
			if err := m.Verify(tree, flipped); err == nil && !harmless(m, bit, len(sig)) {
				t.Errorf("kind %d: bit %d of %d does not matter", i, bit, 8*len(sig))
			}
		}
		for n := range sig {
			wantRefused(t, m, tree, sig[:n])
		}
	}
	if _, err := other.Sign(single, tree); err == nil {
		t.Error("a stranger signed")
	}
	two.Quorum = 2
	if _, err := kp.Sign(&two, tree); err == nil {
		t.Error("one of two signed alone")
	}
}

// harmless says that a bit of the blob around a signature is allowed to change:
// the number of blocks that the signed tree is longer, where patches are not
// allowed, and in version 0 the flags that stand for nothing.
func harmless(m *hypercore.Manifest, bit, size int) bool {
	at := bit / 8
	if m.Version == 0 {
		return at == 1 && bit%8 != 0
	}
	return at == size-2
}

func TestPrologue(t *testing.T) {
	kp := hypercore.KeyPairFromSeed([32]byte{1})
	blocks := [][]byte{[]byte("a"), []byte("b"), []byte("c")}
	start, _ := growTree(t, 0, blocks[:2])
	shorter, _ := growTree(t, 0, blocks[:1])
	longer, _ := growTree(t, 0, blocks)
	m := hypercore.DefaultManifest(kp.Public)
	m.Prologue = &hypercore.Prologue{Hash: start.Hash(), Length: 2}
	if err := m.Verify(start, nil); err != nil {
		t.Error(err)
	}
	another, _ := growTree(t, 0, blocks[1:])
	wantRefused(t, m, another, nil)
	sig, err := kp.Sign(m, shorter)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, m, shorter, sig)
	wantRefused(t, m, longer, nil)
	if sig, err = kp.Sign(m, longer); err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(longer, sig); err != nil {
		t.Error(err)
	}
	m.Quorum, m.Signers = 0, nil
	wantRefused(t, m, longer, sig)
}
