package p2p

import (
	"context"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	libswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libtls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/prometheus/client_golang/prometheus"
)

// relaySource gives candidates for relays, as autorelay asks for them.
type relaySource func(num int) <-chan peer.AddrInfo

// newHost makes the libp2p host, which does not listen yet. nat: ask the router for a port, learn from peers
// how we are seen, punch holes; relays: where to get relays from, if at all.
func newHost(key crypto.PrivKey, version string, gate *away, nat bool, relays relaySource, metrics prometheus.Registerer, log *slog.Logger) (host.Host, error) {
	adoptLibraryLog(log)
	resources, err := newResourceManager(metrics != nil)
	if err != nil {
		return nil, err
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(time.Minute))
	if err != nil {
		resources.Close()
		return nil, err
	}
	agent := "multicore"
	if version != "" {
		agent += "/" + version
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.UserAgent(agent),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(quic.NewTransport),
		libp2p.Security(libtls.ID, libtls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.ConnectionGater(gate),
		libp2p.SwarmOpts(libswarm.WithDialRanker(rank)),
		libp2p.Ping(true),
		libp2p.EnableRelay(), // before NoListenAddrs, which would turn it off
		libp2p.NoListenAddrs,
	}
	if metrics != nil {
		options = append(options, libp2p.PrometheusRegisterer(metrics))
	} else {
		options = append(options, libp2p.DisableMetrics())
	}
	if nat {
		options = append(options,
			libp2p.NATPortMap(),
			libp2p.EnableNATService(),
			libp2p.EnableAutoNATv2(),
			libp2p.EnableHolePunching(),
		)
		if relays != nil {
			options = append(options, libp2p.EnableAutoRelayWithPeerSource(
				func(_ context.Context, num int) <-chan peer.AddrInfo { return relays(num) }))
		}
	}
	return libp2p.New(options...)
}
