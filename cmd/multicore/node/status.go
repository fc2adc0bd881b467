package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"multicore/cmd/multicore/control"
	"multicore/hypercore"
	"multicore/p2p"
)

// Status implements control.Service.
func (n *Node) Status(ctx context.Context) (*control.Status, error) {
	followed, err := n.List(ctx)
	if err != nil {
		return nil, err
	}
	st := &control.Status{V: 1, Mounts: []control.Mount{}, Cores: []control.Core{}, Followed: followed, Peers: []control.Peer{}}
	if own := n.current(); own != nil {
		key := own.Key().String()
		st.MainKey = &key
		cores, _ := own.Known()
		for _, c := range cores {
			st.Cores = append(st.Cores, n.core(c.Name, c.Core))
		}
		st.FullReplicas = n.fullReplicas(st.Cores)
	}
	n.mu.Lock()
	for _, m := range n.mounts {
		st.Mounts = append(st.Mounts, m.status())
	}
	open := slices.Collect(maps.Keys(n.remotes))
	n.mu.Unlock()
	slices.SortFunc(st.Mounts, func(a, b control.Mount) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(open, func(a, b hypercore.Key) int { return bytes.Compare(a[:], b[:]) })
	for _, key := range open {
		st.Cores = append(st.Cores, n.coresOf(key)...)
	}
	if n.net != nil {
		n.network(st)
	}
	return st, nil
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

func (n *Node) network(st *control.Status) {
	net := n.net.Status()
	st.Node = &control.Node{PeerID: net.PeerID, Addrs: net.Addrs,
		DHT:          control.DHT{Mode: string(net.DHT), RoutingTable: net.RoutingTable, Announce: net.Announce && net.DHT != p2p.DHTOff},
		Reachability: net.Reachability, NotListening: []control.ListenFailure{}}
	if net.NotAnnounced != nil {
		st.Node.DHT.NotAnnounced = net.NotAnnounced.Error()
	}
	if n.metrics != nil {
		at := n.metrics.addr()
		st.Node.Metrics = &at
	}
	for _, f := range net.NotListening {
		st.Node.NotListening = append(st.Node.NotListening, control.ListenFailure{Addr: f.Addr, Reason: f.Err.Error(), Taken: f.Taken})
	}
	if st.Node.Addrs == nil {
		st.Node.Addrs = []string{}
	}
	if net.HypercoreTCP != "" {
		st.Node.HypercoreTCP = &net.HypercoreTCP
	}
	if !net.LastProvide.IsZero() {
		at := net.LastProvide.UTC()
		st.Node.DHT.LastProvide = &at
	}
	for _, p := range n.peers(net) {
		st.Peers = append(st.Peers, p.Peer)
	}
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
