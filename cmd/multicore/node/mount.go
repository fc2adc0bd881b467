package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"multicore/cmd/multicore/control"
	"multicore/corestore/multicore"
	"multicore/fs"
	"multicore/hypercore"
)

// mounted is a mountpoint of a node.
type mounted struct {
	*fs.Mounted
	n        *Node
	key      hypercore.Key
	readOnly bool

	mu       sync.Mutex
	ended    bool
	releases []func() // of what was looked up in it
	keys     map[hypercore.Key]bool
}

// status describes the mountpoint.
func (m *mounted) status() control.Mount {
	return control.Mount{Path: m.Path(), Key: m.key.String(), ReadOnly: m.readOnly}
}

// Mount implements control.Service. It never waits for a network.
func (n *Node) Mount(ctx context.Context, r control.MountRequest, emit func(control.Mount) error) error {
	m, err := n.mount(ctx, r)
	if err != nil {
		return err
	}
	if err := emit(m.status()); err != nil {
		return errors.Join(err, m.Unmount())
	}
	select {
	case <-m.Done():
		return coded(m.Unmount()) // says whether all was flushed
	case <-ctx.Done():
	}
	if err := m.Unmount(); err != nil {
		return coded(err)
	}
	return ctx.Err()
}

// mount shows the own multicore, or that of r.Key, at r.Path. It is usable on
// return.
func (n *Node) mount(ctx context.Context, r control.MountRequest) (*mounted, error) {
	framing := multicore.Framing{Mode: multicore.ByLine}
	if r.Framing != "" {
		var err error
		if framing, err = multicore.ParseFraming(r.Framing); err != nil {
			return nil, &control.Error{Code: control.Usage, Text: err.Error(), Err: err}
		}
	}
	m := &mounted{n: n, readOnly: r.ReadOnly}
	opts := fs.Options{
		ReadOnly: r.ReadOnly, Open: m.remote, Names: n.Names, Status: n.statusJSON, CoreInfo: n.coreJSON,
		StoreDir: n.store.Dir(), AllowNonEmpty: r.AllowNonEmpty, Framing: framing,
		Source: r.Source, AllowOther: r.AllowOther, UID: r.UID, GID: r.GID, Umask: r.Umask,
		MaxMessage: r.MaxMessage, ReadTimeout: r.ReadTimeout, Log: n.log,
	}
	if n.metrics != nil {
		opts.Observe = n.metrics.operation
	}
	if opts.MaxMessage <= 0 {
		opts.MaxMessage = n.opts.MaxMessage
	}
	if opts.ReadTimeout <= 0 {
		opts.ReadTimeout = n.opts.ReadTimeout
	}
	if err := m.show(ctx, r.Key, &opts); err != nil {
		m.releaseAll()
		return nil, coded(err)
	}
	var err error
	if m.Mounted, err = fs.Mount(r.Path, opts); err != nil {
		m.releaseAll()
		if errors.Is(err, fs.ErrNotEmpty) {
			err = &control.Error{Code: control.FUSE, Err: err, Text: err.Error() + "; choose another, or pass --allow-non-empty"}
		}
		return nil, coded(err)
	}
	if !n.enlist(m) {
		err := m.Unmount()
		m.releaseAll()
		return nil, errors.Join(control.ErrGone, err)
	}
	return m, nil
}

// enlist puts m on the list of mounts until it is unmounted, unless the node
// closes.
func (n *Node) enlist(m *mounted) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return false
	}
	n.mounts[m.Path()] = m
	n.work.Go(func() {
		select {
		case <-m.Done():
		case <-n.ctx.Done(): // Close unmounts before this
		}
		n.unlist(m)
		m.releaseAll()
	})
	return true
}

// AwaitUnmounted returns once the node has no mountpoint, or with the error of
// ctx.
func (n *Node) AwaitUnmounted(ctx context.Context) error {
	for {
		m := n.anyMount()
		if m == nil {
			return nil
		}
		select {
		case <-m.Done():
			n.unlist(m)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// anyMount gives one of the mounts, nil where there is none.
func (n *Node) anyMount() *mounted {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.mounts {
		return m
	}
	return nil
}

// show decides what stands at the root.
func (m *mounted) show(ctx context.Context, key string, opts *fs.Options) error {
	if key == "" {
		own, err := m.n.ownMulticore(ctx, true)
		if err != nil {
			return err
		}
		opts.Own, m.key = own, own.Key()
		return nil
	}
	k, err := hypercore.ParseKey(key)
	if err != nil {
		return &control.Error{Code: control.Usage, Text: err.Error(), Err: err}
	}
	m.key, m.readOnly = k, true
	if own := m.n.current(); own != nil && own.Key() == k {
		opts.Own, opts.ReadOnly = own, true
		return nil
	}
	opts.Root, err = m.remote(k)
	return err
}

// remote opens a multicore that somebody looked up in the mount, for as long as
// the mount lasts.
func (m *mounted) remote(key hypercore.Key) (multicore.View, error) {
	if own := m.n.current(); own != nil && own.Key() == key {
		return own, nil
	}
	r, release, err := m.n.acquire(key)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	ended := m.ended
	if !ended {
		m.releases = append(m.releases, release)
		if m.keys == nil {
			m.keys = make(map[hypercore.Key]bool)
		}
		m.keys[key] = true
	}
	m.mu.Unlock()
	if ended {
		release()
		return nil, errors.New("mount has ended")
	}
	return r, nil
}

// uses says whether a multicore was looked up in the mount.
func (m *mounted) uses(key hypercore.Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys[key]
}

func (m *mounted) releaseAll() {
	m.mu.Lock()
	releases := m.releases
	m.ended, m.releases = true, nil
	m.mu.Unlock()
	for _, release := range releases {
		release()
	}
}

// unlist takes m off the list of mounts.
func (n *Node) unlist(m *mounted) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mounts[m.Path()] == m {
		delete(n.mounts, m.Path())
	}
}

// ResolveMount gives the path of a mountpoint as control.Mount and the kernel
// have it. It does not look at what is mounted there.
func ResolveMount(path string) (string, error) { return fs.Resolve(path) }

// Unmount implements control.Service; path is one that ResolveMount gave.
func (n *Node) Unmount(ctx context.Context, path string) (ends bool, err error) {
	n.mu.Lock()
	m := n.mounts[path]
	n.mu.Unlock()
	if m == nil {
		return false, &control.Error{Code: control.NotFound, Text: fmt.Sprintf("%s is not a mountpoint of this store", path)}
	}
	err = m.Mounted.Unmount()
	select {
	case <-m.Done():
		n.unlist(m) // before the caller may ask
		ends = !n.opts.Stay && n.anyMount() == nil
	default:
	}
	return ends, coded(err)
}
