package fs

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// DefaultReadTimeout is how long a request waits for the network where Options
// say nothing.
const DefaultReadTimeout = 30 * time.Second

// Options of a mount. Either Own or Root is set; the others may be zero.
type Options struct {
	// Own is the own multicore at the root, with append files unless ReadOnly.
	Own      *multicore.Own
	ReadOnly bool
	// Root is one remote multicore at the root.
	Root multicore.View
	// Open gives the multicore of a key on demand, without waiting for a
	// network. It is called once for a key; what it gives stays open until the
	// mount is done. nil: there are no other multicores below the root.
	Open func(hypercore.Key) (multicore.View, error)
	// Names gives the names of followed multicores, which are links to their keys
	// in the root, as long as Open is set. It is called for each such name that is
	// looked up, and must be quick. nil: there are none.
	Names func() Names
	// Status is the content of status.json; CoreInfo that of info.json for a
	// core at path ("main", "KEY/core-3").
	Status   func() []byte
	CoreInfo func(path string, core *hypercore.Core) []byte
	// StoreDir is asked for statfs.
	StoreDir      string
	AllowNonEmpty bool
	// Source is what the table of mounts shows as the source; "": multicore.
	Source string
	// AllowOther lets every user in, where else only who mounts, not even root,
	// is; the kernel then checks mode bits and owner. Users other than root
	// need user_allow_other in /etc/fuse.conf: ErrAllowOther.
	AllowOther bool
	// UID and GID own everything; nil: who mounts.
	UID, GID *uint32
	// Umask has the permission bits that are taken from files (0444), directories
	// (0555) and append files (0222); nil: DefaultUmask.
	Umask       *uint32
	Framing     multicore.Framing
	MaxMessage  int           // bytes; 0: multicore.DefaultMaxMessage
	ReadTimeout time.Duration // 0: DefaultReadTimeout
	Log         *slog.Logger  // nil: slog.Default()
	// Observe is told of each operation once it has ended, by many goroutines at
	// once. nil: nobody is, and it costs nothing.
	Observe func(Operation)

	trace bool // go-fuse logs each request, for tests: with bytes of blocks
}

// Mounted is a live mount. Safe for concurrent use.
type Mounted struct {
	path string
	made bool // the directory is ours to remove
	dev  string
	tree *tree

	ending  sync.Mutex // one Unmount at a time
	finish  sync.Once
	stopErr error
	done    chan struct{}
}

// Mount makes the directory if it is missing, clears a dead mount left there,
// and mounts; the mount is usable on return. The caller ends it with Unmount
// before it closes what the options name.
//
// Errors: ErrUnavailable, ErrNotEmpty, ErrMounted, ErrAllowOther, ErrMount, or what
// kept the directory from being used.
func Mount(path string, o Options) (_ *Mounted, err error) {
	t := newTree(o)
	path, made, err := preparePoint(path, o.AllowNonEmpty)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && made {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	options := t.fuseOptions()
	var tree fuse.RawFileSystem = newBlockServer(t, options)
	if o.Observe != nil {
		tree = &observed{tree, o.Observe}
	}
	server, err := serve(path, tree, &options.MountOptions, table{source: cmp.Or(o.Source, typeName), readOnly: t.own == nil, allowOther: o.AllowOther})
	if err != nil {
		return nil, err
	}
	t.kernel.serving(server)
	m := &Mounted{path: path, made: made, tree: t, done: make(chan struct{})}
	if at, ok := lastMount(path); ok {
		m.dev = at.dev
	}
	go func() {
		server.Wait()
		t.served()
		m.end()
	}()
	return m, nil
}

// fuseOptions are what go-fuse and the kernel are told of the mount.
func (t *tree) fuseOptions() *gofs.Options {
	return &gofs.Options{
		NullPermissions: true,
		RootStableAttr:  &gofs.StableAttr{Ino: inode("")},
		MountOptions: fuse.MountOptions{
			MaxWrite:             maxWrite,
			MaxBackground:        4096, // reads that wait for a network must not use up the room of others
			DisableXAttrs:        true,
			DisableReadDirPlus:   true, // it looks up each name that is listed, and waits for one that cannot be had at once
			ExtraCapabilities:    fuse.CAP_DIRECT_IO_ALLOW_MMAP | fuse.CAP_ATOMIC_O_TRUNC,
			MaxStackDepth:        stackDepth(t.StoreDir),
			Debug:                t.trace,
			Logger:               slog.NewLogLogger(t.Log.Handler(), slog.LevelDebug),
			IgnoreSecurityLabels: true,
		},
	}
}

// Path is where it is mounted, absolute.
func (m *Mounted) Path() string { return m.path }

// Done is closed once it is unmounted, by whomever, and what waited is appended
// and flushed. Where somebody else unmounted it lazily while files in it were
// open, that is when the last of them is closed, or at Unmount.
func (m *Mounted) Done() <-chan struct{} { return m.done }

// Unmount ends what waits for a network, ends the messages that wait in open
// append files, flushes, unmounts, and removes the directory if Mount made it.
// Where the mount is busy it leaves the tree at once and is gone with the last
// open file; nothing can be read or written through those any more. The error
// is that of the flush, or of unmounting, after which Unmount may be tried
// again. Safe twice.
func (m *Mounted) Unmount() error {
	m.ending.Lock()
	defer m.ending.Unlock()
	select {
	case <-m.done:
		return m.stopErr
	default:
	}
	flushed := m.tree.stop()
	if m.mounted() { // else somebody was faster
		if err := detach(m.path); err != nil {
			return errors.Join(flushed, fmt.Errorf("unmount %s: %w", m.path, err))
		}
	}
	m.end()
	return errors.Join(flushed, m.stopErr)
}

// mounted says whether the uppermost mount at the path is this one. Where the
// table of mounts cannot be read it is taken to be.
func (m *Mounted) mounted() bool {
	at, ok := lastMount(m.path)
	return m.dev == "" || ok && at.dev == m.dev
}

// end closes Done, after what waits was brought to an end.
func (m *Mounted) end() {
	m.finish.Do(func() {
		if err := m.tree.stop(); err != nil {
			m.stopErr = err
			m.tree.Log.Warn("mount: flush at the end", "path", inLog(m.path), "err", err)
		}
		if m.made {
			if err := os.Remove(m.path); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
				m.tree.Log.Warn("mount: remove mountpoint", "path", inLog(m.path), "err", err)
			}
		}
		close(m.done)
	})
	<-m.done
}
