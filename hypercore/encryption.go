package hypercore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/salsa20"
)

// Encryption says how the blocks of a core are encrypted (spec 17). Peers see,
// hash and exchange the stored bytes, so who has the core key and not this key
// can hold and serve the core without reading it. There is no authentication
// besides the Merkle tree's.
type Encryption struct {
	Key [32]byte

	// BlockKey: Key is what blocks are encrypted with, not what that is derived
	// from, so that this core alone can be shared.
	BlockKey bool
}

// encryptionNamespace keeps block keys apart from other hashes (spec 17).
var encryptionNamespace = namespace("hypercore", 5)

// blockPadding is what the encryption of a block adds in front of it, in bytes.
const blockPadding = 8

// SetEncryption makes everything that reads and writes blocks by their contents
// (Append, Block, Get, Seek, Extent, ReadAt, Info.ByteLength) work on the plain
// blocks. It is for all users of the core, and to be called before them: on a
// core that is encrypted already it changes nothing where the key is the same,
// and is an error where it is not. A core that was written with encryption once
// refuses Append without: ErrEncrypted. The key is not stored.
func (c *Core) SetEncryption(e Encryption) error {
	if !c.encryption.CompareAndSwap(nil, &encryption{Encryption: e}) {
		if c.encryption.Load().Encryption != e {
			return errors.New("core is in use with another encryption key")
		}
		return nil
	}
	c.write.Lock()
	defer c.write.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own && !c.encrypted {
		c.encrypted, c.infoDirty = true, true
		c.flusher.mark(c)
	}
	return nil
}

// encryption is an Encryption and the cipher that follows from it once the kind
// of core is known.
type encryption struct {
	Encryption
	once   sync.Once
	cipher *cipher
}

// cipher is nil where blocks are read as they are stored. It is called where a
// block is held or made, so that the manifest is known if there is one.
func (c *Core) cipher() *cipher {
	e := c.encryption.Load()
	if e == nil {
		return nil
	}
	e.once.Do(func() {
		m := c.Manifest()
		e.cipher = newCipher(e.Encryption, c.key, m == nil || m.Legacy)
	})
	return e.cipher
}

// padding is the part of each stored block that is not the reader's.
func (c *Core) padding() uint64 {
	if c.encryption.Load() == nil {
		return 0
	}
	return blockPadding
}

// plainSize is what a reader sees of that many blocks with that many bytes.
func (c *Core) plainSize(blocks, size uint64) uint64 {
	return size - min(size, c.padding()*blocks)
}

// cipher encrypts and decrypts the blocks of one core. Safe for concurrent use.
type cipher struct {
	block, blinding [32]byte
}

// newCipher gives the cipher of a core; legacy: the core key is a public key.
func newCipher(e Encryption, key Key, legacy bool) *cipher {
	c := &cipher{block: e.Key}
	switch {
	case e.BlockKey:
	case legacy:
		c.block = keyedHash(key[:], e.Key[:])
	default:
		parts := make([]byte, 0, 96)
		parts = append(parts, encryptionNamespace[:]...)
		parts = append(parts, key[:]...)
		c.block = blake2b.Sum256(append(parts, e.Key[:]...))
	}
	c.blinding = blake2b.Sum256(c.block[:])
	return c
}

// encrypt gives the stored form of a block, which is blockPadding bytes longer.
// Two different blocks of one index and fork share their key stream, so they
// must not both be shown to anyone.
func (c *cipher) encrypt(index, fork uint64, plain []byte) []byte {
	stored := make([]byte, blockPadding+len(plain))
	var nonce [24]byte
	binary.LittleEndian.PutUint64(nonce[:], index)
	binary.LittleEndian.PutUint64(stored, fork)
	salsa20.XORKeyStream(stored[:blockPadding], stored[:blockPadding], nonce[:], &c.blinding)
	copy(nonce[8:], stored[:blockPadding])
	salsa20.XORKeyStream(stored[blockPadding:], plain, nonce[:], &c.block)
	return stored
}

// decrypt turns the stored form of a block into the block, in place.
func (c *cipher) decrypt(index uint64, stored []byte) ([]byte, error) {
	if len(stored) < blockPadding {
		return nil, fmt.Errorf("block %d of %d bytes: %w", index, len(stored), ErrNotEncrypted)
	}
	var nonce [24]byte
	binary.LittleEndian.PutUint64(nonce[:], index)
	copy(nonce[8:], stored[:blockPadding])
	plain := stored[blockPadding:]
	salsa20.XORKeyStream(plain, plain, nonce[:], &c.block)
	return plain, nil
}
