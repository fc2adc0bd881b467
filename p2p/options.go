package p2p

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"multicore/hypercore/replicate"
)

// Settings keeps small values over restarts; *corestore.Store is one. Setting
// gives nil where a name was never set. Safe for concurrent use.
type Settings interface {
	Setting(name string) ([]byte, error)
	SetSetting(name string, value []byte) error
}

// Names of what a node keeps in Settings.
const (
	settingPort  = "p2p/port"  // decimal, the port chosen at first use
	settingPeers = "p2p/peers" // JSON, see goodPeer
)

// DHTMode says which Kademlia network a node takes part in.
type DHTMode string

const (
	DHTPublic  DHTMode = "public"  // the network of IPFS, as a client unless DHTServer
	DHTPrivate DHTMode = "private" // a network of its own below Bootstrap, always as a server
	DHTOff     DHTMode = "off"     // none: Peers, mDNS and the meeting place only
)

// Options of a node. Swarm is required.
type Options struct {
	Identity  string           // file of the private key, 0600, made at first use; "": one for this run
	Settings  Settings         // listen port, last good peers; nil: kept nowhere
	Swarm     *replicate.Swarm // what the streams are given to
	Listen    []string         // multiaddrs; empty: TCP and QUIC on every address, on a port chosen once and kept
	DHT       DHTMode          // "" is public
	DHTServer bool             // answer others' queries in the public DHT
	Bootstrap []string         // full /p2p/ multiaddrs; in the public DHT they take the place of libp2p's own
	Peers     []string         // multiaddrs to keep connected, with or without /p2p/
	// HypercoreListen and HypercorePeers are addresses HOST:PORT for peers that
	// speak Hypercore's own encrypted stream over plain TCP, as JavaScript does.
	HypercoreListen []string
	HypercorePeers  []string // kept connected

	MDNS     bool   // mDNS and the meeting place on this machine
	Announce bool   // allow Join to announce
	Version  string // of the program, for the user agent
	// Metrics is where libp2p registers its own, once a process; nil: nowhere.
	Metrics prometheus.Registerer
	Log     *slog.Logger // nil: discarded
}

// Status is what a node is doing now.
type Status struct {
	PeerID       string
	Addrs        []string // full /p2p/ multiaddrs
	HypercoreTCP string   // HOST:PORT, the first of HypercoreListen; "" without
	DHT          DHTMode
	RoutingTable int       // peers in it
	LastProvide  time.Time // when a provider record was last stored with a peer; zero: never
	Asked        int       // distinct peers asked for providers so far
	Announce     bool      // Options.Announce
	NotAnnounced error     // why the last try to store a provider record failed; nil where it did not
	Reachability string    // from outside, as peers of the DHT found: public, private or unknown
	NotListening []ListenFailure
	Peers        []Peer // with a replication stream: libp2p's by id, then JavaScript's
}

// ListenFailure is an address that a node was to listen on and does not.
type ListenFailure struct {
	Addr  string // multiaddr
	Err   error
	Taken bool // another program listens there
}

// Peer is one at the other end of a replication stream.
type Peer struct {
	ID        string        // the libp2p id, or hypercore:KEY@HOST:PORT with the start of its static key
	Addr      string        // multiaddr of its end of the connection, HOST:PORT of a JavaScript peer
	Transport string        // tcp, quic, or as libp2p names another; hypercore-tcp
	Inbound   bool          // the peer connected to us
	Relayed   bool          // through a third peer
	RTT       time.Duration // smoothed; 0: not measured yet
}
