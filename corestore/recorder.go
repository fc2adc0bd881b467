package corestore

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// recorder writes the records of cores that were opened for the first time,
// behind their opening, all that gathered meanwhile in one transaction: opening
// ten thousand cores does not wait for the disk ten thousand times. A crash may
// lose the last of them. Nothing rests on those: a name leads to its key by
// derivation, and what was opened by key is opened by key again.
type recorder struct {
	st  storage.Store
	log *slog.Logger

	mu      sync.Mutex
	idle    sync.Cond // on mu: running became false
	pending map[hypercore.DiscoveryKey]origin
	names   map[string]hypercore.Key // nameKey of those in pending
	running bool                     // a goroutine is in run
	err     error                    // of the last transaction; pending is kept for the next
}

func newRecorder(st storage.Store, log *slog.Logger) *recorder {
	r := &recorder{st: st, log: log, pending: make(map[hypercore.DiscoveryKey]origin), names: make(map[string]hypercore.Key)}
	r.idle.L = &r.mu
	return r
}

// remember records a core, if it is not recorded already. That a core is ours
// is never forgotten for one that was opened by its key.
func (r *recorder) remember(o origin) error {
	d := o.key.Discovery()
	known, found, err := r.lookup(d)
	if err != nil || found && (known == o || !o.named) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.pending[d]; known.named && !o.named {
		return nil
	}
	r.pending[d] = o
	if o.named {
		r.names[string(nameKey(o.ns, o.name))] = o.key
	}
	r.start()
	return nil
}

// start runs the goroutine; mu is held.
func (r *recorder) start() {
	if !r.running {
		r.running = true
		go r.run()
	}
}

// run writes until nothing is pending or it fails.
func (r *recorder) run() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.err = nil; len(r.pending) > 0 && r.err == nil; {
		batch := maps.Clone(r.pending)
		r.mu.Unlock()
		err := r.write(batch)
		r.mu.Lock()
		if r.err = err; err != nil {
			r.log.Error("cannot record which cores are held", "cores", len(batch), "err", err)
			break
		}
		for d, o := range batch {
			if r.pending[d] == o {
				delete(r.pending, d)
				delete(r.names, string(nameKey(o.ns, o.name)))
			}
		}
	}
	r.running = false
	r.idle.Broadcast()
}

func (r *recorder) write(batch map[hypercore.DiscoveryKey]origin) error {
	return r.st.Update(func(tx storage.Tx) error {
		names, keys := tx.Bucket(bucketNames), tx.Bucket(bucketKeys)
		for d, o := range batch {
			if o.named {
				if err := names.Put(nameKey(o.ns, o.name), o.key[:]); err != nil {
					return err
				}
			} else if known, _, err := parseOrigin(d, keys.Get(d[:])); err != nil || known.named {
				continue // a name was recorded meanwhile; damage is for lookup to report
			}
			if err := keys.Put(d[:], o.encode()); err != nil {
				return err
			}
		}
		return nil
	})
}

// flush waits until everything is recorded; what failed before is tried again.
func (r *recorder) flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.running {
		r.idle.Wait()
	}
	if len(r.pending) > 0 {
		r.start()
	}
	for r.running {
		r.idle.Wait()
	}
	if r.err != nil {
		return fmt.Errorf("record cores: %w", r.err)
	}
	return nil
}

// lookup finds a core by its discovery key.
func (r *recorder) lookup(d hypercore.DiscoveryKey) (o origin, found bool, err error) {
	r.mu.Lock()
	o, found = r.pending[d]
	r.mu.Unlock()
	if found {
		return o, true, nil
	}
	err = r.st.View(func(tx storage.Tx) (err error) {
		o, found, err = parseOrigin(d, tx.Bucket(bucketKeys).Get(d[:]))
		return err
	})
	return o, found, err
}

// alias is the key that a name was recorded with.
func (r *recorder) alias(ns Namespace, name string) (key hypercore.Key, found bool, err error) {
	r.mu.Lock()
	key, found = r.names[string(nameKey(ns, name))]
	r.mu.Unlock()
	if found {
		return key, true, nil
	}
	err = r.st.View(func(tx storage.Tx) error {
		value := tx.Bucket(bucketNames).Get(nameKey(ns, name))
		if value == nil {
			return nil
		}
		if len(value) != len(key) {
			return fmt.Errorf("%w: record of name %q has %d bytes", storage.ErrDamaged, name, len(value))
		}
		key, found = hypercore.Key(value), true
		return nil
	})
	return key, found, err
}

// List gives the cores that are held here, in order.
func (s *Store) List() (list []hypercore.DiscoveryKey, err error) {
	if err := s.records.flush(); err != nil {
		return nil, err
	}
	err = s.st.View(func(tx storage.Tx) error {
		return tx.Bucket(bucketKeys).Scan(nil, func(key, _ []byte) error {
			if len(key) != len(hypercore.DiscoveryKey{}) {
				return fmt.Errorf("%w: record of a core under %d bytes", storage.ErrDamaged, len(key))
			}
			list = append(list, hypercore.DiscoveryKey(key))
			return nil
		})
	})
	return list, err
}

// Key is the key of a core that is held here.
func (s *Store) Key(d hypercore.DiscoveryKey) (hypercore.Key, bool) {
	o, found, err := s.records.lookup(d)
	if err != nil && !errors.Is(err, ErrClosed) {
		s.log.Warn("cannot look up a core", "core", d.String(), "err", err)
	}
	return o.key, found && err == nil
}

// HasName reports whether the name was opened before.
func (s *Store) HasName(ns Namespace, name string) bool {
	_, found, err := s.records.alias(ns, name)
	return found && err == nil
}

// Replicas gives those of List that no name of ours leads to.
func (s *Store) Replicas() (list []hypercore.DiscoveryKey, err error) {
	if err := s.records.flush(); err != nil {
		return nil, err
	}
	err = s.st.View(func(tx storage.Tx) error {
		list = nil
		return tx.Bucket(bucketKeys).Scan(nil, func(key, value []byte) error {
			if len(key) == len(hypercore.DiscoveryKey{}) && len(value) == len(hypercore.Key{}) {
				list = append(list, hypercore.DiscoveryKey(key))
			}
			return nil
		})
	})
	return list, err
}
