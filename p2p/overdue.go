package p2p

import (
	"context"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// checkOverdue looks after the peers that ought to have said something: whether
// one is still there shows a ping, which no queue of blocks delays. Who does not
// answer that is gone, and is looked for anew; the system alone would notice it
// after minutes.
func (l *links) checkOverdue() {
	checking := make(map[peer.ID]chan struct{})
	for pause(l.ctx, overdueEvery) {
		for p, done := range checking {
			if beaten(done) {
				delete(checking, p)
			}
		}
		for _, name := range l.swarm.Overdue() {
			p, err := peer.Decode(name)
			if err != nil || checking[p] != nil {
				continue // a JavaScript peer, which the kernel looks after
			}
			done := make(chan struct{})
			checking[p] = done
			l.wg.Go(func() {
				defer close(done)
				l.check(p)
			})
		}
	}
}

// check closes the connections to a peer that does not answer. It takes its time,
// so that one that does is not asked all the time.
func (l *links) check(p peer.ID) {
	ctx, cancel := context.WithTimeout(l.ctx, overdueAnswer)
	defer cancel()
	results := ping.Ping(ctx, l.host, p)
	answer, answered := <-results
	if answered && answer.Error == nil {
		<-ctx.Done()
	}
	cancel()
	for range results { // until its goroutine has ended
	}
	if l.ctx.Err() != nil || answered && answer.Error == nil || !slices.Contains(l.swarm.Overdue(), p.String()) {
		return
	}
	l.log.Debug("peer does not answer", "peer", p)
	l.host.Network().ClosePeer(p)
}
