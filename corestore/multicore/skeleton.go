// Package multicore is a main core that holds the keys of others.
package multicore

import (
	"context"
	"errors"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

var (
	ErrNoMulticore = errors.New("the store has no multicore of its own")
	ErrTooLong     = errors.New("message is too long") // EMSGSIZE
)

// Swarm is what a multicore needs of a network; *replicate.Swarm is one. nil: no network.
type Swarm interface {
	Attach(core *hypercore.Core, o replicate.AttachOptions) *replicate.Attachment
}

// Named is a core and its place in the tree: "main", "core-2", ...
type Named struct {
	Name string
	Core *hypercore.Core
}

// View is a multicore, own or remote.
type View interface {
	Key() hypercore.Key
	Main() *hypercore.Core
	// Known gives the cores learned so far without waiting; complete says whether block 0 is known.
	Known() (cores []Named, complete bool)
	// Cores waits until block 0 is known (fetching it), or ctx ends.
	Cores(ctx context.Context) ([]Named, error)
}

// Own is the multicore that this store writes.
type Own struct{}

// OpenOwn opens it; with create it makes it (block 0 of main, written once), else ErrNoMulticore.
func OpenOwn(ctx context.Context, st *corestore.Store, sw Swarm, create bool) (*Own, error) {
	panic("skeleton")
}
func (o *Own) Key() hypercore.Key                     { panic("skeleton") }
func (o *Own) Main() *hypercore.Core                  { panic("skeleton") }
func (o *Own) Known() ([]Named, bool)                 { panic("skeleton") }
func (o *Own) Cores(context.Context) ([]Named, error) { panic("skeleton") }
func (o *Own) Close() error                           { panic("skeleton") }

// Append routes each message by its length to core-2 (< 5 bytes) or core-3 and appends all wholly or not at all.
// core, if not "", takes them all: "main", "core-2", "core-3".
func (o *Own) Append(ctx context.Context, core string, messages [][]byte) error { panic("skeleton") }
func (o *Own) Flush(ctx context.Context) error                                  { panic("skeleton") }

// Framing cuts a stream of bytes into messages.
type Framing struct {
	Mode FramingMode
	Size int // for BySize
}
type FramingMode int

const (
	ByLine FramingMode = iota
	ByWrite
	ByClose
	BySize
)

func ParseFraming(s string) (Framing, error) { panic("skeleton") } // line, write, close, 64KiB

// Framer is one open handle: bytes in, whole messages appended. Not for concurrent use.
type Framer struct{}
type FramerOptions struct {
	Framing    Framing
	MaxMessage int    // 0: 8 MiB
	Core       string // "" routes by length
}

func (o *Own) NewFramer(fo FramerOptions) *Framer { panic("skeleton") }

// Write takes all of p or nothing: the whole messages in it are one batch, committed before it returns; the rest waits.
// ErrTooLong: the pending part is dropped and the rest up to the next newline will be refused.
func (f *Framer) Write(ctx context.Context, p []byte) (int, error) { panic("skeleton") }

// End commits the pending rest as a message, if there is one (fsync, flush by the opener, last close).
func (f *Framer) End(ctx context.Context) error { panic("skeleton") }

// Remote is somebody else's multicore.
type Remote struct{}

// OpenRemote opens it and attaches its cores; it never waits for a network.
func OpenRemote(st *corestore.Store, sw Swarm, key hypercore.Key) (*Remote, error) { panic("skeleton") }
func (r *Remote) Key() hypercore.Key                                               { panic("skeleton") }
func (r *Remote) Main() *hypercore.Core                                            { panic("skeleton") }
func (r *Remote) Known() ([]Named, bool)                                           { panic("skeleton") }
func (r *Remote) Cores(ctx context.Context) ([]Named, error)                       { panic("skeleton") }
func (r *Remote) SetDownload(on bool)                                              { panic("skeleton") } // all cores, also those learned later
func (r *Remote) Close() error                                                     { panic("skeleton") }

// The keys that a store keeps a whole copy of.
type Followed struct {
	Key  hypercore.Key
	Name string // "" or [a-z0-9._-]+
}

func List(st *corestore.Store) ([]Followed, error)                  { panic("skeleton") }
func Follow(st *corestore.Store, f Followed) error                  { panic("skeleton") }
func Unfollow(st *corestore.Store, key hypercore.Key) (bool, error) { panic("skeleton") }
