package node

import (
	"context"
	"sync"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// remote is a multicore of another store and how many need it open.
type remote struct {
	*multicore.Remote // valid after ready; nil if err
	key               hypercore.Key
	ready             chan struct{} // closed when it was opened, or that failed
	err               error
	uses              int                // guarded by Node.mu
	cancel            context.CancelFunc // of announceLearned
}

// acquire opens the multicore of key, or shares it. It never waits for peers.
// release is safe to call twice.
func (n *Node) acquire(key hypercore.Key) (r *remote, release func(), err error) {
	n.mu.Lock()
	if n.purging[key] {
		n.mu.Unlock()
		return nil, nil, errPurging
	}
	r = n.remotes[key]
	first := r == nil
	if first {
		r = &remote{key: key, ready: make(chan struct{})}
		n.remotes[key] = r
	}
	r.uses++
	n.mu.Unlock()
	if first {
		n.openRemote(r)
	}
	<-r.ready
	if r.err != nil {
		n.release(r)
		return nil, nil, r.err
	}
	return r, sync.OnceFunc(func() { n.release(r) }), nil
}

func (n *Node) openRemote(r *remote) {
	defer close(r.ready)
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(n.ctx)
	if r.Remote, r.err = multicore.OpenRemote(n.store, n.attacher(), r.key); r.err != nil {
		return
	}
	if n.cache != nil {
		r.SetCache(n.cache)
	}
	if n.net == nil {
		return
	}
	_, learned := r.Known()
	n.join(r, learned)
	if !learned {
		n.work.Go(func() { n.announceLearned(ctx, r) })
	}
}

// join has peers of r looked for, unless nobody needs it any more.
func (n *Node) join(r *remote, announce bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.remotes[r.key] == r {
		n.net.Join(r.Main().DiscoveryKey(), announce)
	}
}

func (n *Node) release(r *remote) {
	n.mu.Lock()
	r.uses--
	last := r.uses == 0 && n.remotes[r.key] == r
	if last {
		n.forget(r)
	}
	n.mu.Unlock()
	if last {
		n.closeRemote(r)
	}
}

// forget takes r out of the books, so that it is opened anew if needed; n.mu is
// held.
func (n *Node) forget(r *remote) {
	delete(n.remotes, r.key)
	if n.net != nil {
		n.net.Leave(r.key.Discovery())
	}
}

func (n *Node) closeRemote(r *remote) {
	<-r.ready
	r.cancel()
	if r.err != nil {
		return
	}
	if err := r.Close(); err != nil {
		n.log.Warn("close multicore", "core", r.key.Discovery().String(), "err", err)
	}
}

func (n *Node) closeRemotes() {
	n.mu.Lock()
	left := make([]*remote, 0, len(n.remotes))
	for _, r := range n.remotes {
		n.forget(r)
		left = append(left, r)
	}
	n.mu.Unlock()
	for _, r := range left {
		n.closeRemote(r)
	}
}

// announceLearned announces a multicore once its block 0 is held: before that
// there is nothing here that another reader could use.
func (n *Node) announceLearned(ctx context.Context, r *remote) {
	for {
		changed := r.Main().Changed()
		if _, learned := r.Known(); learned {
			n.join(r, true)
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// following is a multicore that is being downloaded.
type following struct {
	remote *remote
	stop   func()
}

// download opens a followed multicore and downloads what is to be kept of it;
// n.followMu is held.
func (n *Node) download(f multicore.Followed) error {
	now, ok := n.followed[f.Key]
	if !ok {
		r, release, err := n.acquire(f.Key)
		if err != nil {
			return err
		}
		now = following{r, func() {
			r.SetDownload(false)
			r.SetKeep(multicore.Keep{}) // who else has it open keeps what is here
			release()
		}}
		n.followed[f.Key] = now
	}
	now.remote.SetKeep(f.Keep)
	now.remote.SetDownload(true)
	return nil
}
