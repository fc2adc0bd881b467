package control

import (
	"context"
	"io"
	"time"
)

// Service is what a process that holds a store does for commands. A running
// node implements it directly, Client through the socket, so that a command is
// written once. Safe for concurrent use. Errors keep their exit code and text
// over the socket (see Code).
type Service interface {
	// Status describes the store, its cores and, where one runs, the node.
	Status(ctx context.Context) (*Status, error)
	// Peers describes the connected peers; none where no node runs.
	Peers(ctx context.Context) (*Peers, error)
	// Key is the main core key of the own multicore; Code NotFound without one.
	Key(ctx context.Context) (string, error)
	// Init makes the own multicore if there is none and gives its main key.
	Init(ctx context.Context) (key string, made bool, err error)
	// Append cuts in into messages, appends them and returns after a flush.
	Append(ctx context.Context, r AppendRequest, in io.Reader) (*AppendResult, error)
	// Read calls emit for each block in order, and for each core before its
	// first block (Block nil). It waits for more where r.Follow is set.
	Read(ctx context.Context, r ReadRequest, emit func(Item) error) error
	// Follow keeps a whole copy of a multicore, and calls emit with how far that
	// is. With Wait it does so again and again, and returns once the copy is
	// complete.
	Follow(ctx context.Context, r FollowRequest, emit func(Following) error) error
	// Unfollow stops that and gives the key; what is held stays. Code NotFound
	// where it is not followed.
	Unfollow(ctx context.Context, keyOrName string) (key string, err error)
	// List gives the followed multicores.
	List(ctx context.Context) ([]Followed, error)
	// Verify reads all that is held and checks it, one core after the other. It
	// calls emit with how far it is now and then, and at the end of each core.
	Verify(ctx context.Context, r VerifyRequest, emit func(Verified) error) error
	// Clear gives up blocks on this machine; they are fetched again where they
	// are read.
	Clear(ctx context.Context, r ClearRequest) (*ClearResult, error)
	// Purge removes all of somebody else's multicore from the store. Code NotFound
	// where there is nothing of it, InUse where something has it open.
	Purge(ctx context.Context, keyOrName string) (*PurgeResult, error)
	// Mount makes a mountpoint of this process. It calls emit once that is usable,
	// and returns nil once somebody unmounted it. The end of ctx unmounts it too;
	// the error is then that of ctx, or what kept something from being flushed.
	Mount(ctx context.Context, r MountRequest, emit func(Mount) error) error
	// Unmount ends a mountpoint of this process; path is absolute and without
	// symbolic links. ends says that the process ends with it, having no other.
	Unmount(ctx context.Context, path string) (ends bool, err error)
	// Yield asks a process that runs only a short command to give the store
	// up: it answers, closes the store and goes on as a client of whoever
	// opens it next. Code InUse where the holder is a mount or serve.
	Yield(ctx context.Context) error
}

// AppendRequest says how a stream of bytes becomes messages.
type AppendRequest struct {
	Core       string `json:"core,omitempty"`    // "main", "core-2", "core-3"; "" routes by length
	Framing    string `json:"framing,omitempty"` // line, or a block size such as 64KiB
	MaxMessage int    `json:"max_message,omitempty"`
}

// AppendResult counts what was appended, durably.
type AppendResult struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	// Reachable says whether a node serves this store now.
	Reachable bool `json:"reachable"`
}

// ReadRequest names blocks. Path is "" (own multicore), "core-3", "KEY",
// "KEY/core-3" or a followed name in place of KEY; a multicore without a core
// is all its cores but main.
type ReadRequest struct {
	Path  string  `json:"path"`
	Spans []Span  `json:"spans,omitempty"` // exactly these; else from a start on
	From  uint64  `json:"from"`            // first block
	Last  *uint64 `json:"last,omitempty"`  // in place of From: the last n blocks
	// Start is the first block of the cores whose keys it has, in place of
	// From and Last: where a read that moves to another process goes on.
	Start  map[string]uint64 `json:"start,omitempty"`
	Follow bool              `json:"follow,omitempty"`
	// Timeout bounds the wait for what is not here; 0 is 30 s.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Span is the blocks First to Last, both among them.
type Span struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Item is a block, or with Block nil the start of a core, whose Index is then
// that of the first block to come, or a Note for the user about how fresh what
// follows is.
type Item struct {
	Core  string `json:"core,omitempty"` // "core-3"
	Key   string `json:"key,omitempty"`  // of the core
	Index uint64 `json:"index"`
	Note  string `json:"note,omitempty"`
	Block []byte `json:"-"`
	// Count is, at the start of a core, how many blocks of it come; 0: not known.
	Count uint64 `json:"count,omitempty"`
}

// FollowRequest names a multicore to keep a copy of.
type FollowRequest struct {
	Key  string `json:"key"`
	Name string `json:"name,omitempty"`
	Wait bool   `json:"wait,omitempty"`
	// Timeout ends the wait, with Code Timeout; 0: none.
	Timeout time.Duration `json:"timeout,omitempty"`
	// KeepLast and MaxStorage are as in Followed; nil: as before.
	KeepLast   *uint64 `json:"keep_last,omitempty"`
	MaxStorage *uint64 `json:"max_storage,omitempty"`
}

// ClearRequest names blocks to give up on this machine: Path is that of one core.
// A Span whose Last is beyond the end goes to the end.
type ClearRequest struct {
	Path  string `json:"path"`
	Spans []Span `json:"spans"`
	// Force clears blocks of an own core that no connected peer is known to hold.
	Force bool `json:"force,omitempty"`
}

// ClearResult counts what was given up.
type ClearResult struct {
	Path   string `json:"path"` // as in Status
	Key    string `json:"key"`
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"`
	// Note tells the user something about it.
	Note string `json:"note,omitempty"`
}

// PurgeResult counts what was removed.
type PurgeResult struct {
	Key    string `json:"key"`
	Cores  int    `json:"cores"`
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"`
}

// VerifyRequest names what to verify: Path as in ReadRequest, or "" for all that
// the store holds.
type VerifyRequest struct {
	Path   string `json:"path,omitempty"`
	Repair bool   `json:"repair,omitempty"` // damaged blocks are fetched from peers again
	// Timeout bounds the wait for each of them; 0 is 30 s.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Verified is a core that was read, or with Done false a part of one. Fields are
// only added.
type Verified struct {
	Path     string `json:"path"` // as in Status; the key of a core that belongs to none
	Key      string `json:"key"`
	Length   uint64 `json:"length"`
	Blocks   uint64 `json:"blocks"` // held and right
	Bytes    uint64 `json:"bytes"`
	Damaged  uint64 `json:"damaged"`            // places that are not right
	First    string `json:"first,omitempty"`    // the first of them
	Repaired uint64 `json:"repaired,omitempty"` // blocks that were fetched again
	// Unrepaired is what is wrong now: damaged places, and blocks that were given
	// up and that no peer gave.
	Unrepaired uint64 `json:"unrepaired,omitempty"`
	// ConflictHeads is as in Core.
	ConflictHeads *ConflictHeads `json:"conflict_heads,omitempty"`
	Done          bool           `json:"done"`
}

// MountRequest says what to show where. Path is absolute.
type MountRequest struct {
	Path          string `json:"path"`
	Key           string `json:"key,omitempty"` // "": the own multicore, made if missing
	ReadOnly      bool   `json:"read_only,omitempty"`
	AllowNonEmpty bool   `json:"allow_non_empty,omitempty"`
	Framing       string `json:"framing,omitempty"` // "" is line
	Source        string `json:"source,omitempty"`  // in the table of mounts; "" is multicore
	AllowOther    bool   `json:"allow_other,omitempty"`
	// UID and GID own what it shows, Umask takes permission bits; nil: as the
	// user's who mounts, 022.
	UID   *uint32 `json:"uid,omitempty"`
	GID   *uint32 `json:"gid,omitempty"`
	Umask *uint32 `json:"umask,omitempty"`
	// MaxMessage, in bytes, and ReadTimeout are as the process has them where
	// they are 0.
	MaxMessage  int           `json:"max_message,omitempty"`
	ReadTimeout time.Duration `json:"read_timeout,omitempty"`
}

// Status is the object of `multicore status --json`, version 1. Fields are
// only added.
type Status struct {
	V       int     `json:"v"`
	MainKey *string `json:"main_key"`
	// Stuck says what in the store does not end, as with a disk that does not
	// answer; what is not known for that is left out.
	Stuck    string     `json:"stuck,omitempty"`
	Mounts   []Mount    `json:"mounts"`
	Node     *Node      `json:"node"`
	Cores    []Core     `json:"cores"`
	Followed []Followed `json:"followed"`
	Peers    []Peer     `json:"peers"`
	// FullReplicas counts the connected peers that hold all of the own multicore.
	FullReplicas int `json:"full_replicas"`
}

// Mount is a mountpoint.
type Mount struct {
	Path     string `json:"path"`
	Key      string `json:"key"`
	ReadOnly bool   `json:"read_only"`
}

type Node struct {
	PeerID       string   `json:"peer_id"`
	Addrs        []string `json:"addrs"`
	HypercoreTCP *string  `json:"hypercore_tcp"`
	DHT          DHT      `json:"dht"`
	// Reachability from outside, as peers of the DHT found: public, private or unknown.
	Reachability string `json:"reachability"`
	// NotListening are the addresses that the node was to listen on and does not.
	NotListening []ListenFailure `json:"not_listening"`
	// Metrics is HOST:PORT where Prometheus finds them.
	Metrics *string `json:"metrics"`
}

// ListenFailure is an address that a node does not listen on.
type ListenFailure struct {
	Addr   string `json:"addr"` // multiaddr
	Reason string `json:"reason"`
	Taken  bool   `json:"taken"` // another program listens there
}

type DHT struct {
	Mode         string     `json:"mode"`
	RoutingTable int        `json:"routing_table"`
	LastProvide  *time.Time `json:"last_provide"`
	Announce     bool       `json:"announce"`                // what is served is announced
	NotAnnounced string     `json:"not_announced,omitempty"` // why the last try to do so failed
}

// Core is also what a core's info.json holds.
type Core struct {
	Path             string `json:"path"` // "main", "core-2", "KEY/core-3"
	Key              string `json:"key"`
	DiscoveryKey     string `json:"discovery_key"`
	Length           uint64 `json:"length"`
	ByteLength       uint64 `json:"byte_length"`
	ContiguousLength uint64 `json:"contiguous_length"`
	HeldBlocks       uint64 `json:"held_blocks"`
	DurableLength    uint64 `json:"durable_length"`
	Fork             uint64 `json:"fork"`
	Writable         bool   `json:"writable"`
	Peers            int    `json:"peers"`
	FullReplicas     int    `json:"full_replicas"`
	Conflict         bool   `json:"conflict"`         // the core is frozen: its key has signed two different logs
	Held             bool   `json:"held,omitempty"`   // nothing new is signed, nor shown to peers, until one has said how long the core is
	Failed           string `json:"failed,omitempty"` // why nothing can be read from or added to it until it is opened anew
	// ConflictHeads are the two heads that show the conflict; nil where there is none.
	ConflictHeads *ConflictHeads `json:"conflict_heads,omitempty"`
	// Learned is false where nothing was ever verified of somebody else's core: a
	// length of 0 then says nothing.
	Learned bool `json:"learned"`
	// Missing is what is still to be downloaded; nil where nothing is, or nobody
	// does.
	Missing *Missing `json:"missing,omitempty"`
}

// Missing is what of a core is to be downloaded and is not here.
type Missing struct {
	Blocks uint64 `json:"blocks"`
	Ranges []Span `json:"ranges"` // the first of them, in order
	// Sources counts the connected peers that have some of Ranges.
	Sources int `json:"sources"`
	// Stalled says that nothing came for some seconds.
	Stalled bool `json:"stalled"`
	// NotStored says why what came last could not be stored.
	NotStored string `json:"not_stored,omitempty"`
}

// ConflictHeads are two heads of one core and fork, both signed by its key, that
// no one log can have.
type ConflictHeads struct {
	Fork   uint64    `json:"fork"`
	Found  time.Time `json:"found"`
	Ours   Head      `json:"ours"`   // that of the log that is here
	Theirs Head      `json:"theirs"` // that of the other one
}

// Head is a signed head.
type Head struct {
	Length     uint64 `json:"length"`
	ByteLength uint64 `json:"byte_length"`
	TreeHash   string `json:"tree_hash"` // hex
	Signature  string `json:"signature"` // hex, as peers exchange it
}

type Followed struct {
	Key        string `json:"key"`
	Name       string `json:"name,omitempty"`
	KeepLast   uint64 `json:"keep_last,omitempty"`   // blocks of each core; 0: all
	MaxStorage uint64 `json:"max_storage,omitempty"` // bytes of all cores; 0: all
	Cores      []Core `json:"cores"`
	// FullReplicas counts the connected peers that hold all of it.
	FullReplicas int `json:"full_replicas"`
}

// Following is how far the copy of a followed multicore is, as Follow tells.
type Following struct {
	Followed
	Done bool `json:"done"` // all that is to be kept is here
}

type Peer struct {
	ID            string  `json:"id"`
	Addr          string  `json:"addr"`
	Transport     string  `json:"transport"`
	Relayed       bool    `json:"relayed"`
	RTTMillis     float64 `json:"rtt_ms"`
	SentBytes     uint64  `json:"sent_bytes"`
	ReceivedBytes uint64  `json:"received_bytes"`
}

// Peers is the object of `multicore peers --json`, version 1. Fields are only
// added.
type Peers struct {
	V     int          `json:"v"`
	Peers []PeerDetail `json:"peers"`
}

// PeerDetail is what Status says of a peer, and more.
type PeerDetail struct {
	Peer
	Direction    string    `json:"direction"`     // inbound: the peer connected to us; outbound
	SentRate     int64     `json:"sent_rate"`     // bytes a second, over the last seconds
	ReceivedRate int64     `json:"received_rate"` // the same
	Since        time.Time `json:"since"`
	// Cores are open at both ends: paths as in Status, or the key of a core
	// that is open for this peer alone.
	Cores []string `json:"cores"`
}
