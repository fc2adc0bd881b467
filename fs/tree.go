package fs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"multicore/hypercore"
)

// tree is what all nodes of one mount share. Safe for concurrent use.
type tree struct {
	root       view
	own        writer // nil: no append files
	openKey    func(hypercore.Key) (view, error)
	status     func() []byte
	coreInfo   func(path string, c core) []byte
	storeDir   string
	timeout    time.Duration // of a wait for the network
	log        *slog.Logger
	uid, gid   uint32
	began      time.Time
	ctx        context.Context // ends with the mount
	cancel     context.CancelFunc
	background sync.WaitGroup // of spawn

	mu      sync.Mutex
	stopped bool                   // nothing is spawned any more
	views   map[hypercore.Key]view // opened through <key>/
	linked  bool                   // the link of the own key was followed
	handles map[*appendHandle]struct{}
}

// open gives the multicore of a key, opened at first use. It never waits for a
// network.
func (t *tree) open(k hypercore.Key) (view, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := t.views[k]; v != nil {
		return v, nil
	}
	v, err := t.openKey(k)
	if err != nil {
		return nil, err
	}
	t.views[k] = v
	return v, nil
}

// opened gives the keys of the multicores that were opened below the root.
func (t *tree) opened() []hypercore.Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([]hypercore.Key, 0, len(t.views)+1)
	for k := range t.views {
		keys = append(keys, k)
	}
	if t.linked {
		keys = append(keys, t.root.Key())
	}
	return keys
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
	t.mu.Unlock()
	t.background.Wait()
	t.mu.Lock()
	handles := make([]*appendHandle, 0, len(t.handles))
	for h := range t.handles {
		handles = append(handles, h)
	}
	t.mu.Unlock()
	var errs []error
	for _, h := range handles {
		errs = append(errs, h.end(context.Background()))
	}
	if t.own != nil {
		errs = append(errs, t.own.Flush(context.Background()))
	}
	return errors.Join(errs...)
}

// fail turns an error into what the program is told, and tells the log what
// the number cannot say.
func (t *tree) fail(path string, err error) syscall.Errno {
	no := errno(err)
	switch {
	case no == syscall.EIO:
		t.log.Warn("mount: input/output error", "path", path, "err", err)
	case no == syscall.EINTR && t.ctx.Err() != nil:
		return syscall.ENOTCONN // the mount ends: not to be tried again
	}
	return no
}
