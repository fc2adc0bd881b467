package node

import (
	"context"
	"sync"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// remote is a multicore of another store and how many need it open.
type remote struct {
	*multicore.Remote
	key    hypercore.Key
	uses   int // guarded by Node.mu
	cancel context.CancelFunc
}

// acquire opens the multicore of key, or shares it. It never waits for peers.
// release is safe to call twice.
func (n *Node) acquire(key hypercore.Key) (r *remote, release func(), err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r = n.remotes[key]
	if r == nil {
		rm, err := multicore.OpenRemote(n.store, n.attacher(), key)
		if err != nil {
			return nil, nil, err
		}
		ctx, cancel := context.WithCancel(n.ctx)
		r = &remote{Remote: rm, key: key, cancel: cancel}
		n.remotes[key] = r
		if n.net != nil {
			_, learned := rm.Known()
			n.net.Join(rm.Main().DiscoveryKey(), learned)
			if !learned {
				n.work.Add(1)
				go n.announceLearned(ctx, rm)
			}
		}
	}
	r.uses++
	return r, sync.OnceFunc(func() { n.release(r) }), nil
}

func (n *Node) release(r *remote) {
	n.mu.Lock()
	r.uses--
	last := r.uses == 0 && n.remotes[r.key] == r
	if last {
		delete(n.remotes, r.key)
		n.closeRemote(r)
	}
	n.mu.Unlock()
}

func (n *Node) closeRemote(r *remote) {
	r.cancel()
	if n.net != nil && n.ctx.Err() == nil {
		n.net.Leave(r.Main().DiscoveryKey())
	}
	if err := r.Close(); err != nil {
		n.log.Warn("close multicore", "key", r.key, "err", err)
	}
}

func (n *Node) closeRemotes() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, r := range n.remotes {
		delete(n.remotes, key)
		n.closeRemote(r)
	}
}

// announceLearned announces a multicore once its block 0 is held: before that
// there is nothing here that another reader could use.
func (n *Node) announceLearned(ctx context.Context, rm *multicore.Remote) {
	defer n.work.Done()
	for {
		changed := rm.Main().Changed()
		if _, learned := rm.Known(); learned {
			n.net.Join(rm.Main().DiscoveryKey(), true)
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// keepWhole opens a followed multicore and downloads all of it.
func (n *Node) keepWhole(key hypercore.Key) error {
	r, release, err := n.acquire(key)
	if err != nil {
		return err
	}
	r.SetDownload(true)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.followed[key] == nil {
		n.followed[key] = release
	} else {
		n.work.Go(release) // release takes n.mu
	}
	return nil
}
