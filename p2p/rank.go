package p2p

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// rank orders the addresses of a peer for dialling: on private and loopback
// addresses, where no NAT has to be crossed and TCP is the faster one, TCP at
// once and the others after it; libp2p's own order for the rest.
func rank(addrs []ma.Multiaddr) []network.AddrDelay {
	var tcp, other, rest []ma.Multiaddr
	for _, a := range addrs {
		switch {
		case has(a, ma.P_CIRCUIT) || !manet.IsPrivateAddr(a) && !manet.IsIPLoopback(a):
			rest = append(rest, a)
		case has(a, ma.P_TCP):
			tcp = append(tcp, a)
		default:
			other = append(other, a)
		}
	}
	slices.SortFunc(tcp, ma.Multiaddr.Compare) // IPv4 before IPv6
	slices.SortFunc(other, ma.Multiaddr.Compare)

	ranked := make([]network.AddrDelay, 0, len(addrs))
	var delay time.Duration
	for _, group := range [][]ma.Multiaddr{tcp, other} {
		for i, a := range group {
			if i == 1 {
				delay += libswarm.PrivateTCPDelay
			}
			ranked = append(ranked, network.AddrDelay{Addr: a, Delay: delay})
		}
		if len(group) > 0 {
			delay += libswarm.PrivateTCPDelay
		}
	}
	return append(ranked, libswarm.DefaultDialRanker(rest)...)
}

// has says whether a part of a has the protocol code.
func has(a ma.Multiaddr, code int) bool {
	_, err := a.ValueForProtocol(code)
	return err == nil
}
