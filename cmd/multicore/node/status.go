package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/hypercore"
	"multicore/p2p"
)

// statusPatience is how long a status waits for the store before it does without.
const statusPatience = 5 * time.Second

// Status implements control.Service. Where the store does not answer it says so,
// and has no cores.
func (n *Node) Status(ctx context.Context) (*control.Status, error) {
	st := &control.Status{V: 1, Mounts: []control.Mount{}, Cores: []control.Core{}, Followed: []control.Followed{}, Peers: []control.Peer{}}
	n.mu.Lock()
	own := n.own
	for _, m := range n.mounts {
		st.Mounts = append(st.Mounts, m.status())
	}
	n.mu.Unlock()
	slices.SortFunc(st.Mounts, func(a, b control.Mount) int { return strings.Compare(a.Path, b.Path) })
	if own != nil {
		key := own.Key().String()
		st.MainKey = &key
	}
	if n.watchdog != nil {
		st.Stuck = n.watchdog.state()
	}
	got, err := n.askStore(ctx)
	switch {
	case errors.Is(err, errStuck):
		if st.Stuck == "" {
			st.Stuck = fmt.Sprintf("a read of the store takes longer than %v", statusPatience)
		}
	case err != nil:
		return nil, err
	default:
		st.Cores, st.Followed, st.Peers, st.FullReplicas = got.cores, got.followed, got.peers, got.fullReplicas
	}
	if n.net != nil {
		st.Node = n.network()
	}
	return st, nil
}

// errStuck is when the store does not answer in time.
var errStuck = errors.New("the store does not answer")

// described is what the store knows.
type described struct {
	cores    []control.Core
	followed []control.Followed
	peers    []control.Peer
	// fullReplicas counts the peers that hold all of the own multicore.
	fullReplicas int
	err          error
}

// askStore asks the store for its cores, but not for longer than statusPatience.
// What takes longer goes on, and is the last one that is asked until it ends.
func (n *Node) askStore(ctx context.Context) (*described, error) {
	late := time.NewTimer(statusPatience)
	defer late.Stop()
	select {
	case n.asking <- struct{}{}:
	case <-late.C:
		return nil, errStuck
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	got := make(chan *described, 1)
	go func() {
		defer func() { <-n.asking }()
		got <- n.describeStore(ctx)
	}()
	select {
	case d := <-got:
		return d, d.err
	case <-late.C:
		return nil, errStuck
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *Node) describeStore(ctx context.Context) *described {
	d := &described{cores: []control.Core{}, peers: []control.Peer{}}
	if d.followed, d.err = n.List(ctx); d.err != nil {
		return d
	}
	if own := n.current(); own != nil {
		cores, _ := own.Known()
		for _, c := range cores {
			d.cores = append(d.cores, n.core(c.Name, c.Core))
		}
		d.fullReplicas = n.fullReplicas(d.cores)
	}
	n.mu.Lock()
	open := slices.Collect(maps.Keys(n.remotes))
	n.mu.Unlock()
	slices.SortFunc(open, func(a, b hypercore.Key) int { return bytes.Compare(a[:], b[:]) })
	for _, key := range open {
		d.cores = append(d.cores, n.coresOf(key)...)
	}
	if n.net != nil {
		for _, p := range n.peers(n.net.Status()) {
			d.peers = append(d.peers, p.Peer)
		}
	}
	return d
}

// core describes one core; it is also what info.json holds.
func (n *Node) core(path string, c *hypercore.Core) control.Core {
	info := c.Info()
	out := control.Core{
		Path: path, Key: c.Key().String(), DiscoveryKey: c.DiscoveryKey().String(),
		Length: info.Length, ByteLength: info.ByteLength,
		ContiguousLength: info.Contiguous, HeldBlocks: c.HeldBlocks(), DurableLength: info.Durable,
		Fork: info.Fork, Writable: info.Writable, Conflict: info.Conflict, Held: info.Held,
		Learned: info.Learned,
	}
	if info.Failed != nil {
		out.Failed = info.Failed.Error()
	}
	out.ConflictHeads = conflictHeads(c)
	if n.swarm != nil {
		out.Peers, out.FullReplicas = n.swarm.CorePeers(c.DiscoveryKey())
	}
	return out
}

// conflictHeads is the evidence against the core's key; nil where there is none.
func conflictHeads(c *hypercore.Core) *control.ConflictHeads {
	f := c.Conflict()
	if f == nil {
		return nil
	}
	head := func(h hypercore.SignedHead) control.Head {
		return control.Head{Length: h.Length, ByteLength: h.ByteLength,
			TreeHash: hex.EncodeToString(h.Hash[:]), Signature: hex.EncodeToString(h.Signature)}
	}
	return &control.ConflictHeads{Fork: f.Fork, Found: f.Found.UTC(), Ours: head(f.Ours), Theirs: head(f.Theirs)}
}

// coresOf describes the cores of a multicore that may not be open; none of one
// that cannot be opened, so that the others are shown all the same.
func (n *Node) coresOf(key hypercore.Key) []control.Core {
	r, release, err := n.acquire(key)
	if err != nil {
		n.log.Error("a multicore cannot be opened", "core", key.Discovery().String(), "err", err)
		return []control.Core{}
	}
	defer release()
	known, _ := r.Known()
	out := make([]control.Core, 0, len(known))
	for place, c := range known {
		core := n.core(key.String()+"/"+c.Name, c.Core)
		core.Missing = n.missing(r, place, c.Core)
		out = append(out, core)
	}
	return out
}

func (n *Node) network() *control.Node {
	net := n.net.Status()
	out := &control.Node{PeerID: net.PeerID, Addrs: net.Addrs,
		DHT:          control.DHT{Mode: string(net.DHT), RoutingTable: net.RoutingTable, Announce: net.Announce && net.DHT != p2p.DHTOff},
		Reachability: net.Reachability, NotListening: []control.ListenFailure{}}
	if net.NotAnnounced != nil {
		out.DHT.NotAnnounced = net.NotAnnounced.Error()
	}
	if n.metrics != nil {
		at := n.metrics.addr()
		out.Metrics = &at
	}
	for _, f := range net.NotListening {
		out.NotListening = append(out.NotListening, control.ListenFailure{Addr: f.Addr, Reason: f.Err.Error(), Taken: f.Taken})
	}
	if out.Addrs == nil {
		out.Addrs = []string{}
	}
	if net.HypercoreTCP != "" {
		out.HypercoreTCP = &net.HypercoreTCP
	}
	if !net.LastProvide.IsZero() {
		at := net.LastProvide.UTC()
		out.DHT.LastProvide = &at
	}
	return out
}

// statusJSON and coreJSON are status.json and info.json of a mount.
func (n *Node) statusJSON() []byte {
	st, err := n.Status(n.ctx)
	if err != nil {
		n.log.Warn("status", "err", err)
		return nil
	}
	return document(st)
}

func (n *Node) coreJSON(path string, c *hypercore.Core) []byte {
	head, _ := SplitPath(path)
	if key, err := hypercore.ParseKey(head); err == nil {
		for _, known := range n.coresOf(key) {
			if known.Path == path {
				return document(known)
			}
		}
	}
	return document(n.core(path, c))
}

func document(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("node: status does not encode: " + err.Error())
	}
	return append(b, '\n')
}
