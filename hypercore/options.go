package hypercore

import "log/slog"

// Options of Open.
type Options struct {
	// Key is the core's. Required.
	Key Key

	// Manifest is optional: that of a remote core is learned from peers, and
	// that of an own one follows from KeyPair where there is one writer.
	Manifest *Manifest

	// KeyPair signs. Without it the core is read-only.
	KeyPair *KeyPair

	// Hold makes a new own core sign nothing beyond Unheld blocks until
	// Release; the hold stays over reopening. For a core that the store knows
	// as an own one already it is ignored.
	Hold   bool
	Unheld uint64

	// Settle makes a core that the store knows as an own one sign nothing until
	// Release or Settled: the store may be an older state of itself, which
	// cannot be told, and peers are about to be asked. It is not stored.
	Settle bool

	// Log gets a line for what recovery cuts and for failures. nil: none.
	Log *slog.Logger
}
