package hypercore

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/blake2b"

	"multicore/hypercore/compact"
)

// Manifest says who may sign a core (spec 3). It is read-only once made, so
// copies of the pointer may be shared.
type Manifest struct {
	Version    uint64 // 0 to 3
	AllowPatch bool   // signatures may be about a longer tree
	Quorum     uint64 // signatures that a tree needs
	Signers    []Signer
	Prologue   *Prologue
	Linked     [][32]byte // nil where absent; from version 2
	UserData   []byte     // nil where absent; from version 2

	// Legacy marks a core without a manifest, whose key is the public key of
	// its one signer. It is not encoded, and peers are never sent it.
	Legacy bool
}

// Signer is an Ed25519 key that may sign.
type Signer struct {
	Namespace [32]byte
	PublicKey [32]byte
}

// Prologue is a tree that needs no signature: the first Length blocks.
type Prologue struct {
	Hash   [32]byte // tree hash
	Length uint64   // blocks
}

// maxManifestVersion is the latest version that is understood.
const maxManifestVersion = 3

// Manifest flags.
const (
	manifestAllowPatch = 1 << iota
	manifestPrologue
	manifestLinked
	manifestUserData
)

// Types of a version 0 manifest.
const (
	v0Static = iota
	v0Single
	v0Multiple
)

// Smallest sizes of a signer and of a linked key.
const (
	signerSize = 1 + 32 + 32
	linkedSize = 32
)

// ErrManifest: bytes are not a manifest that is understood here.
var ErrManifest = errors.New("invalid manifest")

// DefaultManifest is that of a core with one writer.
func DefaultManifest(public ed25519.PublicKey) *Manifest {
	return &Manifest{
		Version: 1,
		Quorum:  1,
		Signers: []Signer{{Namespace: DefaultNamespace, PublicKey: [32]byte(public)}},
	}
}

// LegacyManifest stands for the missing manifest of a legacy core. It is what a
// core is to be taken for when data arrives without a manifest (spec 3).
func LegacyManifest(key Key) *Manifest {
	m := DefaultManifest(key[:])
	m.Legacy = true
	return m
}

// ParseManifest decodes a manifest; the result keeps nothing of b. Bytes behind
// it are ignored, and longer forms of integers accepted: keep and hash what
// Encode gives, not b. Errors are ErrManifest.
func ParseManifest(b []byte) (*Manifest, error) {
	d := compact.NewDecoder(b)
	m := &Manifest{Version: d.Uint()}
	switch {
	case d.Err() == nil && m.Version > maxManifestVersion:
		d.Fail(fmt.Errorf("version %d, at most %d", m.Version, maxManifestVersion))
	case m.Version == 0:
		m.decodeV0(d)
	default:
		m.decode(d)
	}
	if d.Err() == nil && m.Quorum > uint64(len(m.Signers)) {
		d.Fail(fmt.Errorf("quorum %d of %d signers", m.Quorum, len(m.Signers)))
	}
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return m, nil
}

func (m *Manifest) decode(d *compact.Decoder) {
	flags := d.Uint()
	decodeHashType(d)
	m.AllowPatch = flags&manifestAllowPatch != 0
	m.Quorum = d.Uint()
	m.Signers = decodeSigners(d)
	if flags&manifestPrologue != 0 {
		m.Prologue = &Prologue{Hash: d.Fixed32(), Length: d.Uint()}
	}
	if m.Version < 2 {
		return
	}
	if flags&manifestLinked != 0 {
		m.Linked = make([][32]byte, d.Count(linkedSize))
		for i := range m.Linked {
			m.Linked[i] = d.Fixed32()
		}
	}
	if flags&manifestUserData != 0 {
		m.UserData = append([]byte{}, d.Buffer()...)
	}
}

func (m *Manifest) decodeV0(d *compact.Decoder) {
	decodeHashType(d)
	switch kind := d.Uint(); kind {
	case v0Static:
		m.Prologue = &Prologue{Hash: d.Fixed32()}
	case v0Single:
		m.Quorum = 1
		m.Signers = []Signer{decodeSigner(d)}
	case v0Multiple:
		m.AllowPatch = d.Uint()&manifestAllowPatch != 0
		m.Quorum = d.Uint()
		m.Signers = decodeSigners(d)
	default:
		d.Fail(fmt.Errorf("type %d", kind))
	}
}

func decodeHashType(d *compact.Decoder) {
	if hash := d.Uint(); hash != 0 {
		d.Fail(fmt.Errorf("hash type %d", hash))
	}
}

func decodeSigners(d *compact.Decoder) []Signer {
	signers := make([]Signer, d.Count(signerSize))
	for i := range signers {
		signers[i] = decodeSigner(d)
	}
	return signers
}

func decodeSigner(d *compact.Decoder) Signer {
	if kind := d.Uint(); kind != 0 {
		d.Fail(fmt.Errorf("signature type %d", kind))
	}
	return Signer{Namespace: d.Fixed32(), PublicKey: d.Fixed32()}
}

// Encode is the manifest as it is hashed, stored and sent (spec 3).
func (m *Manifest) Encode() []byte {
	if m.Version == 0 {
		return m.encodeV0()
	}
	linked := m.Linked != nil && m.Version >= 2
	userData := m.UserData != nil && m.Version >= 2
	buf := compact.AppendUint(nil, m.Version)
	buf = compact.AppendUint(buf, flag(m.AllowPatch, manifestAllowPatch)|flag(m.Prologue != nil, manifestPrologue)|
		flag(linked, manifestLinked)|flag(userData, manifestUserData))
	buf = compact.AppendUint(buf, 0) // BLAKE2b
	buf = compact.AppendUint(buf, m.Quorum)
	buf = m.appendSigners(buf)
	if m.Prologue != nil {
		buf = compact.AppendFixed32(buf, m.Prologue.Hash)
		buf = compact.AppendUint(buf, m.Prologue.Length)
	}
	if linked {
		buf = compact.AppendUint(buf, uint64(len(m.Linked)))
		for _, key := range m.Linked {
			buf = compact.AppendFixed32(buf, key)
		}
	}
	if userData {
		buf = compact.AppendBuffer(buf, m.UserData)
	}
	return buf
}

func (m *Manifest) encodeV0() []byte {
	buf := []byte{0, 0} // version, BLAKE2b
	switch {
	case m.Prologue != nil && len(m.Signers) == 0:
		return compact.AppendFixed32(append(buf, v0Static), m.Prologue.Hash)
	case m.Quorum == 1 && len(m.Signers) == 1 && !m.AllowPatch:
		return m.Signers[0].append(append(buf, v0Single))
	}
	buf = compact.AppendUint(append(buf, v0Multiple), flag(m.AllowPatch, manifestAllowPatch))
	return m.appendSigners(compact.AppendUint(buf, m.Quorum))
}

func (m *Manifest) appendSigners(buf []byte) []byte {
	buf = compact.AppendUint(buf, uint64(len(m.Signers)))
	for _, s := range m.Signers {
		buf = s.append(buf)
	}
	return buf
}

func (s Signer) append(buf []byte) []byte {
	buf = compact.AppendUint(buf, 0) // Ed25519
	return compact.AppendFixed32(compact.AppendFixed32(buf, s.Namespace), s.PublicKey)
}

func flag(set bool, bit uint64) uint64 {
	if set {
		return bit
	}
	return 0
}

// Key is the core key that belongs to the manifest (spec 3).
func (m *Manifest) Key() Key {
	if m.Legacy && len(m.Signers) == 1 {
		return Key(m.Signers[0].PublicKey)
	}
	return Key(blake2b.Sum256(slices.Concat(manifestNamespace[:], m.Encode())))
}
