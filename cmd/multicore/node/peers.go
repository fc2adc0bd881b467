package node

import (
	"context"

	"multicore/cmd/multicore/control"
	"multicore/corestore/multicore"
	"multicore/hypercore"
	"multicore/p2p"
)

// Peers implements control.Service.
func (n *Node) Peers(ctx context.Context) (*control.Peers, error) {
	list := &control.Peers{V: 1, Peers: []control.PeerDetail{}}
	if n.net != nil {
		list.Peers = n.peers(n.net.Status())
	}
	return list, nil
}

// peers joins what the network and the swarm know of the connected peers.
func (n *Node) peers(net p2p.Status) []control.PeerDetail {
	byID := map[string]p2p.Peer{}
	for _, p := range net.Peers {
		byID[p.ID] = p
	}
	paths := n.paths()
	list := []control.PeerDetail{}
	for _, s := range n.swarm.Peers() {
		p := byID[s.Peer]
		d := control.PeerDetail{
			Peer: control.Peer{
				ID: s.Peer, Addr: p.Addr, Transport: p.Transport, Relayed: p.Relayed,
				RTTMillis: float64(p.RTT.Microseconds()) / 1000, SentBytes: s.Sent, ReceivedBytes: s.Received,
			},
			Direction: "outbound", SentRate: int64(s.Up), ReceivedRate: int64(s.Down),
			Since: s.Since.UTC(), Cores: []string{},
		}
		if p.Inbound {
			d.Direction = "inbound"
		}
		for _, key := range s.Cores {
			path, known := paths[key]
			if !known {
				path = key.String()
			}
			d.Cores = append(d.Cores, path)
		}
		list = append(list, d)
	}
	return list
}

// paths names the cores that are open, own and others.
func (n *Node) paths() map[hypercore.Key]string {
	paths := map[hypercore.Key]string{}
	n.eachOpen(func(path string, c *hypercore.Core) { paths[c.Key()] = path })
	return paths
}

// eachOpen visits the cores that are open, with their paths, own ones last. It
// does not wait for those that are being opened.
func (n *Node) eachOpen(visit func(path string, c *hypercore.Core)) {
	name := func(prefix string, cores []multicore.Named) {
		for _, c := range cores {
			visit(prefix+c.Name, c.Core)
		}
	}
	n.mu.Lock()
	own := n.own
	open := make([]*remote, 0, len(n.remotes))
	for _, r := range n.remotes {
		open = append(open, r)
	}
	n.mu.Unlock()
	for _, r := range open {
		select {
		case <-r.ready:
		default:
			continue // being opened
		}
		if r.err == nil {
			known, _ := r.Known()
			name(r.key.String()+"/", known)
		}
	}
	if own != nil {
		known, _ := own.Known()
		name("", known)
	}
}
