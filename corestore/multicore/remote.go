package multicore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// Remote is somebody else's multicore. Safe for concurrent use.
type Remote struct {
	st  *corestore.Store
	sw  Swarm
	key hypercore.Key

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // the goroutine that waits for block 0

	learning sync.Mutex // held while learning, so that it is done once; before mu

	mu       sync.Mutex
	sessions []*corestore.Core       // main first
	attach   []*replicate.Attachment // of each session; nil where it has none
	presence []presence              // of each session
	ends     []func()                // of subscriptions
	complete bool
	download bool
	keep     Keep
	trimming bool // keepTrim runs
	closed   bool

	cache     *Cache        // nil: none
	moved     chan struct{} // a core changed its length; holds one
	trims     sync.Mutex    // one trim at a time; before recording
	recording sync.Mutex    // over the records of presence; before mu
}

// OpenRemote opens the multicore of a main key and attaches its cores to sw; it
// never waits for a network. Where block 0 is not known yet, it is fetched in
// the background and the other cores are attached then. Cores that st writes
// itself are shown too, but left to whoever attaches the own multicore. The
// caller closes it before st.
func OpenRemote(st *corestore.Store, sw Swarm, key hypercore.Key) (*Remote, error) {
	r := &Remote{st: st, sw: sw, key: key, moved: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	main, err := st.OpenKey(key)
	if err != nil {
		r.cancel()
		return nil, fmt.Errorf("open main: %w", err)
	}
	r.add([]*corestore.Core{main})
	others, known, err := r.stored()
	if err == nil && known {
		err = r.learn(others, false)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if !known {
		r.work.Go(r.watch)
	}
	return r, nil
}

// Key gives main's key.
func (r *Remote) Key() hypercore.Key { return r.key }

// Main gives the core whose block 0 names the others.
func (r *Remote) Main() *hypercore.Core {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[0].Core
}

// Known gives the cores learned so far, main first; complete says whether that
// is all of them.
func (r *Remote) Known() (cores []Named, complete bool) {
	r.catchUp()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.named(), r.complete
}

// Cores waits until block 0 is known, or ctx ends: then ctx's error, joined to
// hypercore.ErrNoPeers where no peer was ever reached. Where main was verified
// to be empty it gives main alone, and may give more later.
func (r *Remote) Cores(ctx context.Context) ([]Named, error) {
	if cores, complete := r.Known(); complete {
		return cores, nil
	}
	if r.sw == nil {
		return nil, fmt.Errorf("block 0 of main is not held: %w", hypercore.ErrNoPeers)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.ctx, func() { cancel(ErrClosed) })()
	err := r.fetch(ctx, true)
	if errors.Is(context.Cause(ctx), ErrClosed) {
		err = ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("block 0 of main: %w", err)
	}
	cores, _ := r.Known()
	return cores, nil
}

// SetDownload says whether the blocks of all cores are fetched, also of those
// that are learned later: all but what SetKeep leaves out, and what was cleared.
func (r *Remote) SetDownload(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.download = on
	for _, a := range r.attach {
		if a != nil {
			a.SetDownload(on)
		}
	}
}

// Downloads says what SetDownload said last.
func (r *Remote) Downloads() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.download
}

// SetCache has what is read counted as cache.
func (r *Remote) SetCache(c *Cache) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cache = c
	for _, s := range r.sessions {
		r.ends = append(r.ends, c.watch(s.Core))
	}
}

// Close leaves the network and ends the sessions on the cores. Safe twice.
func (r *Remote) Close() error {
	r.cancel()
	r.work.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	for _, a := range r.attach {
		if a != nil {
			a.Detach()
		}
	}
	for _, end := range r.ends {
		end()
	}
	r.attach, r.ends = nil, nil
	var errs []error
	for _, c := range r.sessions {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (r *Remote) named() []Named {
	out := make([]Named, len(r.sessions))
	for i, c := range r.sessions {
		out[i] = Named{Name: CoreName(i), Core: c.Core}
	}
	return out
}

// add takes sessions over and attaches them. Needs r.mu.
func (r *Remote) add(cores []*corestore.Core) {
	for _, c := range cores {
		place := len(r.sessions)
		r.sessions = append(r.sessions, c)
		r.presence = append(r.presence, loadPresence(r.st, r.key, c.Core))
		if r.cache != nil {
			r.ends = append(r.ends, r.cache.watch(c.Core))
		}
		if r.sw == nil || c.Writable() {
			r.attach = append(r.attach, nil)
			continue
		}
		o := attachOptions(place, r.sessions[0].Core)
		o.Download, o.Selection = r.download, r.selection(place)
		r.attach = append(r.attach, r.sw.Attach(c.Core, o))
		r.ends = append(r.ends, c.Subscribe(func(e hypercore.Event) { r.noted(place, e) }))
	}
}
