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

// MountOptions says what to show where.
type MountOptions struct {
	Path          string
	Key           string // "": the own multicore, made if missing
	ReadOnly      bool
	AllowNonEmpty bool
	Framing       string // "" is line
}

// Mounted is a mountpoint of a node.
type Mounted struct {
	*fs.Mounted
	n        *Node
	key      hypercore.Key
	readOnly bool

	mu       sync.Mutex
	ended    bool
	releases []func() // of what was looked up in it
	keys     map[hypercore.Key]bool
}

// Key is the main key of the multicore that it shows.
func (m *Mounted) Key() string { return m.key.String() }

// Mount shows the own multicore, or that of o.Key, at o.Path. The mount is
// usable on return; it never waits for a network.
func (n *Node) Mount(ctx context.Context, o MountOptions) (*Mounted, error) {
	framing := multicore.Framing{Mode: multicore.ByLine}
	if o.Framing != "" {
		var err error
		if framing, err = multicore.ParseFraming(o.Framing); err != nil {
			return nil, &control.Error{Code: control.Usage, Text: err.Error(), Err: err}
		}
	}
	m := &Mounted{n: n, readOnly: o.ReadOnly}
	opts := fs.Options{
		ReadOnly: o.ReadOnly, Open: m.remote, Status: n.statusJSON, CoreInfo: n.coreJSON,
		StoreDir: n.store.Dir(), AllowNonEmpty: o.AllowNonEmpty, Framing: framing,
		MaxMessage: n.opts.MaxMessage, ReadTimeout: n.opts.ReadTimeout, Log: n.log,
	}
	if err := m.show(ctx, o.Key, &opts); err != nil {
		m.releaseAll()
		return nil, coded(err)
	}
	mounted, err := fs.Mount(o.Path, opts)
	if err != nil {
		m.releaseAll()
		if errors.Is(err, fs.ErrNotEmpty) {
			err = &control.Error{Code: control.FUSE, Err: err, Text: err.Error() + "; choose another, or pass --allow-non-empty"}
		}
		return nil, coded(err)
	}
	m.Mounted = mounted
	n.mu.Lock()
	n.mounts[m.Path()] = m
	n.mu.Unlock()
	n.work.Go(func() {
		select {
		case <-m.Done():
		case <-n.ctx.Done(): // Close unmounts before this
		}
		n.unlist(m)
		m.releaseAll()
	})
	return m, nil
}

// show decides what stands at the root.
func (m *Mounted) show(ctx context.Context, key string, opts *fs.Options) error {
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
func (m *Mounted) remote(key hypercore.Key) (multicore.View, error) {
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
func (m *Mounted) uses(key hypercore.Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys[key]
}

func (m *Mounted) releaseAll() {
	m.mu.Lock()
	releases := m.releases
	m.ended, m.releases = true, nil
	m.mu.Unlock()
	for _, release := range releases {
		release()
	}
}

// unlist takes m off the list of mounts.
func (n *Node) unlist(m *Mounted) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mounts[m.Path()] == m {
		delete(n.mounts, m.Path())
	}
}

// ResolveMount gives the path of a mountpoint as Mounted.Path and the kernel
// have it. It does not look at what is mounted there.
func ResolveMount(path string) (string, error) { return fs.Resolve(path) }

// Unmount implements control.Service; path is one that ResolveMount gave.
func (n *Node) Unmount(ctx context.Context, path string) error {
	n.mu.Lock()
	m := n.mounts[path]
	n.mu.Unlock()
	if m == nil {
		return &control.Error{Code: control.NotFound, Text: fmt.Sprintf("%s is not a mountpoint of this store", path)}
	}
	err := m.Mounted.Unmount()
	select {
	case <-m.Done():
		n.unlist(m) // before the caller may ask
	default:
	}
	return coded(err)
}
