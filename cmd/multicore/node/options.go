package node

import (
	"log/slog"
	"time"
)

// DefaultReadTimeout bounds the wait for blocks that are not here.
const DefaultReadTimeout = 30 * time.Second

// Options of a process that holds a store. The zero value has no network.
type Options struct {
	Dir string // the store
	// Create makes a missing store, but no own multicore in it.
	Create bool
	// PrimaryKey makes the store from this key, and holds its signatures
	// until a peer has answered. Refused where the store exists.
	PrimaryKey *[32]byte
	// Short marks a process that runs one short command and gives the store
	// up when asked (Yield).
	Short bool
	// Stay marks a process that goes on when its last mountpoint is unmounted.
	Stay bool
	// Watch is told whether the store answers. A short command is not watched.
	Watch Watch
	// Network is nil for a process that speaks to nobody.
	Network *Network
	// MaxMessage bounds a message in bytes; 0 is 8 MiB.
	MaxMessage int
	// ReadTimeout bounds waits for what is not here; 0 is 30 s.
	ReadTimeout time.Duration
	// SyncAlways has each append return only when it is on the disk.
	SyncAlways bool
	// NoPeers promises that no other copy of this store was ever written
	// elsewhere: signatures are not held back.
	NoPeers bool
	// Metrics is HOST:PORT to serve them on; "": nowhere. Needs a Network.
	Metrics string
	// Version is told to peers.
	Version string
	Log     *slog.Logger // nil discards
}

// Network says how the node reaches peers; see the flags of the same names.
type Network struct {
	Listen          []string
	DHT             string // public, private, off
	DHTServer       bool
	Bootstrap       []string
	Peers           []string
	HypercoreListen []string
	HypercorePeers  []string
	MDNS            bool
	Announce        bool
	UploadLimit     int64 // bytes a second over all peers; 0: none
	DownloadLimit   int64
	CacheSize       uint64 // bytes that may stay only because they were read; 0: no limit
}
