package p2p

import (
	"math"
	"net/netip"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Connections that one address, or one customer's IPv6 network, may hold: a
// school or a company is many peers behind one address. libp2p allows 8.
const (
	connsPerAddress = 256
	connsPerSite    = 1024
)

// Connections that the connection manager trims down to, and the number at
// which it starts.
const (
	connsLow  = 160
	connsHigh = 400
)

// newResourceManager bounds what peers can make libp2p hold: it scales with
// the machine's memory (an eighth of it) and descriptors, as libp2p's own, but
// lets one peer have hundreds of streams and several connections. metrics: it
// keeps libp2p's.
func newResourceManager(metrics bool) (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)

	s := &limits.SystemBaseLimit
	s.Conns, s.ConnsInbound, s.ConnsOutbound = 1024, 768, 512
	s.Streams, s.StreamsInbound, s.StreamsOutbound = 8192, 6144, 6144
	t := &limits.TransientBaseLimit
	t.Conns, t.ConnsInbound, t.ConnsOutbound = 256, 128, 192
	t.Streams, t.StreamsInbound, t.StreamsOutbound = 1024, 512, 768
	p := &limits.PeerBaseLimit
	p.Conns, p.ConnsInbound, p.ConnsOutbound = 16, 12, 12
	p.Streams, p.StreamsInbound, p.StreamsOutbound = 1024, 512, 1024
	p.Memory = 128 << 20
	pp := &limits.ProtocolPeerBaseLimit
	pp.Streams, pp.StreamsInbound, pp.StreamsOutbound = 768, 384, 512
	pp.Memory = 64 << 20

	// One stream per peer is the rule; the others are being displaced.
	limits.AddProtocolLimit(protocolID,
		rcmgr.BaseLimit{Streams: 2048, StreamsInbound: 1536, StreamsOutbound: 1536, Memory: 128 << 20},
		rcmgr.BaseLimitIncrease{Streams: 1024, StreamsInbound: 1024, StreamsOutbound: 1024, Memory: 512 << 20})
	limits.AddProtocolPeerLimit(protocolID,
		rcmgr.BaseLimit{Streams: 16, StreamsInbound: 8, StreamsOutbound: 8, Memory: 64 << 20},
		rcmgr.BaseLimitIncrease{})

	options := []rcmgr.Option{
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: connsPerAddress}},
			[]rcmgr.ConnLimitPerSubnet{
				{PrefixLength: 56, ConnCount: connsPerAddress},
				{PrefixLength: 48, ConnCount: connsPerSite},
			}),
		rcmgr.WithNetworkPrefixLimit(
			[]rcmgr.NetworkPrefixLimit{{Network: loopback4, ConnCount: math.MaxInt}},
			[]rcmgr.NetworkPrefixLimit{{Network: loopback6, ConnCount: math.MaxInt}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{{Prefix: loopback4}, {Prefix: loopback6}},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{
					{PrefixLength: 32, Limit: rate.Limit{RPS: 8, Burst: connsPerAddress}},
				},
				IPv6SubnetLimits: []rate.SubnetLimit{
					{PrefixLength: 56, Limit: rate.Limit{RPS: 8, Burst: connsPerAddress}},
					{PrefixLength: 48, Limit: rate.Limit{RPS: 16, Burst: connsPerSite}},
				},
			},
		}),
	}
	if !metrics {
		options = append(options, rcmgr.WithMetricsDisabled())
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.AutoScale()), options...)
}

var (
	loopback4 = netip.MustParsePrefix("127.0.0.0/8")
	loopback6 = netip.MustParsePrefix("::1/128")
)
