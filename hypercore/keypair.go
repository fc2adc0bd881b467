package hypercore

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"multicore/hypercore/compact"
	"multicore/hypercore/merkle"
)

// KeyPair is an Ed25519 key pair: the right to append.
type KeyPair struct {
	Public ed25519.PublicKey
	Secret ed25519.PrivateKey // seed || public key
}

// KeyPairFromSeed makes the key pair of a 32-byte seed (spec 2).
func KeyPairFromSeed(seed [32]byte) KeyPair {
	secret := ed25519.NewKeyFromSeed(seed[:])
	return KeyPair{Public: secret.Public().(ed25519.PublicKey), Secret: secret}
}

// Sign makes the signature of t that m.Verify accepts and that peers are sent:
// a blob with one signature, or the bare 64 bytes where the manifest wants them
// (spec 4). It fails where k is not a signer of m, or m wants several.
func (k KeyPair) Sign(m *Manifest, t merkle.Tree) ([]byte, error) {
	i := slices.IndexFunc(m.Signers, func(s Signer) bool { return slices.Equal(s.PublicKey[:], k.Public) })
	if i < 0 {
		return nil, fmt.Errorf("key pair is not a signer of core %s", m.Key())
	}
	if m.Quorum != 1 {
		return nil, fmt.Errorf("core %s wants %d signatures", m.Key(), m.Quorum)
	}
	sig := ed25519.Sign(k.Secret, m.Signable(i, t))
	if m.bare() {
		return sig, nil
	}
	blob := compact.AppendUint(nil, 1)
	if m.Version == 0 {
		blob = compact.AppendUint(blob, 0) // no patch
	}
	blob = compact.AppendUint(blob, uint64(i))
	blob = append(blob, sig...)
	if m.Version > 0 {
		blob = compact.AppendUint(blob, 0) // no patch
	}
	return compact.AppendUint(blob, 0), nil // no nodes
}
