package fs

import (
	"context"
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
	// Status is the content of status.json; CoreInfo that of info.json for a
	// core at path ("main", "KEY/core-3").
	Status   func() []byte
	CoreInfo func(path string, core *hypercore.Core) []byte
	// StoreDir is asked for statfs.
	StoreDir      string
	AllowNonEmpty bool
	Framing       multicore.Framing
	MaxMessage    int           // bytes; 0: multicore.DefaultMaxMessage
	ReadTimeout   time.Duration // 0: DefaultReadTimeout
	Log           *slog.Logger  // nil: slog.Default()
}

// Mounted is a live mount. Safe for concurrent use.
type Mounted struct {
	path string
	made bool // the directory is ours to remove
	dev  string
	tree *tree

	finish  sync.Once
	stopErr error
	done    chan struct{}
}

// Mount makes the directory if it is missing, clears a dead mount left there,
// and mounts; the mount is usable on return. The caller ends it with Unmount
// before it closes what the options name.
//
// Errors: ErrUnavailable, ErrNotEmpty, ErrMounted, or what kept the directory
// from being used.
func Mount(path string, o Options) (*Mounted, error) {
	return mountTree(path, newTree(o), o.AllowNonEmpty)
}

func newTree(o Options) *tree {
	t := &tree{
		status:   o.Status,
		coreInfo: func(path string, c core) []byte { return o.CoreInfo(path, c.(*hypercore.Core)) },
		storeDir: o.StoreDir,
		timeout:  o.ReadTimeout,
		log:      o.Log,
	}
	if o.Own != nil {
		t.root = viewOf{o.Own}
		if !o.ReadOnly {
			t.own = ownWriter{Own: o.Own, framing: multicore.FramerOptions{
				Framing:    o.Framing,
				MaxMessage: o.MaxMessage,
				MaxWrite:   uncutWrite() + 1,
			}}
		}
	} else {
		t.root = viewOf{o.Root}
	}
	if o.Open != nil {
		t.openKey = func(k hypercore.Key) (view, error) {
			v, err := o.Open(k)
			if err != nil {
				return nil, err
			}
			return viewOf{v}, nil
		}
	}
	return t
}

// prepare fills in what the options left open.
func (t *tree) prepare() {
	if t.timeout <= 0 {
		t.timeout = DefaultReadTimeout
	}
	if t.log == nil {
		t.log = slog.Default()
	}
	t.uid, t.gid = uint32(os.Getuid()), uint32(os.Getgid())
	t.began = time.Now()
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.views = make(map[hypercore.Key]view)
	t.handles = make(map[*appendHandle]struct{})
}

func mountTree(path string, t *tree, allowNonEmpty bool) (_ *Mounted, err error) {
	t.prepare()
	path, made, err := preparePoint(path, allowNonEmpty)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && made {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	root := &multicoreDir{
		node:     node{place: place{t: t}},
		key:      t.root.Key(),
		open:     func() (view, error) { return t.root, nil },
		writable: t.own != nil,
		top:      true,
		info:     rootInfo(t),
	}
	server, err := serve(path, root, &gofs.Options{
		NullPermissions: true,
		RootStableAttr:  &gofs.StableAttr{Ino: inode("")},
		MountOptions: fuse.MountOptions{
			FsName:               "multicore",
			Name:                 "multicore",
			MaxWrite:             maxWrite,
			MaxBackground:        64,
			DisableXAttrs:        true,
			DisableReadDirPlus:   true, // it looks up each name that is listed
			ExtraCapabilities:    fuse.CAP_DIRECT_IO_ALLOW_MMAP,
			Logger:               slog.NewLogLogger(t.log.Handler(), slog.LevelDebug),
			IgnoreSecurityLabels: true,
		},
	})
	if err != nil {
		return nil, err
	}
	m := &Mounted{path: path, made: made, tree: t, done: make(chan struct{})}
	if at, ok := lastMount(path); ok {
		m.dev = at.dev
	}
	go func() {
		server.Wait()
		m.end()
	}()
	return m, nil
}

// rootInfo is what the paths of the root's cores in info.json begin with:
// nothing for the own multicore, else its key.
func rootInfo(t *tree) string {
	if v, ok := t.root.(viewOf); ok {
		if _, own := v.View.(*multicore.Own); !own {
			return t.root.Key().String() + "/"
		}
	}
	return ""
}

// Path is where it is mounted, absolute.
func (m *Mounted) Path() string { return m.path }

// Done is closed once it is unmounted, by whomever, and what waited is appended
// and flushed.
func (m *Mounted) Done() <-chan struct{} { return m.done }

// Unmount ends what waits for a network, ends the messages that wait in open
// append files, flushes, unmounts, and removes the directory if Mount made it.
// Where the mount is busy it leaves the tree at once and is gone with the last
// open file; nothing can be read or written through those any more. The error
// is that of the flush, or of unmounting, after which Unmount may be tried
// again. Safe twice.
func (m *Mounted) Unmount() error {
	select {
	case <-m.done:
		return m.stopErr
	default:
	}
	flushed := m.tree.stop()
	if at, ok := lastMount(m.path); ok && at.dev == m.dev { // else somebody was faster
		if err := detach(m.path); err != nil {
			return errors.Join(flushed, fmt.Errorf("unmount %s: %w", m.path, err))
		}
	}
	m.end()
	return errors.Join(flushed, m.stopErr)
}

// end closes Done, after what waits was brought to an end.
func (m *Mounted) end() {
	m.finish.Do(func() {
		if err := m.tree.stop(); err != nil {
			m.stopErr = err
			m.tree.log.Warn("mount: flush at the end", "path", m.path, "err", err)
		}
		if m.made {
			if err := os.Remove(m.path); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
				m.tree.log.Warn("mount: remove mountpoint", "path", m.path, "err", err)
			}
		}
		close(m.done)
	})
	<-m.done
}
