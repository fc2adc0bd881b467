package hypercore

import (
	"errors"

	"multicore/hypercore/merkle"
)

var (
	// ErrClosed: the core was closed.
	ErrClosed = errors.New("core is closed")

	// ErrReadOnly: there is no key pair to sign with.
	ErrReadOnly = errors.New("core is not writable here")

	// ErrTooLarge: a block exceeds MaxBlock.
	ErrTooLarge = errors.New("block is too large")

	// ErrPastEnd: an index or offset is at or beyond the length.
	ErrPastEnd = errors.New("past the end of the core")

	// ErrTruncated is joined to ErrPastEnd where a reader waited for what the
	// writer has dropped meanwhile.
	ErrTruncated = errors.New("core was truncated")

	// ErrHeld: the core signs nothing until a peer has answered for it.
	ErrHeld = errors.New("core is held until a peer has answered for it")

	// ErrConflict: the core's key has signed two different logs; the core is
	// frozen (see Conflict).
	ErrConflict = errors.New("core is frozen: its key has signed two different logs")

	// ErrNotHeld: a block is in the core, but not on this machine.
	ErrNotHeld = errors.New("block is not held here")

	// ErrNoPeers is joined to a context's error by a Source where no peer for
	// the core was ever reached.
	ErrNoPeers = errors.New("no peer was reached")

	// ErrEncrypted: the core was written with encryption, and no key was given.
	ErrEncrypted = errors.New("core is encrypted and no encryption key was given")

	// ErrNotEncrypted: a stored block is too short to be an encrypted one.
	ErrNotEncrypted = errors.New("core is not encrypted")

	// ErrBadProof: what a peer sent does not verify.
	ErrBadProof = merkle.ErrBadProof

	// ErrStale: what a peer sent was about a state that the core has left.
	ErrStale = errors.New("proof is about an earlier state")

	// ErrFork: what a peer sent is about a higher fork than ours.
	ErrFork = errors.New("core has a higher fork elsewhere")

	// ErrDamaged: what is stored contradicts the signed head.
	ErrDamaged = errors.New("core is damaged")

	// ErrFailed: data did not reach the disk; the core refuses everything
	// until it is opened anew (EIO).
	ErrFailed = errors.New("core failed to reach the disk; reopen it")
)

// MaxBlock is the largest block in bytes (spec 16).
const MaxBlock = 15 << 20
