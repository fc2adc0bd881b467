package p2p

import (
	"context"
	"errors"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"

	"multicore/hypercore/replicate"
)

// Probed is how a node came into a DHT.
type Probed struct {
	Asked    int   // peers to begin with
	Answered int   // of them
	Table    int   // peers in the routing table
	Err      error // why one of those that did not answer did not
}

// Probe tries to enter the DHT of the options, with Bootstrap, or in the public
// one libp2p's own peers where there is none. It is a peer that listens on
// loopback alone, has an identity for the moment and announces nothing; other
// options are ignored. It returns when somebody is in the routing table, when
// nobody answered, or when ctx ends; the error is an *OptionError or of the
// start.
func Probe(ctx context.Context, o Options) (Probed, error) {
	sw := replicate.New(replicate.Options{})
	defer sw.Close()
	begin, err := parseStatic("bootstrap", o.Bootstrap, false)
	if err != nil {
		return Probed{}, err
	}
	public := o.DHT == DHTPublic || o.DHT == ""
	if len(begin) == 0 && public {
		for _, info := range dht.GetDefaultBootstrapPeerAddrInfos() {
			begin = append(begin, static{id: info.ID, addrs: info.Addrs})
		}
	}
	n, err := New(ctx, Options{Swarm: sw, DHT: o.DHT, Version: o.Version, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		return Probed{}, err
	}
	defer n.Close()

	p := Probed{Asked: len(begin)}
	var mu sync.Mutex // over p and dialled
	dialled := 0
	for _, s := range begin {
		n.spawn(func() {
			err := n.dialStatic(n.ctx, &s)
			mu.Lock()
			defer mu.Unlock()
			if dialled++; err == nil {
				p.Answered++
			} else {
				p.Err = errors.New(oneLine(err))
			}
		})
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		mu.Lock()
		if n.discovery != nil {
			p.Table = n.discovery.size()
		}
		now, nobody := p, dialled == len(begin) && p.Answered == 0
		mu.Unlock()
		if now.Table > 0 || nobody {
			return now, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return now, nil
		}
	}
}
