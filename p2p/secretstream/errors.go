package secretstream

import "errors"

var (
	// ErrHandshake says that the peer does not speak the protocol, or that
	// somebody tampered with the handshake.
	ErrHandshake = errors.New("secret stream: bad handshake")

	// ErrFrame says that a frame has a length that no frame may have.
	ErrFrame = errors.New("secret stream: bad frame")

	// ErrForged says that a frame is not what the peer sent next.
	ErrForged = errors.New("secret stream: frame does not authenticate")
)
