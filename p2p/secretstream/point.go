package secretstream

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"io"

	"filippo.io/edwards25519"
)

const keySize = 32

// KeyPair is an Ed25519 key pair as used for Diffie-Hellman. It is not changed
// after it was made.
type KeyPair struct {
	private *edwards25519.Scalar
	public  [keySize]byte
}

// NewKeyPair derives a key pair from a seed (spec 10.1).
func NewKeyPair(seed [32]byte) *KeyPair {
	h := sha512.Sum512(seed[:])
	// Clamping reduces mod the group order, which changes no product with a
	// point of the prime-order subgroup; others are refused.
	a, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	if err != nil {
		panic("secretstream: " + err.Error()) // only for another length
	}
	k := &KeyPair{private: a}
	copy(k.public[:], new(edwards25519.Point).ScalarBaseMult(a).Bytes())
	return k
}

// Public is the compressed public key.
func (k *KeyPair) Public() [32]byte { return k.public }

// GenerateKeyPair makes a key pair from 32 bytes of random; nil is crypto/rand.
func GenerateKeyPair(random io.Reader) (*KeyPair, error) {
	if random == nil {
		random = rand.Reader
	}
	var seed [32]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, err
	}
	return NewKeyPair(seed), nil
}

var (
	errNotCanonical = errors.New("point is not canonically encoded")
	errNotOnCurve   = errors.New("point is not on the curve")
	errSmallOrder   = errors.New("point is of small order")
	errSubgroup     = errors.New("point is not in the prime-order subgroup")
)

// minusOne is the group order less one.
var minusOne = func() *edwards25519.Scalar {
	one := make([]byte, 32)
	one[0] = 1
	s, err := edwards25519.NewScalar().SetCanonicalBytes(one)
	if err != nil {
		panic("secretstream: " + err.Error())
	}
	return s.Negate(s)
}()

// parsePoint reads a public key of the peer and refuses those with which a
// shared secret would be predictable.
func parsePoint(b []byte) (*edwards25519.Point, error) {
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		return nil, errNotOnCurve
	}
	if !bytes.Equal(p.Bytes(), b) {
		return nil, errNotCanonical
	}
	identity := edwards25519.NewIdentityPoint()
	if new(edwards25519.Point).MultByCofactor(p).Equal(identity) == 1 {
		return nil, errSmallOrder
	}
	order := new(edwards25519.Point).ScalarMult(minusOne, p)
	if order.Add(order, p).Equal(identity) != 1 {
		return nil, errSubgroup
	}
	return p, nil
}

// dh gives the shared secret with the owner of a public key.
func (k *KeyPair) dh(remote []byte) ([]byte, error) {
	p, err := parsePoint(remote)
	if err != nil {
		return nil, err
	}
	return new(edwards25519.Point).ScalarMult(k.private, p).Bytes(), nil
}
