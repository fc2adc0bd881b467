package fs

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// tree is what all nodes of one mount share. Safe for concurrent use.
type tree struct {
	Options
	root       multicore.View
	own        *multicore.Own // nil: no append files
	uid, gid   uint32
	umask      uint32
	began      time.Time
	ctx        context.Context // ends with the mount
	cancel     context.CancelFunc
	background sync.WaitGroup // of spawn

	kernel  kernel
	openers openers
	uncut   int // uncutWrite when it was mounted

	blocks blockTable

	opening sync.Mutex // held while Options.Open works; before mu

	mu      sync.Mutex
	stopped bool                             // nothing is spawned any more
	views   map[hypercore.Key]multicore.View // opened through <key>/
	linked  bool                             // the link of the own key was followed
	listed  time.Time                        // when views or linked changed; zero: not yet
	handles map[*appendHandle]struct{}
	seen    map[*hypercore.Core]*seen
	lent    map[*hypercore.Backing]struct{}
	growths map[*hypercore.Core]*growth
	frozen  map[string]struct{} // append files that were refused for a conflict
}

func newTree(o Options) *tree {
	t := &tree{
		Options: o,
		root:    o.Root,
		uncut:   uncutWrite(),
		uid:     or(o.UID, uint32(os.Getuid())),
		gid:     or(o.GID, uint32(os.Getgid())),
		umask:   or(o.Umask, DefaultUmask),
		began:   time.Now(),
		views:   make(map[hypercore.Key]multicore.View),
		handles: make(map[*appendHandle]struct{}),
		seen:    make(map[*hypercore.Core]*seen),
		lent:    make(map[*hypercore.Backing]struct{}),
		growths: make(map[*hypercore.Core]*growth),
		frozen:  make(map[string]struct{}),
	}
	if t.ReadTimeout <= 0 {
		t.ReadTimeout = DefaultReadTimeout
	}
	if t.Log == nil {
		t.Log = slog.Default()
	}
	if o.Own != nil {
		t.root = o.Own
		if !o.ReadOnly {
			t.own = o.Own
		}
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// or is what p points to, or else the other.
func or(p *uint32, other uint32) uint32 {
	if p != nil {
		return *p
	}
	return other
}

// rootDir is the directory that is mounted.
func (t *tree) rootDir() *multicoreDir {
	d := &multicoreDir{
		node:     node{place: place{t: t}},
		key:      t.root.Key(),
		open:     func() (multicore.View, error) { return t.root, nil },
		writable: t.own != nil,
		top:      true,
	}
	if t.Own == nil {
		d.info = d.key.String() + "/"
	}
	return d
}

// newFramer is the framer of an open append file; core takes its messages, ""
// routes them.
func (t *tree) newFramer(core string) *multicore.Framer {
	return t.own.NewFramer(multicore.FramerOptions{
		Framing:    t.Framing,
		MaxMessage: t.MaxMessage,
		MaxWrite:   t.uncut + 1,
		Core:       core,
	})
}

// open gives the multicore of a key, opened at first use. It never waits for a
// network.
func (t *tree) open(k hypercore.Key) (multicore.View, error) {
	if v := t.view(k); v != nil {
		return v, nil
	}
	t.opening.Lock()
	defer t.opening.Unlock()
	if v := t.view(k); v != nil {
		return v, nil
	}
	v, err := t.Open(k)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.views[k] = v
	t.listed = time.Now()
	return v, nil
}

// view is the multicore of a key that was opened before, or nil.
func (t *tree) view(k hypercore.Key) multicore.View {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.views[k]
}

// followed notes that the link of the own key was followed.
func (t *tree) followed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.linked {
		t.linked, t.listed = true, time.Now()
	}
}

// opened gives the keys of the multicores that were opened below the root, and
// when the last one was.
func (t *tree) opened() ([]hypercore.Key, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([]hypercore.Key, 0, len(t.views)+1)
	for k := range t.views {
		keys = append(keys, k)
	}
	if t.linked {
		keys = append(keys, t.root.Key())
	}
	return keys, t.listed
}

// spawn runs fn in the background; it must end when t.ctx does.
func (t *tree) spawn(fn func()) (started bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	t.background.Go(fn)
	return true
}

// stop refuses whatever comes now, ends what waits, ends the message that
// waits in each open append file, and flushes. Safe twice.
func (t *tree) stop() error {
	t.cancel()
	t.mu.Lock()
	t.stopped = true
	for c, s := range t.seen {
		defer s.cancel()
		delete(t.seen, c)
	}
	for _, g := range t.growths {
		defer g.cancel() // files may be open, and never be closed here
	}
	t.mu.Unlock()
	t.background.Wait()
	t.mu.Lock()
	handles := make([]*appendHandle, 0, len(t.handles))
	for h := range t.handles {
		handles = append(handles, h)
	}
	lent := slices.Collect(maps.Keys(t.lent)) // there will be no more
	t.mu.Unlock()
	var errs []error
	for _, h := range handles {
		errs = append(errs, h.end(context.Background()))
	}
	// Only now: of a message that is refused nothing is seen in them. The files are
	// open until served.
	for _, b := range lent {
		errs = append(errs, b.Return())
	}
	if t.own != nil {
		errs = append(errs, t.own.Flush(context.Background()))
	}
	return errors.Join(errs...)
}

// first reports whether a conflict was not told of path before.
func (t *tree) first(path string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, told := t.frozen[path]
	t.frozen[path] = struct{}{}
	return !told
}

// fail turns an error into what the program is told, and tells the log what
// the number cannot say.
func (t *tree) fail(path string, err error) syscall.Errno {
	no := errno(err)
	switch {
	case errors.Is(err, hypercore.ErrConflict) && !t.first(path):
		// It stays so, and was said once.
	case no == syscall.EIO:
		t.Log.Warn("mount: input/output error", "path", inLog(path), "err", err)
	case no == syscall.EINTR && t.ctx.Err() != nil:
		return syscall.ENOTCONN // the mount ends: not to be tried again
	}
	return no
}
