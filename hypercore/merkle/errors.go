package merkle

import (
	"errors"
	"fmt"
)

var (
	// ErrBadProof: a proof is malformed, contradicts what is stored, or is not
	// signed. Whoever made it is to blame, or our own nodes are damaged.
	ErrBadProof = errors.New("bad proof")

	// ErrInvalidRequest: no prover of this tree could answer the request.
	ErrInvalidRequest = errors.New("invalid request")

	// ErrMissingNode: a node that is needed is not stored. A MissingNodeError
	// says which.
	ErrMissingNode = errors.New("missing node")
)

// MissingNodeError names the node that is not stored; it is an ErrMissingNode.
type MissingNodeError struct{ Index uint64 }

func (e *MissingNodeError) Error() string { return fmt.Sprintf("%v %d", ErrMissingNode, e.Index) }
func (e *MissingNodeError) Unwrap() error { return ErrMissingNode }

// MismatchError names the stored node that a proof does not lead to; it is an
// ErrBadProof.
type MismatchError struct{ Index uint64 }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%v: path does not lead to stored node %d", ErrBadProof, e.Index)
}
func (e *MismatchError) Unwrap() error { return ErrBadProof }

// badProof is an ErrBadProof that says what was wrong.
func badProof(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadProof, fmt.Sprintf(format, args...))
}
