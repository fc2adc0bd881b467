package corestore

import (
	"errors"
	"fmt"
	"sync"

	"multicore/hypercore"
)

// Core is a session on a shared open core; Close ends the session, the last one
// unloads the core.
type Core struct {
	*hypercore.Core
	store  *Store
	shared *shared
	once   sync.Once
	err    error // of Close
}

// Close ends the session. Safe twice. The core must not be used through it
// afterwards.
func (c *Core) Close() error {
	c.once.Do(func() { c.err = c.store.end(c.shared) })
	return c.err
}

// shared is an open core, or one that is being opened or closed. Who made it
// opens the core, then ends ready. When it is unloaded gone is closed.
type shared struct {
	key   hypercore.Key
	refs  int // sessions and those who wait for ready; under Store.mu; 0 means unloading
	ready sync.WaitGroup
	core  *hypercore.Core // valid after ready; nil if err
	err   error

	unload sync.Once
	gone   chan struct{} // made when refs becomes 0
	endErr error         // valid after unload
}

// OpenName opens the writable core of a name, making it at first use. Where the
// store is held, a core that is made now signs no more than unheld blocks until
// it is released. ErrOpenReadOnly.
func (s *Store) OpenName(ns Namespace, name string, unheld uint64) (*Core, error) {
	if len(name) < 1 || len(name) > maxName {
		return nil, fmt.Errorf("core name of %d bytes, want 1 to %d", len(name), maxName)
	}
	pair := deriveKeyPair(s.primary, ns, name)
	o := origin{named: true, ns: ns, name: name}
	o.key = hypercore.DefaultManifest(pair.Public).Key()
	if recorded, found, err := s.records.alias(ns, name); err != nil {
		return nil, err
	} else if found && recorded != o.key {
		return nil, fmt.Errorf("%w: core %q was made with another primary key", ErrPrimaryKey, name)
	}
	c, err := s.session(o, &pair, unheld)
	if err != nil {
		return nil, err
	}
	if !c.Writable() {
		c.Close()
		return nil, fmt.Errorf("core %q: %w", name, ErrOpenReadOnly)
	}
	return c, nil
}

// OpenKey opens a core by key: writable where it is a named one of ours, else a
// replica, made at first use.
func (s *Store) OpenKey(k hypercore.Key) (*Core, error) {
	o, found, err := s.records.lookup(k.Discovery())
	if err != nil {
		return nil, err
	}
	if !found {
		o.key = k
	}
	return s.openOrigin(o)
}

// OpenDiscovery opens a core that is held here already; ErrNotFound.
func (s *Store) OpenDiscovery(d hypercore.DiscoveryKey) (*Core, error) {
	o, found, err := s.records.lookup(d)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrNotFound
	}
	return s.openOrigin(o)
}

func (s *Store) openOrigin(o origin) (*Core, error) {
	if !o.named {
		return s.session(o, nil, 0)
	}
	pair := deriveKeyPair(s.primary, o.ns, o.name)
	return s.session(o, &pair, 0)
}

// session gives a session on the core of o, opening it if nobody has.
func (s *Store) session(o origin, pair *hypercore.KeyPair, unheld uint64) (*Core, error) {
	d := o.key.Discovery()
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		c := s.open[d]
		if s.barred[d] {
			s.mu.Unlock()
			return nil, fmt.Errorf("%w: core %s is being removed", ErrCoreInUse, d)
		}
		if c == nil {
			c = &shared{key: o.key, refs: 1}
			c.ready.Add(1)
			s.open[d] = c
			s.mu.Unlock()
			c.core, c.err = s.openCore(o, pair, unheld)
			c.ready.Done()
		} else if c.refs == 0 {
			gone := c.gone
			s.mu.Unlock()
			<-gone
			continue
		} else {
			c.refs++
			s.mu.Unlock()
			c.ready.Wait()
		}
		if c.err != nil {
			s.end(c)
			return nil, c.err
		}
		return &Core{Core: c.core, store: s, shared: c}, nil
	}
}

// openCore opens the core of o and has it recorded.
func (s *Store) openCore(o origin, pair *hypercore.KeyPair, unheld uint64) (*hypercore.Core, error) {
	opts := hypercore.Options{Key: o.key, KeyPair: pair, Log: s.log}
	if pair != nil {
		opts.Manifest = hypercore.DefaultManifest(pair.Public)
		opts.Hold, opts.Unheld, opts.Settle = s.held.Load(), unheld, s.settling.Load()
	}
	core, err := hypercore.Open(s.flusher, opts)
	if err != nil {
		return nil, fmt.Errorf("open core %s: %w", o.key.Discovery(), err)
	}
	if err = s.records.remember(o); err == nil && !s.held.Load() && !opts.Settle {
		err = releaseHold(core)
	}
	if err != nil {
		return nil, errors.Join(err, core.Close())
	}
	return core, nil
}

// end takes one session from c.
func (s *Store) end(c *shared) error {
	s.mu.Lock()
	c.refs--
	last := c.refs == 0
	if last {
		c.gone = make(chan struct{})
	}
	s.mu.Unlock()
	if !last {
		return nil
	}
	return s.unload(c)
}

// unload closes the core of c once, and forgets it.
func (s *Store) unload(c *shared) error {
	c.ready.Wait()
	c.unload.Do(func() {
		if c.core != nil {
			c.endErr = c.core.Close()
		}
		s.mu.Lock()
		delete(s.open, c.key.Discovery())
		if c.gone != nil {
			close(c.gone)
		}
		s.mu.Unlock()
	})
	return c.endErr
}
