package p2p

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	goodMax      = 32 // peers remembered
	goodAddrsMax = 8  // addresses of one
	goodFor      = 90 * 24 * time.Hour
	goodRenew    = time.Hour // a peer seen again is noted at most so often
	goodTries    = 6         // dials to one that was good before
	lostTries    = 64        // to one that was lost, about an hour
)

// goodPeer is a peer that proved a core, as Settings keeps it.
type goodPeer struct {
	ID    string    `json:"id"`
	Addrs []string  `json:"addrs"` // where it was dialled; those it dialled from are of no use
	Seen  time.Time `json:"seen"`
}

// goodPeers remembers the last peers that proved a core, so that a node whose
// peers are still where they were needs no discovery. Owned by one goroutine.
type goodPeers struct {
	s   Settings
	all []goodPeer // the last seen first
}

// readGood reads the list leniently: a damaged one is an empty one.
func readGood(s Settings) *goodPeers {
	g := &goodPeers{s: s}
	if s == nil {
		return g
	}
	text, err := s.Setting(settingPeers)
	if err != nil || len(text) == 0 {
		return g
	}
	var all []goodPeer
	if json.Unmarshal(text, &all) != nil {
		return g
	}
	for _, p := range all[:min(len(all), goodMax)] {
		if time.Since(p.Seen) < goodFor {
			g.all = append(g.all, p)
		}
	}
	return g
}

// info parses p; false where it makes no sense.
func (p goodPeer) info() (peer.AddrInfo, bool) {
	id, err := peer.Decode(p.ID)
	if err != nil {
		return peer.AddrInfo{}, false
	}
	info := peer.AddrInfo{ID: id}
	for _, s := range p.Addrs[:min(len(p.Addrs), goodAddrsMax)] {
		if a, err := ma.NewMultiaddr(s); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	return info, len(info.Addrs) > 0
}

// note puts a peer first; false where nothing worth keeping changed.
func (g *goodPeers) note(p goodPeer) bool {
	i := slices.IndexFunc(g.all, func(q goodPeer) bool { return q.ID == p.ID })
	if i >= 0 {
		old := g.all[i]
		if slices.Equal(old.Addrs, p.Addrs) && p.Seen.Sub(old.Seen) < goodRenew {
			return false
		}
		g.all = slices.Delete(g.all, i, i+1)
	}
	g.all = slices.Insert(g.all, 0, p)
	g.all = g.all[:min(len(g.all), goodMax)]
	return true
}

func (g *goodPeers) save() error {
	if g.s == nil {
		return nil
	}
	text, err := json.Marshal(g.all)
	if err != nil {
		return err
	}
	return g.s.SetSetting(settingPeers, text)
}

// startGoodPeers dials the peers that were good before, notes those that prove
// to be, and looks after those that are lost.
func (n *Node) startGoodPeers(sw swarm) {
	g := readGood(n.o.Settings)
	n.spawn(func() {
		for _, p := range g.all {
			if info, ok := p.info(); ok {
				n.dialFound(info, "good peers")
				n.redial(info, goodTries)
			}
		}
		present := make(map[peer.ID]bool)
		for {
			served, linked := sw.Changed(), n.links.changed.next()
			now := make(map[peer.ID]bool)
			dirty := false
			for _, s := range n.links.sessions() {
				id := s.stream.Conn().RemotePeer()
				if sw.Proved(id.String()) {
					now[id] = true
					dirty = g.note(n.describe(id)) || dirty
				}
			}
			if dirty {
				if err := g.save(); err != nil {
					n.log.Warn("good peers not kept", "err", err)
				}
			}
			for id := range present {
				if !now[id] {
					n.redial(n.host.Peerstore().PeerInfo(id), lostTries)
				}
			}
			present = now
			if !pause(n.ctx, goodRenew, served, linked) || !pause(n.ctx, 100*time.Millisecond) {
				return
			}
		}
	})
}

// describe says where to find a connected peer: where it was dialled, and what
// it says it listens on.
func (n *Node) describe(id peer.ID) goodPeer {
	p := goodPeer{ID: id.String(), Seen: time.Now().Round(time.Second)}
	add := func(a ma.Multiaddr) {
		if s := a.String(); len(p.Addrs) < goodAddrsMax && !has(a, ma.P_CIRCUIT) && !slices.Contains(p.Addrs, s) {
			p.Addrs = append(p.Addrs, s)
		}
	}
	for _, c := range n.host.Network().ConnsToPeer(id) {
		if c.Stat().Direction == network.DirOutbound {
			add(c.RemoteMultiaddr())
		}
	}
	known := n.host.Peerstore().Addrs(id)
	slices.SortFunc(known, ma.Multiaddr.Compare)
	for _, a := range known {
		add(a)
	}
	return p
}

// redial tries to get a good peer back for a while, and gets it back too where it
// is lost again in that while; the other loops find it when it comes back later,
// or elsewhere. Where the network changes it begins anew.
func (n *Node) redial(info peer.AddrInfo, tries int) {
	if !n.found.begin(n.found.redialing, info.ID) {
		return
	}
	n.spawn(func() {
		defer n.found.end(n.found.redialing, info.ID)
		wait := backoff{min: redialMin, max: redialMax}
		for left := tries; left > 0; left-- {
			network := n.network.next()
			if !pause(n.ctx, wait.next(), network) || n.away.has(info.ID) {
				return
			}
			if beaten(network) {
				wait.reset()
				left = tries
			}
			if n.connected(info.ID) {
				continue
			}
			n.forgetBackoff(info.ID)
			n.dialFound(info, "good peers")
		}
	})
}
