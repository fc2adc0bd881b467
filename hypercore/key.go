package hypercore

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/blake2b"
)

// Key is a core key: the right to read a core. It is the hash of the core's
// manifest, or, of a legacy core, the public key that signs it (spec 3).
type Key [32]byte

// DiscoveryKey names a core in public: who knows it can look for peers, and
// read nothing (spec 2).
type DiscoveryKey [32]byte

// KeyError says why a text is not a key.
type KeyError struct{ reason string }

func (e *KeyError) Error() string { return "not a key: " + e.reason }

func keyError(format string, args ...any) error {
	return &KeyError{reason: fmt.Sprintf(format, args...)}
}

// keyScheme may stand before the text of a key.
const keyScheme = "multicore:"

// zAlphabet is that of z-base-32 (spec 1).
const zAlphabet = "ybndrfg8ejkmcpqxot1uwisza345h769"

// Sizes of a key's text.
const (
	hexLength = 64
	zLength   = 52
)

// ParseKey reads 64 hex or 52 z-base-32 characters of either case, with or
// without "multicore:" before them. Errors are *KeyError.
func ParseKey(s string) (Key, error) {
	s = strings.TrimPrefix(s, keyScheme)
	switch n := utf8.RuneCountInString(s); n {
	case hexLength:
		return parseHexKey(s)
	case zLength:
		return parseZKey(s)
	default:
		return Key{}, keyError("%d characters, want %d hex or %d z-base-32", n, hexLength, zLength)
	}
}

func parseHexKey(s string) (Key, error) {
	var k Key
	for i, r := range []rune(s) {
		digit := strings.IndexRune("0123456789abcdef", lower(r))
		if digit < 0 {
			return Key{}, keyError("character %q at %d is not hex", r, i+1)
		}
		k[i/2] = k[i/2]<<4 | byte(digit)
	}
	return k, nil
}

func parseZKey(s string) (Key, error) {
	var k Key
	var bits, have uint // bits not yet written, and how many
	at := 0
	for i, r := range []rune(s) {
		digit := strings.IndexRune(zAlphabet, lower(r))
		if digit < 0 {
			return Key{}, keyError("character %q at %d is not z-base-32", r, i+1)
		}
		bits, have = bits<<5|uint(digit), have+5
		if have >= 8 && at < len(k) {
			have -= 8
			k[at] = byte(bits >> have)
			at++
			bits &= 1<<have - 1
		}
	}
	if bits != 0 {
		return Key{}, keyError("the last character holds more than the end of a key")
	}
	return k, nil
}

// lower is the lower case of an ASCII letter; other alphabets stay as they are.
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		r += 'a' - 'A'
	}
	return r
}

// String is the key in lower-case hex.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// LogValue keeps the right to read out of logs: they name the core in public.
func (k Key) LogValue() slog.Value { return slog.StringValue("of core " + k.Discovery().String()) }

// ZBase32 is the key in z-base-32, 52 characters.
func (k Key) ZBase32() string {
	out := make([]byte, 0, zLength)
	var bits, have uint
	for _, b := range k {
		bits, have = bits<<8|uint(b), have+8
		for have >= 5 {
			have -= 5
			out = append(out, zAlphabet[bits>>have&31])
		}
		bits &= 1<<have - 1
	}
	return string(append(out, zAlphabet[bits<<(5-have)&31]))
}

// Discovery is the core's discovery key: BLAKE2b("hypercore"; key = k).
func (k Key) Discovery() DiscoveryKey {
	return DiscoveryKey(keyedHash(k[:], []byte("hypercore")))
}

// String is the discovery key in lower-case hex.
func (d DiscoveryKey) String() string { return hex.EncodeToString(d[:]) }

// Capability proves on a stream that its sender knows key; initiator is the
// sender's role, so that what is received cannot be sent back (spec 12). The
// handshake hash, of 64 bytes, binds it to the stream.
func Capability(key Key, handshakeHash []byte, initiator bool) [32]byte {
	role := replicateResponder
	if initiator {
		role = replicateInitiator
	}
	return keyedHash(handshakeHash, role[:], key[:])
}

// The namespaces that keep hashes and signatures of different purposes apart
// (spec 2).
var (
	treeNamespace      = namespace("hypercore", 0)
	replicateInitiator = namespace("hypercore", 1)
	replicateResponder = namespace("hypercore", 2)
	manifestNamespace  = namespace("hypercore", 3)

	// DefaultNamespace is that of the signer in a default manifest.
	DefaultNamespace = namespace("hypercore", 4)
)

func namespace(name string, i byte) [32]byte {
	h := blake2b.Sum256([]byte(name))
	return blake2b.Sum256(append(h[:], i))
}

// keyedHash is BLAKE2b-256 of the parts; the key has 1 to 64 bytes.
func keyedHash(key []byte, parts ...[]byte) (sum [32]byte) {
	h, err := blake2b.New256(key)
	if err != nil || len(key) == 0 {
		panic(fmt.Sprintf("hypercore: hash key of %d bytes", len(key)))
	}
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}
