package p2p

import (
	"encoding/hex"
	"errors"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// rawID makes an id of an Ed25519 key (identity multihash) that ends in tail.
func rawID(t *testing.T, tail string) peer.ID {
	t.Helper()
	b, err := hex.DecodeString("002408011220" + tail)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestHandshakeHash compares with hashes made by another implementation of
// BLAKE2b from the definition.
func TestHandshakeHash(t *testing.T) {
	var lowerNonce, higherNonce [nonceSize]byte
	for i := range nonceSize {
		lowerNonce[i], higherNonce[i] = byte(i), byte(nonceSize+i)
	}
	for _, tc := range []struct{ desc, lower, higher, want string }{
		{
			"differ in the last byte",
			"0000000000000000000000000000000000000000000000000000000000000001",
			"0000000000000000000000000000000000000000000000000000000000000002",
			"cb6b12c908a8f51fdb73605f59ddbfdf81ba4a2146cb2c9dca2fd65ce704cd6d990d979b0f6f40434e3a159610afc6cdc34a796698208b3694b2513caeb49ed7",
		}, {
			"bytes are unsigned",
			"7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
			"80000000000000000000000000000000000000000000000000000000000000ff",
			"ea6513da445c8f63f64063d5bbc0336dc01a8196bb78ccb26664c1708214599d0ead89a791bd5757980cf5a1ae508f8f3c695364d2d4df2796787821c881c7a9",
		},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			lower, higher := rawID(t, tc.lower), rawID(t, tc.higher)
			got, initiator, err := handshakeHash(lower, higher, lowerNonce, higherNonce)
			if err != nil || !initiator || hex.EncodeToString(got[:]) != tc.want {
				t.Errorf("at the lower id: %x, initiator %v, %v; want %s", got, initiator, err, tc.want)
			}
			same, initiator, err := handshakeHash(higher, lower, higherNonce, lowerNonce)
			if err != nil || initiator || same != got {
				t.Errorf("at the higher id: %x, initiator %v, %v; want %s", same, initiator, err, tc.want)
			}
			swapped, _, _ := handshakeHash(lower, higher, higherNonce, lowerNonce)
			if swapped == got {
				t.Error("the hash does not say whose bytes are whose")
			}
		})
	}
}

func TestHandshakeRefusesOwnID(t *testing.T) {
	id := rawID(t, "0000000000000000000000000000000000000000000000000000000000000001")
	if _, _, err := handshakeHash(id, id, [nonceSize]byte{1}, [nonceSize]byte{2}); !errors.Is(err, errOwnID) {
		t.Errorf("handshakeHash: %v, want %v", err, errOwnID)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, _, err := shake(t.Context(), a, id, id); !errors.Is(err, errOwnID) {
		t.Errorf("shake: %v, want %v", err, errOwnID)
	}
}

// TestShake: both ends get one hash and opposite roles, and the bytes are new
// each time.
func TestShake(t *testing.T) {
	lower := rawID(t, "0000000000000000000000000000000000000000000000000000000000000001")
	higher := rawID(t, "0000000000000000000000000000000000000000000000000000000000000002")
	type result struct {
		hash      [64]byte
		initiator bool
		err       error
	}
	seen := make(map[[64]byte]bool)
	for range 3 {
		a, b := tcpPair(t)
		ch := make(chan result, 1)
		go func() {
			var r result
			r.hash, r.initiator, r.err = shake(t.Context(), b, higher, lower)
			ch <- r
		}()
		hash, initiator, err := shake(t.Context(), a, lower, higher)
		other := <-ch
		if err != nil || other.err != nil {
			t.Fatal(err, other.err)
		}
		if hash != other.hash || !initiator || other.initiator {
			t.Errorf("hashes equal: %v, initiators %v and %v", hash == other.hash, initiator, other.initiator)
		}
		if seen[hash] {
			t.Error("the hash of an earlier handshake again")
		}
		seen[hash] = true
	}
}

// TestShakeShort: a stream that ends in the middle of the random bytes.
func TestShakeShort(t *testing.T) {
	a, b := tcpPair(t)
	b.Write(make([]byte, nonceSize-1))
	b.Close()
	lower := rawID(t, "0000000000000000000000000000000000000000000000000000000000000001")
	higher := rawID(t, "0000000000000000000000000000000000000000000000000000000000000002")
	if _, _, err := shake(t.Context(), a, lower, higher); err == nil {
		t.Error("no error")
	}
}

// tcpPair gives the two ends of a connection with buffers, which a handshake
// needs: both sides write first.
func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}
