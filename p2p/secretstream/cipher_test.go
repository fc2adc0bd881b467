package secretstream

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/poly1305"
)

// slow is the secretstream word for word as spec 10.3 has it.
type slow struct {
	key     [32]byte
	counter uint32
	inonce  [8]byte
}

func newSlow(key [32]byte, header [headerSize]byte) *slow {
	k, err := chacha20.HChaCha20(key[:], header[:16])
	if err != nil {
		panic(err)
	}
	return &slow{key: [32]byte(k), counter: 1, inonce: [8]byte(header[16:])}
}

// xor is b xored with the keystream from a block on.
func (s *slow) xor(block uint32, b []byte) []byte {
	nonce := append(binary.LittleEndian.AppendUint32(nil, s.counter), s.inonce[:]...)
	c, err := chacha20.NewUnauthenticatedCipher(s.key[:], nonce)
	if err != nil {
		panic(err)
	}
	c.SetCounter(block)
	out := make([]byte, len(b))
	c.XORKeyStream(out, b)
	return out
}

func (s *slow) push(m []byte, tag byte) []byte {
	polyKey := [32]byte(s.xor(0, make([]byte, 32)))
	t := s.xor(1, append([]byte{tag}, make([]byte, 63)...))
	c := s.xor(2, m)
	text := slices.Concat(t, c, make([]byte, len(m)%16), make([]byte, 8), binary.LittleEndian.AppendUint64(nil, uint64(64+len(m))))
	var mac [16]byte
	poly1305.Sum(&mac, text, &polyKey)
	subtle.XORBytes(s.inonce[:], s.inonce[:], mac[:8])
	if s.counter++; tag&2 != 0 || s.counter == 0 {
		fresh := s.xor(0, append(s.key[:], s.inonce[:]...))
		s.key, s.inonce, s.counter = [32]byte(fresh), [8]byte(fresh[32:]), 1
	}
	return slices.Concat(t[:1], c, mac[:])
}

// TestSlow compares every short length, and a few long ones, with the slow
// reference, over tags and the wrap of the counter.
func TestSlow(t *testing.T) {
	tx, rx, ref := newDirection(testKey, testHeader), newDirection(testKey, testHeader), newSlow(testKey, testHeader)
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 600 {
		if n >= 300 {
			n = random.IntN(70000)
		}
		if n%50 == 7 {
			tx.counter, rx.counter, ref.counter = 1<<32-1, 1<<32-1, 1<<32-1
		}
		tag := byte(0)
		if n%11 == 0 {
			tag = byte(random.IntN(4))
		}
		m := make([]byte, n)
		for i := range m {
			m[i] = byte(random.Uint32())
		}
		got, want := tx.sealOne(m, tag), ref.push(m, tag)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes with tag %d: %x, want %x", n, tag, got, want)
		}
		if plain, ok := rx.openOne(got); !ok || !bytes.Equal(plain, m) {
			t.Fatalf("%d bytes with tag %d do not open", n, tag)
		}
	}
}

// TestOpenRefuses: what does not authenticate changes nothing, so that the
// right message still opens.
func TestOpenRefuses(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, 100} {
		rx := newDirection(testKey, testHeader)
		good := newDirection(testKey, testHeader).sealOne(make([]byte, n), tagMessage)
		for i := range good {
			for bit := range 8 {
				bad := bytes.Clone(good)
				bad[i] ^= 1 << bit
				if _, ok := rx.openOne(bad); ok {
					t.Fatalf("bit %d of byte %d of %d flipped and opened", bit, i, len(good))
				}
			}
		}
		for cut := Overhead; cut < len(good); cut++ {
			if _, ok := rx.openOne(good[:cut]); ok {
				t.Fatalf("%d of %d bytes opened", cut, len(good))
			}
		}
		if _, ok := rx.openOne(good); !ok {
			t.Fatal("the message itself does not open")
		}
		if _, ok := rx.openOne(good); ok {
			t.Fatal("a message opened twice")
		}
	}
}
