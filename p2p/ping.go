package p2p

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// ping measures the round trip to p now and then, until ctx ends; the
// peerstore keeps the smoothed time.
func (l *links) ping(ctx context.Context, p peer.ID) {
	for {
		once, cancel := context.WithTimeout(ctx, pingTimeout)
		results := ping.Ping(once, l.host, p)
		<-results
		cancel()
		for range results { // until its goroutine has ended
		}
		if !pause(ctx, spread(pingEvery)) {
			return
		}
	}
}
