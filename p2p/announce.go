package p2p

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"multicore/hypercore"
)

const (
	provideEvery    = time.Hour
	provideRetryMin = 5 * time.Second
	provideRetryMax = 5 * time.Minute
)

// Why an announcement reached nobody.
var (
	errNoTable  = errors.New("routing table is empty")
	errNoAddrs  = errors.New("no address to announce")
	errNoHolder = errors.New("no peer took the provider record")
)

// provide announces this node under c, the CID of d: soon, when its addresses
// changed or the table grew, and every hour.
func (v *discovery) provide(ctx context.Context, d hypercore.DiscoveryKey, c cid.Cid) {
	retry := backoff{min: provideRetryMin, max: provideRetryMax}
	for {
		grown, moved := v.grown.next(), v.moved.next()
		if !v.slot(ctx) {
			return
		}
		holders, err := v.announce(ctx, c)
		<-v.slots
		delay := spread(provideEvery)
		switch {
		case err == nil:
			retry.reset()
			v.note(d, nil)
			v.n.log.Debug("announced", "cid", c, "peers", holders)
		case ctx.Err() != nil:
			return
		default:
			delay = retry.next()
			v.note(d, err)
			v.n.log.Debug("not announced", "cid", c, "err", err)
		}
		if !pause(ctx, delay, grown, moved) {
			return
		}
		if err == nil && !pause(ctx, v.provideGap) {
			return
		}
	}
}

// announce stores a provider record with the peers nearest to c and says with
// how many. It does by itself what the library's Provide does, because that
// hides whether any peer took the record.
func (v *discovery) announce(ctx context.Context, c cid.Cid) (int, error) {
	addrs := v.dht.FilteredAddrs()
	switch {
	case v.size() == 0:
		return 0, errNoTable
	case len(addrs) == 0:
		return 0, errNoAddrs
	}
	ctx, cancel := context.WithTimeout(ctx, v.provideTimeout)
	defer cancel()
	if err := v.dht.Provide(ctx, c, false); err != nil { // for those who ask us
		return 0, err
	}
	nearest, err := v.dht.GetClosestPeers(ctx, string(c.Hash()))
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	holders, last := 0, errNoHolder
	for _, p := range nearest {
		wg.Go(func() {
			err := v.put.PutProviderAddrs(ctx, p, c.Hash(), peer.AddrInfo{ID: v.n.host.ID(), Addrs: addrs})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				last = errors.Join(errNoHolder, err)
			} else {
				holders++
			}
		})
	}
	wg.Wait()
	if holders == 0 {
		return 0, last
	}
	return holders, nil
}

// note keeps how an announcement of d ended.
func (v *discovery) note(d hypercore.DiscoveryKey, err error) {
	v.mu.Lock()
	v.failed = err
	if err == nil {
		v.provided[d] = time.Now()
	}
	v.mu.Unlock()
	if err == nil {
		v.taken.beat()
	}
}
