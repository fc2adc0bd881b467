package p2p

import (
	"net"
	"slices"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
)

// mdnsService is the name that multicore nodes look for and answer to on the
// local network.
const mdnsService = "_multicore._udp"

// multicastInterface says whether there is a network that mDNS could use.
func multicastInterface() bool {
	all, err := net.Interfaces()
	return err == nil && slices.ContainsFunc(all, func(i net.Interface) bool {
		return i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0
	})
}

// mdnsNotifee dials what mDNS comes upon.
type mdnsNotifee struct{ n *Node }

func (m mdnsNotifee) HandlePeerFound(info peer.AddrInfo) { m.n.dialFound(info, "mdns") }

// startMDNS runs mDNS for as long as the node lives: anew whenever the
// addresses or the network changed, since what it answers is fixed when it starts, and not at
// all while there is no network.
func (n *Node) startMDNS() {
	sub, err := n.host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated), eventbus.Name("multicore mdns"))
	if err != nil {
		n.log.Warn("mDNS does not run", "err", err)
		return
	}
	n.spawn(func() {
		defer sub.Close()
		var running mdns.Service
		var answered []ma.Multiaddr
		stop := func() {
			if running != nil {
				running.Close()
				running = nil
			}
		}
		defer stop()
		for {
			network := n.network.next()
			addrs, err := n.host.Network().InterfaceListenAddresses()
			switch {
			case err != nil || !reachesOut(addrs) || !multicastInterface():
				stop()
			case running == nil || !slices.EqualFunc(addrs, answered, ma.Multiaddr.Equal):
				stop()
				s := mdns.NewMdnsService(n.host, mdnsService, mdnsNotifee{n})
				if err := s.Start(); err != nil {
					n.log.Info("mDNS does not run", "err", err)
					break
				}
				running, answered = s, addrs
			}
			select {
			case <-n.ctx.Done():
				return
			case <-sub.Out():
			case <-network:
				stop() // its sockets may be bound to a link that is gone
			}
		}
	})
}
