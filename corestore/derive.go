package corestore

import (
	"crypto/ed25519"
	"hash"

	"golang.org/x/crypto/blake2b"

	"multicore/hypercore"
)

// Namespace keeps equal names apart (spec 5). The zero value is the root.
type Namespace [32]byte

// Sub is the namespace of that name inside n.
func (n Namespace) Sub(name string) (sub Namespace) {
	sum(newHash(nil), &sub, n[:], []byte(name))
	return sub
}

// seedContext is the constant CORESTORE (spec 2).
var seedContext = func() (context [32]byte) {
	var name [32]byte
	sum(newHash(nil), &name, []byte("corestore"))
	sum(newHash(nil), &context, name[:], []byte{0})
	return context
}()

// deriveKeyPair gives the key pair of a name (spec 5).
func deriveKeyPair(primary [32]byte, ns Namespace, name string) hypercore.KeyPair {
	var seed [ed25519.SeedSize]byte
	sum(newHash(primary[:]), &seed, seedContext[:], ns[:], []byte(name))
	return hypercore.KeyPairFromSeed(seed)
}

// fingerprint tells primary keys apart without giving them away.
func fingerprint(primary [32]byte) (print [32]byte) {
	sum(newHash(primary[:]), &print, []byte("multicore primary key fingerprint"))
	return print
}

func newHash(key []byte) hash.Hash {
	h, err := blake2b.New256(key)
	if err != nil {
		panic("corestore: " + err.Error()) // only for keys over 64 bytes
	}
	return h
}

func sum[T ~[32]byte](h hash.Hash, out *T, parts ...[]byte) {
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum((*out)[:0])
}
