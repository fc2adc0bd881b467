// Package node joins a store, its peers and its mounts into one running process.
package node

import (
	"context"
	"log/slog"
	"time"

	"multicore/cmd/multicore/control"
)

// Options of a process that holds a store. The zero value has no network.
type Options struct {
	Dir         string // the store
	Create      bool   // make a missing store (not an own multicore)
	PrimaryKey  *[32]byte
	Short       bool     // runs one short command: Yield is allowed
	Network     *Network // nil: no network
	MaxMessage  int
	ReadTimeout time.Duration
	NoPeers     bool // release every hold: no other copy of this store is around
	Log         *slog.Logger
}
type Network struct {
	Listen    []string
	DHT       string // public, private, off
	DHTServer bool
	Bootstrap []string
	Peers     []string
	MDNS      bool
	Announce  bool
}

// Node implements control.Service.
type Node struct{ control.Service }

func Open(ctx context.Context, o Options) (*Node, error) { panic("skeleton") } // *control.Error with its code
func (n *Node) Close() error                             { panic("skeleton") }

// Yielded is closed when Yield was called; the owner then closes the node.
func (n *Node) Yielded() <-chan struct{} { panic("skeleton") }

type MountOptions struct {
	Path          string
	Key           string // "": the own multicore (made if missing)
	ReadOnly      bool
	AllowNonEmpty bool
	Framing       string
}
type Mounted struct{}

func (n *Node) Mount(ctx context.Context, o MountOptions) (*Mounted, error) { panic("skeleton") } // usable on return
func (m *Mounted) Key() string                                              { panic("skeleton") } // of what it shows
func (m *Mounted) Path() string                                             { panic("skeleton") }
func (m *Mounted) Done() <-chan struct{}                                    { panic("skeleton") } // closed once unmounted, by whomever
func (m *Mounted) Unmount() error                                           { panic("skeleton") }
