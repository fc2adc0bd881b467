package p2p

import "fmt"

// OptionError says that an address or a mode in Options makes no sense: the
// user can put it right.
type OptionError struct {
	Option string // "listen", "bootstrap", "peer", "dht", "hypercore-listen" or "hypercore-peer"
	Value  string
	Err    error
}

func (e *OptionError) Error() string { return fmt.Sprintf("%s %q: %v", e.Option, e.Value, e.Err) }

func (e *OptionError) Unwrap() error { return e.Err }
