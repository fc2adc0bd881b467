package secretstream

import (
	"crypto/cipher"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"hash"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/chacha20poly1305"
)

const (
	protocolName = "Noise_XX_Ed25519_ChaChaPoly_BLAKE2b"

	macSize = 16

	message1Size = keySize
	message2Size = keySize + keySize + macSize + macSize
	message3Size = keySize + macSize + macSize
)

var errNotAuthentic = errors.New("message does not authenticate")

// noise is one end of the handshake (spec 10.1): the symmetric state and the
// keys. Messages are written and read in the order of the pattern XX.
type noise struct {
	hash      [64]byte
	chain     [64]byte
	aead      cipher.AEAD // nil until the first key
	nonce     uint64
	static    *KeyPair
	ephemeral *KeyPair

	remoteEphemeral [keySize]byte
	remoteStatic    [keySize]byte
}

func newNoise(static, ephemeral *KeyPair) *noise {
	n := &noise{static: static, ephemeral: ephemeral}
	copy(n.hash[:], protocolName)
	n.chain = n.hash
	n.mixHash(nil) // the empty prologue
	return n
}

func (n *noise) mixHash(data []byte) {
	h := newHash()
	h.Write(n.hash[:])
	h.Write(data)
	h.Sum(n.hash[:0])
}

func newHash() hash.Hash {
	h, err := blake2b.New512(nil)
	if err != nil {
		panic("secretstream: " + err.Error()) // only for a long key
	}
	return h
}

func mac(key []byte, parts ...[]byte) (sum [64]byte) {
	h := hmac.New(newHash, key)
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// expand derives two outputs from the chain and what is mixed in.
func (n *noise) expand(input []byte) (a, b [64]byte) {
	prk := mac(n.chain[:], input)
	a = mac(prk[:], []byte{1})
	b = mac(prk[:], a[:], []byte{2})
	return a, b
}

func (n *noise) mixKey(local *KeyPair, remote []byte) error {
	secret, err := local.dh(remote)
	if err != nil {
		return err
	}
	a, b := n.expand(secret)
	n.chain, n.nonce = a, 0
	n.aead, err = chacha20poly1305.New(b[:32])
	return err
}

func (n *noise) next() []byte {
	var nonce [12]byte
	binary.LittleEndian.PutUint64(nonce[4:], n.nonce)
	n.nonce++
	return nonce[:]
}

// seal adds plain, encrypted, to a message.
func (n *noise) seal(message, plain []byte) []byte {
	c := n.aead.Seal(nil, n.next(), plain, n.hash[:])
	n.mixHash(c)
	return append(message, c...)
}

func (n *noise) open(c []byte) ([]byte, error) {
	plain, err := n.aead.Open(nil, n.next(), c, n.hash[:])
	if err != nil {
		return nil, errNotAuthentic
	}
	n.mixHash(c)
	return plain, nil
}

// write1 gives message 1, of the initiator: e.
func (n *noise) write1() []byte {
	n.mixHash(n.ephemeral.public[:])
	n.mixHash(nil) // the empty payload
	return n.ephemeral.public[:]
}

func (n *noise) read1(m []byte) {
	copy(n.remoteEphemeral[:], m)
	n.mixHash(m)
	n.mixHash(nil)
}

// write2 gives message 2, of the responder: e, ee, s, es.
func (n *noise) write2() ([]byte, error) {
	m := append([]byte(nil), n.ephemeral.public[:]...)
	n.mixHash(m)
	if err := n.mixKey(n.ephemeral, n.remoteEphemeral[:]); err != nil {
		return nil, err
	}
	m = n.seal(m, n.static.public[:])
	if err := n.mixKey(n.static, n.remoteEphemeral[:]); err != nil {
		return nil, err
	}
	return n.seal(m, nil), nil
}

func (n *noise) read2(m []byte) error {
	copy(n.remoteEphemeral[:], m)
	n.mixHash(m[:keySize])
	if err := n.mixKey(n.ephemeral, n.remoteEphemeral[:]); err != nil {
		return err
	}
	return n.readStatic(m[keySize:], n.ephemeral)
}

// write3 gives message 3, of the initiator: s, se.
func (n *noise) write3() ([]byte, error) {
	m := n.seal(nil, n.static.public[:])
	if err := n.mixKey(n.static, n.remoteEphemeral[:]); err != nil {
		return nil, err
	}
	return n.seal(m, nil), nil
}

func (n *noise) read3(m []byte) error { return n.readStatic(m, n.ephemeral) }

// readStatic reads the peer's static key, mixes it with a key of ours and
// checks the empty payload.
func (n *noise) readStatic(m []byte, local *KeyPair) error {
	s, err := n.open(m[:keySize+macSize])
	if err != nil {
		return err
	}
	copy(n.remoteStatic[:], s)
	if err := n.mixKey(local, n.remoteStatic[:]); err != nil {
		return err
	}
	_, err = n.open(m[keySize+macSize:])
	return err
}

// split gives the keys of the two directions, the initiator's first.
func (n *noise) split() (initiator, responder [32]byte) {
	a, b := n.expand(nil)
	return [32]byte(a[:32]), [32]byte(b[:32])
}
