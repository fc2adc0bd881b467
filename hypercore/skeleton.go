// Package hypercore is one signed, append-only log.
package hypercore

import (
	"context"
	"log/slog"
	"time"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// Flusher writes the heads of many cores behind their data: it starts when there is something to flush, takes what
// gathered meanwhile, syncs each core's files, signs, and commits all heads in one transaction.
type Flusher struct{}

func NewFlusher(st storage.Store, log *slog.Logger) *Flusher { panic("skeleton") }
func (f *Flusher) Close() error                              { panic("skeleton") } // flushes first
func (f *Flusher) Flush(ctx context.Context) error           { panic("skeleton") } // everything appended or applied before the call is durable

type Options struct {
	Key      Key
	Manifest *Manifest // optional for a remote core; learned from peers
	KeyPair  *KeyPair  // nil: read-only
	// Hold makes a *new* core sign nothing beyond Unheld blocks until Release (kept in the store over reopening).
	Hold   bool
	Unheld uint64
	Log    *slog.Logger
}

// Core is one log, safe for concurrent use.
type Core struct{}

// Open opens or makes the core and recovers it (design: recovery trusts nothing).
func Open(f *Flusher, o Options) (*Core, error) { panic("skeleton") }

func (c *Core) Key() Key                   { panic("skeleton") }
func (c *Core) DiscoveryKey() DiscoveryKey { panic("skeleton") }
func (c *Core) Writable() bool             { panic("skeleton") }
func (c *Core) Manifest() *Manifest        { panic("skeleton") } // nil until known

// Info is the state as this machine sees it at once.
type Info struct {
	Length, ByteLength uint64
	Contiguous         uint64 // leading blocks held
	Durable            uint64 // length on the disk and signed: what peers of an own core see
	Fork               uint64
	Writable           bool
	Learned            bool      // own, or a head or manifest was verified: length 0 then means empty, not unknown
	Grown              time.Time // last growth, stored
	Held               bool      // hold in force
}

func (c *Core) Info() Info { panic("skeleton") }

// Changed is closed at the next change of Info or of the blocks held.
func (c *Core) Changed() <-chan struct{} { panic("skeleton") }

type EventKind int

const (
	Appended EventKind = iota // own blocks [From, To) are readable here
	Durable                   // head that peers may see moved to To
	Upgraded                  // remote head moved to To (or own head adopted after a restore)
	Stored                    // remote blocks [From, To) are held now
	Failed
)

type Event struct {
	Kind     EventKind
	From, To uint64
}

// Subscribe calls fn for each event, in order, without locks of the core held; fn must not block.
func (c *Core) Subscribe(fn func(Event)) (cancel func()) { panic("skeleton") }

// Append: acknowledged means it survives the process. All or nothing. Gives the index of the first block.
func (c *Core) Append(ctx context.Context, blocks ...[]byte) (uint64, error) { panic("skeleton") }

type Batch struct {
	Core   *Core
	Blocks [][]byte
}

// AppendAll appends to several cores of one Flusher, wholly or not at all.
func AppendAll(ctx context.Context, batches []Batch) error { panic("skeleton") }
func (c *Core) Flush(ctx context.Context) error            { panic("skeleton") } // what was appended before is on the disk (also while held)

func (c *Core) Has(i uint64) bool { panic("skeleton") }

// Held copies the held bits of [start, start+32*len(words)), start a multiple of 32, bit j of words[w] = block start+32w+j.
func (c *Core) Held(start uint64, words []uint32)                 { panic("skeleton") }
func (c *Core) Block(i uint64) ([]byte, error)                    { panic("skeleton") } // local only: ErrNotHeld, ErrPastEnd
func (c *Core) Get(ctx context.Context, i uint64) ([]byte, error) { panic("skeleton") } // fetches where needed
// Extent is the byte offset and size of block i. local: never asks peers (ErrNotHeld where unknown).
func (c *Core) Extent(ctx context.Context, i uint64) (off, size uint64, err error) { panic("skeleton") }
func (c *Core) LocalExtent(i uint64) (off, size uint64, err error)                 { panic("skeleton") }

// Seek finds the block that holds byte off and the position in it; off = byte length gives (length, 0).
func (c *Core) Seek(ctx context.Context, off uint64) (i, within uint64, err error) { panic("skeleton") }

// ReadAt reads bytes of the log, fetching just the blocks that [off, off+len(p)) covers; io.EOF at the end.
func (c *Core) ReadAt(ctx context.Context, p []byte, off uint64) (int, error) { panic("skeleton") }

// Update asks connected peers for a newer head and returns when they answered; ErrNoPeers joined where none.
func (c *Core) Update(ctx context.Context) error { panic("skeleton") }

// Source fetches what is missing. It returns once the thing is stored, or ctx ended (ErrNoPeers joined to ctx.Err() if
// no peer for this core was ever connected).
type Source interface {
	FetchBlock(ctx context.Context, i uint64) error
	FetchNode(ctx context.Context, index uint64) error // a flat tree node and its path
	FetchSeek(ctx context.Context, bytes uint64) error // nodes that bring merkle.Find closer
	Refresh(ctx context.Context) error
	Connected() bool // some peer has this core open now
}

func (c *Core) SetSource(s Source) { panic("skeleton") }
func (c *Core) Source() Source     { panic("skeleton") }

// What peers see: own cores their durable signed head, replicas what was verified.
type Head struct {
	merkle.Tree
	Signature   []byte
	HasManifest bool
	Contiguous  uint64
}

func (c *Core) Head() Head { panic("skeleton") }

// Prove answers a peer from Head: ErrNotHeld, merkle.ErrInvalidRequest.
func (c *Core) Prove(r merkle.Request) (*merkle.Proof, error) { panic("skeleton") }

// Missing is the `nodes` field for a request of flat index (2i for block i).
func (c *Core) Missing(index uint64) (uint64, error) { panic("skeleton") }

// SeekPath is the hash request that a seek for byte `bytes` travels with; done where stored nodes already decide it.
func (c *Core) SeekPath(bytes uint64) (hash merkle.HashRequest, done bool, err error) {
	panic("skeleton")
}

// Apply verifies a peer's proof and stores it. ErrBadProof where the peer is to blame; ErrStale where our state moved on meanwhile.
func (c *Core) Apply(p *merkle.Proof) error { panic("skeleton") }

// Release ends the hold: a peer has answered for this core and has nothing longer.
func (c *Core) Release() error { panic("skeleton") }
func (c *Core) Close() error   { panic("skeleton") }
