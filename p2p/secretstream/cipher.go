package secretstream

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"slices"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/poly1305"
)

const (
	headerSize = 24

	// blockSize is the room before a plaintext that the tag takes while a
	// frame is encrypted or decrypted in place.
	blockSize = 64

	tagMessage = 0
	tagRekey   = 2 // also a bit of the final tag
)

// direction is the state of crypto_secretstream_xchacha20poly1305 for one
// direction (spec 10.3).
//
// Its mac is not that of the AEAD ChaCha20-Poly1305, but what it encrypts, the
// tag in a block of 64 bytes and then the message from block 1 on, is. So the
// AEAD does it, many times faster than chacha20 alone where there is assembly
// for it; its mac is thrown away.
type direction struct {
	key     [32]byte
	counter uint32
	inonce  [8]byte
	aead    cipher.AEAD
}

func newDirection(key [32]byte, header [headerSize]byte) *direction {
	sub, err := chacha20.HChaCha20(key[:], header[:16])
	if err != nil {
		panic("secretstream: " + err.Error()) // only for other lengths
	}
	d := &direction{counter: 1, inonce: [8]byte(header[16:])}
	d.setKey(sub)
	return d
}

func (d *direction) setKey(key []byte) {
	copy(d.key[:], key)
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic("secretstream: " + err.Error())
	}
	d.aead = aead
}

func (d *direction) nonce() (n [12]byte) {
	binary.LittleEndian.PutUint32(n[:], d.counter)
	copy(n[4:], d.inonce[:])
	return n
}

// keystream gives the blocks 0 and 1 for a nonce.
func (d *direction) keystream(nonce [12]byte) (blocks [2 * blockSize]byte) {
	c, err := chacha20.NewUnauthenticatedCipher(d.key[:], nonce[:])
	if err != nil {
		panic("secretstream: " + err.Error())
	}
	c.XORKeyStream(blocks[:], blocks[:])
	return blocks
}

// seal encrypts the plaintext buf[64:] in place and gives a frame's content,
// from the end of the tag's block to behind the mac. With room for 16 bytes more behind buf
// nothing is allocated.
func (d *direction) seal(buf []byte, tag byte) (content []byte) {
	nonce := d.nonce()
	blocks := d.keystream(nonce)
	buf = slices.Grow(buf, macSize) // else the AEAD does not work in place
	clear(buf[:blockSize])
	buf[0] = tag
	d.aead.Seal(buf[:0], nonce[:], buf, nil)
	sum := authenticate(&blocks, buf)
	buf[blockSize-1] = buf[0]
	content = append(buf, sum[:]...)[blockSize-1:]
	d.step(sum, tag)
	return content
}

// open decrypts in place what seal made of it: buf[63:] is a frame's content.
// The plaintext is buf[64:len(buf)-16]. Where it fails nothing was decrypted.
func (d *direction) open(buf []byte) (plain []byte, ok bool) {
	nonce := d.nonce()
	blocks := d.keystream(nonce)
	got := [macSize]byte(buf[len(buf)-macSize:])
	buf = buf[:len(buf)-macSize]
	first := buf[blockSize-1]
	copy(buf[:blockSize], blocks[blockSize:])
	buf[0] = first
	sum := authenticate(&blocks, buf)
	if subtle.ConstantTimeCompare(got[:], sum[:]) != 1 {
		return nil, false
	}
	d.aead.Seal(buf[:0], nonce[:], buf, nil)
	d.step(sum, buf[0])
	return buf[blockSize:], true
}

// authenticate gives the mac of a block and a ciphertext.
func authenticate(blocks *[2 * blockSize]byte, text []byte) (sum [macSize]byte) {
	key := [32]byte(blocks[:32])
	h := poly1305.New(&key)
	h.Write(text)
	var end [15 + 16]byte // libsodium pads with n mod 16 zeros, whatever is missing
	n := (len(text) - blockSize) % 16
	binary.LittleEndian.PutUint64(end[n+8:], uint64(len(text)))
	h.Write(end[:n+16])
	h.Sum(sum[:0])
	return sum
}

// step moves on to the next message.
func (d *direction) step(sum [macSize]byte, tag byte) {
	subtle.XORBytes(d.inonce[:], d.inonce[:], sum[:8])
	d.counter++
	if tag&tagRekey != 0 || d.counter == 0 {
		blocks := d.keystream(d.nonce())
		subtle.XORBytes(blocks[:40], blocks[:40], append(d.key[:], d.inonce[:]...))
		copy(d.inonce[:], blocks[32:40])
		d.setKey(blocks[:32])
		d.counter = 1
	}
}
