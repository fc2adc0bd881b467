package hypercore

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"multicore/hypercore/compact"
	"multicore/hypercore/merkle"
)

// ErrInvalidSignature: a signature does not hold for a tree.
var ErrInvalidSignature = errors.New("invalid signature")

// Smallest sizes of a signature in a blob and of a node.
const (
	proofSize = 1 + ed25519.SignatureSize + 1
	nodeSize  = 1 + 1 + 32
)

// Signable is the message that signer i signs for t (spec 4):
//
//	TREE || context || tree hash || u64 length || u64 fork
//
// The context is the core key, in version 0 the signer's namespace, and of
// legacy cores it is left out.
func (m *Manifest) Signable(i int, t merkle.Tree) []byte {
	buf := make([]byte, 0, 112)
	buf = append(buf, treeNamespace[:]...)
	switch {
	case m.Legacy:
	case m.Version == 0:
		buf = append(buf, m.Signers[i].Namespace[:]...)
	default:
		key := m.Key()
		buf = append(buf, key[:]...)
	}
	hash := t.Hash()
	buf = append(buf, hash[:]...)
	buf = binary.LittleEndian.AppendUint64(buf, t.Length)
	return binary.LittleEndian.AppendUint64(buf, t.Fork)
}

// Verify checks that signature, as peers send and Sign makes it, holds for t
// (spec 4). Up to the length of a prologue no signature is needed, but the tree
// must be the prologue's. Errors are ErrInvalidSignature.
//
// As in JavaScript, signatures beyond the quorum and bytes behind the blob are
// ignored.
func (m *Manifest) Verify(t merkle.Tree, signature []byte) error {
	if p := m.Prologue; p != nil && t.Length <= p.Length {
		if t.Length != p.Length || t.Hash() != p.Hash {
			return fmt.Errorf("%w: not the prologue of %d blocks", ErrInvalidSignature, p.Length)
		}
		return nil
	}
	if m.Quorum == 0 {
		return fmt.Errorf("%w: nobody may sign", ErrInvalidSignature)
	}
	if m.bare() {
		return m.verifyOne(0, t, signature)
	}
	blob, err := decodeSignature(signature, m.Version)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidSignature, err)
	}
	if uint64(len(blob.proofs)) < m.Quorum {
		return fmt.Errorf("%w: %d signatures, want %d", ErrInvalidSignature, len(blob.proofs), m.Quorum)
	}
	used := make(map[uint64]bool)
	for _, p := range blob.proofs[:m.Quorum] {
		if p.signer >= uint64(len(m.Signers)) || used[p.signer] {
			return fmt.Errorf("%w: signer %d of %d is unknown or signed before", ErrInvalidSignature, p.signer, len(m.Signers))
		}
		used[p.signer] = true
		if err := m.verifyProof(t, p, blob.nodes); err != nil {
			return err
		}
	}
	return nil
}

// bare reports whether a signature is 64 bytes without a frame.
func (m *Manifest) bare() bool {
	return m.Legacy || m.Version == 0 && len(m.Signers) == 1 && !m.AllowPatch
}

// verifyOne checks the signature of signer i.
func (m *Manifest) verifyOne(i int, t merkle.Tree, signature []byte) error {
	public := m.Signers[i].PublicKey
	if len(signature) != ed25519.SignatureSize || !ed25519.Verify(public[:], m.Signable(i, t), signature) {
		return fmt.Errorf("%w: of signer %d", ErrInvalidSignature, i)
	}
	return nil
}

// verifyProof checks one signature of a blob. A patched one is about a tree
// that is longer than t by nodes of the blob.
func (m *Manifest) verifyProof(t merkle.Tree, p signatureProof, nodes []merkle.Node) error {
	signed := func(t merkle.Tree) error { return m.verifyOne(int(p.signer), t, p.signature[:]) }
	if p.patch == nil || !m.AllowPatch {
		return signed(t)
	}
	upgrade, err := p.patch.upgrade(t.Length, nodes)
	if err != nil {
		return fmt.Errorf("%w: patch of signer %d: %w", ErrInvalidSignature, p.signer, err)
	}
	if _, err := merkle.Check(t, noNodes{}, &merkle.Proof{Fork: t.Fork, Upgrade: upgrade}, signed); err != nil {
		return fmt.Errorf("%w: patch of signer %d: %w", ErrInvalidSignature, p.signer, err)
	}
	return nil
}

// noNodes is a NodeReader for a tree of which the roots alone are known.
type noNodes struct{}

func (noNodes) Node(uint64) (merkle.Node, bool, error) { return merkle.Node{}, false, nil }

// signatureBlob is what is stored and sent as the signature of a tree.
type signatureBlob struct {
	proofs []signatureProof
	nodes  []merkle.Node
}

type signatureProof struct {
	signer    uint64
	signature [64]byte
	patch     *signaturePatch
}

// signaturePatch says by how much the signed tree is longer.
type signaturePatch struct {
	length uint64
	start  *uint64  // version 0: where the patch starts,
	places []uint64 // and the places of its nodes in the blob
}

// upgrade collects the nodes that lead from a length over the patch. From
// version 1 they are found by their index.
func (p *signaturePatch) upgrade(length uint64, nodes []merkle.Node) (*merkle.UpgradeProof, error) {
	u := &merkle.UpgradeProof{Start: length, Length: p.length}
	if p.start != nil {
		u.Start = *p.start
		for _, place := range p.places {
			if place >= uint64(len(nodes)) {
				return nil, fmt.Errorf("node %d of %d", place, len(nodes))
			}
			u.Nodes = append(u.Nodes, nodes[place])
		}
		return u, nil
	}
	if length > merkle.MaxLength || p.length > merkle.MaxLength-length {
		return nil, fmt.Errorf("%d blocks", p.length)
	}
	byIndex := make(map[uint64]merkle.Node, len(nodes))
	for _, n := range nodes {
		byIndex[n.Index] = n
	}
	for _, chunk := range merkle.Chunks(length, length+p.length) {
		n, ok := byIndex[chunk]
		if !ok {
			return nil, fmt.Errorf("node %d is missing", chunk)
		}
		u.Nodes = append(u.Nodes, n)
	}
	return u, nil
}

func decodeSignature(b []byte, version uint64) (signatureBlob, error) {
	d := compact.NewDecoder(b)
	var blob signatureBlob
	blob.proofs = make([]signatureProof, d.Count(proofSize))
	for i := range blob.proofs {
		if version == 0 {
			blob.proofs[i] = decodeProofV0(d)
		} else {
			blob.proofs[i] = decodeProof(d)
		}
	}
	blob.nodes = make([]merkle.Node, d.Count(nodeSize))
	for i := range blob.nodes {
		blob.nodes[i] = merkle.Node{Index: d.Uint(), Size: d.Uint(), Hash: d.Fixed32()}
	}
	return blob, d.Err()
}

func decodeProof(d *compact.Decoder) signatureProof {
	p := signatureProof{signer: d.Uint(), signature: d.Fixed64()}
	if length := d.Uint(); length > 0 {
		p.patch = &signaturePatch{length: length}
	}
	return p
}

func decodeProofV0(d *compact.Decoder) signatureProof {
	flags := d.Uint()
	p := signatureProof{signer: d.Uint(), signature: d.Fixed64()}
	if flags&1 != 0 {
		start := d.Uint()
		p.patch = &signaturePatch{start: &start, length: d.Uint()}
		p.patch.places = make([]uint64, d.Count(1))
		for i := range p.patch.places {
			p.patch.places[i] = d.Uint()
		}
	}
	return p
}
