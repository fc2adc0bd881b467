// Package fs shows multicores as a directory.
package fs

import (
	"errors"
	"log/slog"
	"time"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

var (
	ErrUnavailable = errors.New("FUSE is not available") // text: FUSE is not available (/dev/fuse: …); in a container add --device /dev/fuse --cap-add SYS_ADMIN, or use serve, append, tail
	ErrNotEmpty    = errors.New("mountpoint is not empty")
	ErrMounted     = errors.New("something is mounted there already")
)

// Options of a mount.
type Options struct {
	// Own is the own multicore at the root, with append files unless ReadOnly. nil if Root is set.
	Own      *multicore.Own
	ReadOnly bool
	// Root is one remote multicore at the root.
	Root multicore.View
	// Open gives the multicore of a key on demand; called again for the same key it gives the same one. It stays open.
	Open func(hypercore.Key) (multicore.View, error)
	// Status is the content of status.json; CoreInfo that of info.json for a core at path ("main", "KEY/core-3").
	Status   func() []byte
	CoreInfo func(path string, core *hypercore.Core) []byte
	// StoreDir is asked for statfs.
	StoreDir      string
	AllowNonEmpty bool
	Framing       multicore.Framing
	MaxMessage    int
	ReadTimeout   time.Duration // 0: 30 s
	Log           *slog.Logger
}

// Mounted is a live mount.
type Mounted struct{}

// Mount makes the directory if missing, clears a dead mount left there, mounts; the mount is usable on return.
func Mount(path string, o Options) (*Mounted, error) { panic("skeleton") }
func (m *Mounted) Path() string                      { panic("skeleton") } // absolute
func (m *Mounted) Done() <-chan struct{}             { panic("skeleton") } // closed once it is unmounted, by whomever
// Unmount ends pending appends, unmounts (lazily if busy) and removes the directory if Mount made it. Safe twice.
func (m *Mounted) Unmount() error { panic("skeleton") }
