package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/corestore"
	"multicore/corestore/multicore"
	"multicore/fs"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
	"multicore/p2p"
)

// Node holds a store and implements control.Service. Safe for concurrent use.
type Node struct {
	opts    Options
	log     *slog.Logger
	store   *corestore.Store
	cache   *multicore.Cache // nil where it is not limited
	swarm   *replicate.Swarm // nil without a network
	net     *p2p.Node        // nil without a network
	metrics *metrics         // nil where nobody wants them
	started time.Time

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc
	work   sync.WaitGroup // goroutines that ctx ends

	ownMu sync.Mutex // held while the own multicore is made
	own   *multicore.Own

	followMu sync.Mutex // held while the list of the followed and followed change; before mu
	followed map[hypercore.Key]following
	purging  map[hypercore.Key]bool   // these are not to be opened; under mu
	names    atomic.Pointer[fs.Names] // of the followed, for the mounts

	mu      sync.Mutex // over what follows and own; never held over I/O
	remotes map[hypercore.Key]*remote
	mounts  map[string]*mounted // by absolute path
	closing bool                // no mount is made any more

	watchdog *watchdog     // nil where it is not watched
	unwatch  func()        // ends it
	asking   chan struct{} // holds a value while somebody is at askStore

	yieldOnce sync.Once
	yielded   chan struct{}
	closeOnce sync.Once
	closeErr  error
}

var _ control.Service = (*Node)(nil)

// directory lets the swarm serve cores that no session has open.
type directory struct{ *corestore.Store }

func (d directory) Open(dk hypercore.DiscoveryKey) (*hypercore.Core, func(), error) {
	c, err := d.OpenDiscovery(dk)
	if err != nil {
		return nil, nil, err
	}
	return c.Core, func() { c.Close() }, nil
}

// Open opens the store of o.Dir and starts what it asks for. Errors are
// *control.Error where the user can do something about them. ctx bounds the
// start alone.
func Open(ctx context.Context, o Options) (*Node, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = DefaultReadTimeout
	}
	metrics, err := listenMetrics(o.Metrics)
	if errors.Is(err, syscall.EADDRINUSE) {
		// It may listen there that is about to let go of both, the store last.
		if pid, _ := corestore.Holder(o.Dir); pid != 0 {
			return nil, storeError(o.Dir, fmt.Errorf("%s: %w, pid %d", o.Dir, corestore.ErrInUse, pid))
		}
		metrics, err = listenMetrics(o.Metrics)
	}
	if err != nil {
		return nil, err // before anything is made
	}
	st, err := corestore.Open(o.Dir, corestore.Options{Create: o.Create, PrimaryKey: o.PrimaryKey, Log: o.Log})
	if err != nil {
		metrics.close()
		return nil, storeError(o.Dir, err)
	}
	n := &Node{
		opts: o, log: o.Log, store: st, metrics: metrics, started: time.Now(),
		remotes: map[hypercore.Key]*remote{}, followed: map[hypercore.Key]following{}, purging: map[hypercore.Key]bool{},
		mounts: map[string]*mounted{}, yielded: make(chan struct{}), asking: make(chan struct{}, 1), unwatch: func() {},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if !o.Short {
		n.startWatchdog()
	}
	if err := n.start(ctx); err != nil {
		n.Close()
		return nil, coded(err)
	}
	return n, nil
}

// startWatchdog watches the store until unwatch is called: longer than n.ctx
// lasts, for what is flushed at the end may be stuck too.
func (n *Node) startWatchdog() {
	ctx, cancel := context.WithCancel(context.Background())
	n.watchdog = newWatchdog(n.log, n.opts.Watch, n.looksAt()...)
	var work sync.WaitGroup
	work.Go(func() { n.watchdog.run(ctx) })
	n.unwatch = sync.OnceFunc(func() { cancel(); work.Wait() })
}

func (n *Node) start(ctx context.Context) error {
	if n.opts.NoPeers {
		if err := n.store.Release(); err != nil {
			return err
		}
	} else if had, err := n.store.Setting(settingHadPeers); err != nil {
		return err
	} else if had != nil {
		n.store.Settle(settleTime)
	}
	if nw := n.opts.Network; nw != nil {
		n.swarm = replicate.New(replicate.Options{
			Directory: directory{n.store}, Log: n.log,
			UploadLimit: nw.UploadLimit, DownloadLimit: nw.DownloadLimit,
		})
		if nw.CacheSize > 0 {
			n.cache = multicore.NewCache(n.store, nw.CacheSize, n.log)
			n.work.Go(func() { n.cache.Run(n.ctx) })
		}
	}
	if _, err := n.ownMulticore(ctx, false); err != nil && !errors.Is(err, multicore.ErrNoMulticore) {
		return err
	}
	if nw := n.opts.Network; nw != nil {
		var err error
		n.net, err = p2p.New(ctx, p2p.Options{
			Identity: filepath.Join(n.store.Dir(), "identity"), Settings: n.store, Swarm: n.swarm,
			Listen: nw.Listen, DHT: p2p.DHTMode(nw.DHT), DHTServer: nw.DHTServer,
			Bootstrap: nw.Bootstrap, Peers: nw.Peers,
			HypercoreListen: nw.HypercoreListen, HypercorePeers: nw.HypercorePeers,
			MDNS: nw.MDNS, Announce: nw.Announce,
			Version: n.opts.Version, Metrics: n.metrics.registerer(), Log: n.log,
		})
		if err != nil {
			return fmt.Errorf("start network: %w", err)
		}
		if n.own != nil {
			n.net.Join(n.own.Main().DiscoveryKey(), true)
		}
		n.work.Go(n.notePeers)
	}
	n.followMu.Lock()
	defer n.followMu.Unlock()
	if err := n.noteNames(); err != nil {
		return err
	}
	if n.swarm == nil {
		return nil // nothing to fetch from, so nothing to keep open
	}
	if n.metrics != nil {
		n.metrics.serve(n)
	}
	list, err := multicore.List(n.store)
	if err != nil {
		return err
	}
	for _, f := range list {
		// One copy that is damaged is no reason to serve nothing else.
		if err := n.download(f); err != nil {
			n.log.Error("a followed multicore cannot be opened", "core", f.Key.Discovery().String(), "err", err)
		}
	}
	return nil
}

// A store that had peers, and may be an older state of itself, asks them for a
// while before it signs.
const (
	settingHadPeers = "had peers" // there: some peer knew the own main core
	settleTime      = 5 * time.Second
)

// notePeers waits for the first peer that knows the own multicore.
func (n *Node) notePeers() {
	for {
		changed := n.swarm.Changed()
		if own := n.current(); own != nil && n.swarm.Reached(own.Main().DiscoveryKey()) {
			if had, err := n.store.Setting(settingHadPeers); err != nil || had == nil {
				err = n.store.SetSetting(settingHadPeers, []byte{1})
				if err != nil {
					n.log.Error("cannot note that the store had peers", "err", err)
				}
			}
			return
		}
		select {
		case <-changed:
		case <-n.ctx.Done():
			return
		}
	}
}

// attacher is n.swarm as the interface that may be nil.
func (n *Node) attacher() multicore.Swarm {
	if n.swarm == nil {
		return nil
	}
	return n.swarm
}

// ownMulticore opens the own multicore at first use, with create makes it.
func (n *Node) ownMulticore(ctx context.Context, create bool) (*multicore.Own, error) {
	n.ownMu.Lock()
	defer n.ownMu.Unlock()
	if n.own != nil {
		return n.own, nil
	}
	own, err := multicore.OpenOwn(ctx, n.store, n.attacher(), create)
	if err != nil {
		return nil, err
	}
	own.SyncAlways(n.opts.SyncAlways)
	n.mu.Lock()
	n.own = own
	n.mu.Unlock()
	if n.net != nil {
		n.net.Join(own.Main().DiscoveryKey(), true)
	}
	if n.opts.Network != nil && !n.opts.Short && held(own) {
		n.log.Warn("peers are not shown what is appended here until one has said how long the cores already are: the store is or may be a copy; if no other copy was ever written, start with --no-peers")
	}
	return own, nil
}

// held says whether a core of own waits for a peer, for however long.
func held(own *multicore.Own) bool {
	cores, _ := own.Known()
	return slices.ContainsFunc(cores, func(c multicore.Named) bool {
		info := c.Core.Info()
		return info.Held && !info.Settling
	})
}

// current is the own multicore, nil where there is none.
func (n *Node) current() *multicore.Own {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.own
}

// Yield implements control.Service: it asks a short command for the store.
func (n *Node) Yield(ctx context.Context) error {
	if !n.opts.Short {
		return &control.Error{Code: control.InUse, Text: fmt.Sprintf("%s is in use by a running multicore", n.opts.Dir)}
	}
	n.yieldOnce.Do(func() { close(n.yielded) })
	return nil
}

// Yielded is closed when Yield was called; the owner then closes the node.
func (n *Node) Yielded() <-chan struct{} { return n.yielded }

// Close unmounts, leaves the network, flushes and lets the store go. Safe
// twice.
func (n *Node) Close() error {
	n.closeOnce.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Node) close() error {
	n.mu.Lock()
	n.closing = true
	mounts := make([]*mounted, 0, len(n.mounts))
	for _, m := range n.mounts {
		mounts = append(mounts, m)
	}
	n.mu.Unlock()
	var errs []error
	for _, m := range mounts {
		errs = append(errs, m.Unmount())
	}
	n.cancel()
	n.work.Wait()
	n.metrics.close()
	select {
	case n.asking <- struct{}{}: // for good
	case <-time.After(statusPatience): // it is stuck
	}
	if n.net != nil {
		errs = append(errs, n.net.Close())
	}
	if n.swarm != nil {
		errs = append(errs, n.swarm.Close())
	}
	n.closeRemotes()
	if own := n.current(); own != nil {
		errs = append(errs, own.Close())
	}
	n.unwatch() // before the database is closed under it
	errs = append(errs, n.store.Close())
	return errors.Join(errs...)
}
