package storage

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
)

// descriptor is one file of a core, open or not. Its lock is the pin: who holds
// it shared uses f, who holds it exclusively may open or close f.
//
// Locks are taken in the order descriptor.mu, descriptors.mu; the other way
// round only TryLock.
type descriptor struct {
	name string
	core *core

	mu sync.RWMutex
	f  File // nil while closed

	used      atomic.Bool // since the clock hand last passed
	dirty     atomic.Bool // written since the last sync; set after the write, before its caller returns
	inherited atomic.Bool // never synced here: an earlier process may have been killed before it did
	loose     atomic.Bool // closed while dirty: only the volume tells whether that got to the disk
}

// acquire opens the file if it is closed and pins it; release follows. Without
// create a missing file gives fs.ErrNotExist.
func (d *descriptor) acquire(create bool) (File, error) {
	for {
		d.mu.RLock()
		if d.f != nil {
			if !d.used.Load() {
				d.used.Store(true)
			}
			return d.f, nil
		}
		d.mu.RUnlock()
		if err := d.open(create); err != nil {
			return nil, err
		}
	}
}

func (d *descriptor) release() { d.mu.RUnlock() }

func (d *descriptor) open(create bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.f != nil {
		return nil
	}
	open := &d.core.files.open
	if err := open.makeRoom(); err != nil {
		return err
	}
	f, err := d.core.open(d.name, create)
	if err != nil {
		return err
	}
	if !open.add(d) {
		f.Close()
		return ErrClosed
	}
	d.f = f
	return nil
}

// errLoose: the file alone cannot say whether what was written is on the disk.
var errLoose = errors.New("closed with unsynced writes")

// shut closes the file. If it was written it is synced before, unless the volume
// is left to report what becomes of that. The caller holds mu exclusively and
// has taken the descriptor out of the cache.
func (d *descriptor) shut() {
	if d.f == nil {
		return
	}
	switch {
	case !d.dirty.Load():
	case d.core.files.volume != nil:
		d.loose.Store(true)
	default:
		if err := d.f.Datasync(); err != nil {
			d.core.fail(err)
			d.f.Forget()
		}
		d.dirty.Store(false) // only now: until then a sync has to wait for mu
	}
	// The content is on the disk or the core has failed: nothing left to learn.
	d.f.Close()
	d.f = nil
}

// sync puts the file on the disk if it was written.
func (d *descriptor) sync() error {
	dirty, inherited := d.dirty.Load(), d.inherited.Load()
	if !dirty && !inherited {
		return nil
	}
	if d.loose.Load() {
		return errLoose
	}
	f, err := d.acquire(false)
	if !dirty && errors.Is(err, fs.ErrNotExist) {
		d.inherited.Store(false)
		return nil
	}
	if err != nil {
		return err
	}
	defer d.release()
	if d.loose.Load() { // since we looked; now that it is pinned that stays
		return errLoose
	}
	// Before the sync, so that a write which comes later marks it again.
	dirty, inherited = d.dirty.Swap(false), d.inherited.Swap(false)
	if !dirty && !inherited {
		return nil
	}
	return f.Datasync()
}

// start has the kernel begin to write what a sync will wait for.
func (d *descriptor) start() {
	if !d.dirty.Load() {
		return
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if f, ok := d.f.(starter); ok {
		f.start()
	}
}

// forget closes the file and gives up its cached pages.
func (d *descriptor) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirty.Store(false)
	d.loose.Store(false)
	if d.f == nil {
		if f, err := d.core.open(d.name, false); err == nil {
			f.Forget()
			f.Close()
		}
		return
	}
	if !d.core.files.open.remove(d) {
		return
	}
	d.f.Forget()
	d.f.Close()
	d.f = nil
}

// descriptors is the bounded set of open ones. The clock algorithm stands in
// for least recently used: it needs no shared lock to note a use.
type descriptors struct {
	mu     sync.Mutex
	max    int
	ring   []*descriptor
	hand   int
	closed bool
}

func (s *descriptors) add(d *descriptor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	d.used.Store(true)
	s.ring = append(s.ring, d)
	return true
}

// remove takes d out and reports whether it was there.
func (s *descriptors) remove(d *descriptor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.ring {
		if other == d {
			s.drop(i)
			return true
		}
	}
	return false
}

func (s *descriptors) drop(i int) {
	last := len(s.ring) - 1
	s.ring[i] = s.ring[last]
	s.ring[last] = nil
	s.ring = s.ring[:last]
}

// makeRoom closes descriptors until one more fits. Where all are in use the
// bound is passed rather than waiting for a reader.
func (s *descriptors) makeRoom() error {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return ErrClosed
		}
		var victim *descriptor
		if len(s.ring) >= s.max {
			victim = s.victim()
		}
		s.mu.Unlock()
		if victim == nil {
			return nil
		}
		victim.shut()
		victim.mu.Unlock()
	}
}

// victim takes out a descriptor to close, its lock held, nil if all are in use.
// Two rounds look for a clean one that was not used lately, the third takes a
// dirty one, which is to be synced now or with the whole volume.
func (s *descriptors) victim() *descriptor {
	n := len(s.ring)
	for step := range 3 * n {
		s.hand = (s.hand + 1) % n
		d := s.ring[s.hand]
		if d.used.Swap(false) || d.dirty.Load() && step < 2*n || !d.mu.TryLock() {
			continue
		}
		s.drop(s.hand)
		return d
	}
	return nil
}

// close closes all, waiting for those in use, and refuses new ones.
func (s *descriptors) close() {
	s.mu.Lock()
	s.closed = true
	ring := s.ring
	s.ring = nil
	s.mu.Unlock()
	for _, d := range ring {
		d.mu.Lock()
		if d.f != nil {
			d.f.Close()
			d.f = nil
		}
		d.mu.Unlock()
	}
}
