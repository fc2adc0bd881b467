// Package p2p finds peers with libp2p and gives their streams to a replicate.Swarm.
package p2p

import (
	"context"
	"log/slog"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// Settings keeps small values over restarts; *corestore.Store is one.
type Settings interface {
	Setting(name string) ([]byte, error)
	SetSetting(name string, value []byte) error
}

type DHTMode string // "public", "private", "off"

type Options struct {
	Identity  string   // file of the private key, 0600, made at first use
	Settings  Settings // listen port, last good peers
	Swarm     *replicate.Swarm
	Listen    []string // multiaddrs; empty: TCP and QUIC on every address, on a port chosen once and kept
	DHT       DHTMode
	DHTServer bool
	Bootstrap []string // full /p2p/ multiaddrs
	Peers     []string // multiaddrs to keep connected, with or without /p2p/
	MDNS      bool     // mDNS and the meeting place on this machine
	Announce  bool
	Version   string
	Log       *slog.Logger
}

// Node is a libp2p host, its discovery loops and the streams it made. Safe for concurrent use.
type Node struct{}

func New(ctx context.Context, o Options) (*Node, error) { panic("skeleton") }
func (n *Node) Close() error                            { panic("skeleton") }

// Join looks for peers of a main core until Leave, and announces this node as one of them while announce is true.
func (n *Node) Join(d hypercore.DiscoveryKey, announce bool) { panic("skeleton") }
func (n *Node) Leave(d hypercore.DiscoveryKey)               { panic("skeleton") }

type Status struct {
	PeerID       string
	Addrs        []string // full /p2p/ multiaddrs
	DHT          DHTMode
	RoutingTable int
	LastProvide  time.Time
	Asked        int // distinct peers asked for providers so far
	Peers        []Peer
}
type Peer struct {
	ID, Addr, Transport string
	Relayed             bool
	RTT                 time.Duration
}

func (n *Node) Status() Status { panic("skeleton") }
