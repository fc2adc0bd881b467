// Package replicate exchanges cores with peers over framed streams.
package replicate

import (
	"context"
	"io"
	"log/slog"
	"time"

	"multicore/hypercore"
)

// Directory finds cores that are held here but not attached, when a peer opens them.
type Directory interface {
	// Key gives the key of a core held here (in memory or on disk), false if unknown. Cheap.
	Key(d hypercore.DiscoveryKey) (hypercore.Key, bool)
	// Open opens it; close ends the session.
	Open(d hypercore.DiscoveryKey) (core *hypercore.Core, close func(), err error)
}

type Options struct {
	Directory Directory
	Log       *slog.Logger
}

// Swarm joins the cores of this process with its peers. Safe for concurrent use.
type Swarm struct{}

func New(o Options) *Swarm { panic("skeleton") }

// AttachOptions: a core with After is opened towards a peer only once that peer proved the core After (the main core
// that names it), or in answer to its own valid open.
type AttachOptions struct {
	After    []hypercore.DiscoveryKey
	Download bool // fetch every block and keep doing so
}

// Attachment keeps a core replicating; it is the core's Source while it lives. Attaching a core twice shares it.
type Attachment struct{}

func (s *Swarm) Attach(core *hypercore.Core, o AttachOptions) *Attachment { panic("skeleton") }
func (a *Attachment) SetDownload(on bool)                                 { panic("skeleton") }
func (a *Attachment) Detach()                                             { panic("skeleton") }

// Conn is one peer's stream.
type Conn struct {
	Stream        io.ReadWriteCloser // frames with 3-byte little-endian lengths
	Initiator     bool
	HandshakeHash [64]byte
	Peer          string // for logs and Peers: the libp2p peer id
}

// Serve replicates over conn until it ends, ctx ends or the peer is dropped; it closes the stream. The error says why.
// ErrMisbehaved (wrapped) where the peer is to blame and should be kept away for a while.
func (s *Swarm) Serve(ctx context.Context, c Conn) error { panic("skeleton") }
func (s *Swarm) Close() error                            { panic("skeleton") }

// CorePeers are the connected peers that have the core open (proved), and those of them that announced every block.
func (s *Swarm) CorePeers(d hypercore.DiscoveryKey) (peers, full int) { panic("skeleton") }

// Reached says whether any peer ever proved the core since the process started.
func (s *Swarm) Reached(d hypercore.DiscoveryKey) bool { panic("skeleton") }

type PeerStats struct {
	Peer           string
	Sent, Received uint64 // bytes on the replication stream
	Since          time.Time
}

func (s *Swarm) Peers() []PeerStats { panic("skeleton") }

// Changed is closed when peers come, go or prove a core.
func (s *Swarm) Changed() <-chan struct{} { panic("skeleton") }
