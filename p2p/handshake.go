package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/blake2b"

	"github.com/libp2p/go-libp2p/core/peer"
)

const nonceSize = 32

var errOwnID = errors.New("peer has our own id")

// handshakeHash binds a stream to its two ends and to this one meeting. It
// gives the same hash on both sides; initiator says whether self is the lower
// id.
func handshakeHash(self, remote peer.ID, ours, theirs [nonceSize]byte) (hash [64]byte, initiator bool, err error) {
	// A peer.ID is the raw multihash as a string, and strings compare bytewise.
	lower, higher, lowerNonce, higherNonce := self, remote, ours, theirs
	switch {
	case self == remote:
		return hash, false, errOwnID
	case remote < self:
		lower, higher, lowerNonce, higherNonce = remote, self, theirs, ours
	}
	h, err := blake2b.New512(nil)
	if err != nil {
		return hash, false, err
	}
	io.WriteString(h, Protocol)
	io.WriteString(h, string(lower))
	io.WriteString(h, string(higher))
	h.Write(lowerNonce[:])
	h.Write(higherNonce[:])
	h.Sum(hash[:0])
	return hash, self < remote, nil
}

// deadliner is the part of a stream that bounds the handshake in time.
type deadliner interface {
	io.ReadWriter
	SetDeadline(time.Time) error
}

// shake sends our random bytes, reads theirs and gives the handshake hash and
// our role. The caller ends s where it fails or where ctx ends.
func shake(ctx context.Context, s deadliner, self, remote peer.ID) (hash [64]byte, initiator bool, err error) {
	if self == remote {
		return hash, false, errOwnID
	}
	var ours, theirs [nonceSize]byte
	if _, err := rand.Read(ours[:]); err != nil {
		return hash, false, err
	}
	if err := s.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return hash, false, err
	}
	if _, err := s.Write(ours[:]); err != nil {
		return hash, false, fmt.Errorf("handshake: %w", err)
	}
	if _, err := io.ReadFull(s, theirs[:]); err != nil {
		return hash, false, fmt.Errorf("handshake: %w", err)
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		return hash, false, err
	}
	if err := ctx.Err(); err != nil {
		return hash, false, err
	}
	return handshakeHash(self, remote, ours, theirs)
}
