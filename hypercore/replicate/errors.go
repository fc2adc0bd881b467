package replicate

import (
	"errors"
	"fmt"
)

var (
	// ErrMisbehaved says that a peer broke the protocol, asked for too much
	// or sent a proof that does not hold, and should be kept away for a while.
	ErrMisbehaved = errors.New("peer misbehaved")

	// ErrClosed says that the swarm, or the attachment, was closed.
	ErrClosed = errors.New("replication is closed")

	// ErrIdle says that nothing came from a peer for too long.
	ErrIdle = errors.New("peer fell silent")
)

// blame is an error that the peer is to blame for.
func blame(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMisbehaved, fmt.Errorf(format, args...))
}
