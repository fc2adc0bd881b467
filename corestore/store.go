package corestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// Options of Open. The zero value opens an existing store.
type Options struct {
	Create     bool         // make what is missing
	PrimaryKey *[32]byte    // only while making the store: marks it as held. An existing store must have the same
	Log        *slog.Logger // nil: nothing is logged. Never shown a key
}

// Store holds a directory: primary-key, multicore.db, cores/, and the lock.
// Safe for concurrent use.
type Store struct {
	dir     string
	log     *slog.Logger
	lock    *os.File
	primary [32]byte
	st      storage.Store
	flusher *hypercore.Flusher
	records *recorder

	settling atomic.Bool // own cores that are opened now settle
	timer    *time.Timer // ends that; nil: none began

	held atomic.Bool // new writable cores are held; false once Release has committed

	mu     sync.Mutex
	open   map[hypercore.DiscoveryKey]*shared
	barred map[hypercore.DiscoveryKey]bool // are being removed
	closed bool
}

// Exists reports whether there is a store in dir, or what a crash left of one
// that was being made. It takes no lock and reads nothing.
func Exists(dir string) bool {
	for _, name := range []string{storage.DatabaseName, primaryKeyFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// Open opens or makes (Create) the store in dir, for this process alone:
// ErrInUse. ErrNoStore where there is none, ErrNewer, ErrPrimaryKey. It reads
// nothing of the cores.
func Open(dir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if o.Create {
		if err := makeDir(dir); err != nil {
			return nil, fmt.Errorf("make store: %w", err)
		}
	} else if !Exists(dir) {
		return nil, fmt.Errorf("%w in %s", ErrNoStore, dir)
	}
	s := &Store{dir: dir, log: o.Log, open: make(map[hypercore.DiscoveryKey]*shared)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.lock, err = lock(dir); err != nil {
		return nil, err
	}
	if err := s.load(o); err != nil {
		if s.st != nil {
			s.st.Close()
		}
		unlock(s.lock)
		return nil, err
	}
	return s, nil
}

// load reads what is needed of the store, whose lock is held.
func (s *Store) load(o Options) (err error) {
	s.st, err = storage.Open(s.dir, storage.Options{Create: o.Create})
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w in %s: %s is missing", ErrNoStore, s.dir, storage.DatabaseName)
	case errors.Is(err, storage.ErrNewer):
		return fmt.Errorf("%w; use a newer multicore for %s", err, s.dir)
	case err != nil:
		return fmt.Errorf("open store: %w", err)
	}
	if err := s.loadPrimaryKey(o); err != nil {
		return err
	}
	if err := s.checkPlace(); err != nil {
		return err
	}
	held, err := s.storeValue(recordHeld)
	if err != nil {
		return err
	}
	s.held.Store(held != nil)
	s.flusher = hypercore.NewFlusher(s.st, s.log)
	s.records = newRecorder(s.st, s.log)
	return s.finishPurges()
}

// makeDir makes dir and what is above it, and puts dir's entry on the disk.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// Dir is the absolute path of the store.
func (s *Store) Dir() string { return s.dir }

// OpenCores counts the cores that are open now.
func (s *Store) OpenCores() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Flusher flushes the cores of this store.
func (s *Store) Flusher() *hypercore.Flusher { return s.flusher }

// Close flushes all cores, closes them and lets go of the store. Sessions that
// are still open end. Safe twice.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	left := make([]*shared, 0, len(s.open))
	for _, c := range s.open {
		left = append(left, c)
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()

	errs := []error{s.flusher.Flush(context.Background())}
	for _, c := range left {
		errs = append(errs, s.unload(c))
	}
	return errors.Join(append(errs, s.flusher.Close(), s.records.flush(), s.st.Close(), unlock(s.lock))...)
}

// Release ends every hold, now and for cores yet to come. It is durable for the
// store when it returns; cores that were closed are released when they are
// opened.
func (s *Store) Release() error {
	if s.held.Load() {
		err := s.st.Update(func(tx storage.Tx) error { return tx.Bucket(bucketStore).Delete([]byte(recordHeld)) })
		if err != nil {
			return fmt.Errorf("end hold: %w", err)
		}
		s.held.Store(false)
	}
	s.mu.Lock()
	var opened []*shared
	for _, c := range s.open {
		opened = append(opened, c)
	}
	s.mu.Unlock()
	var errs []error
	for _, c := range opened {
		if c.ready.Wait(); c.core != nil {
			errs = append(errs, releaseHold(c.core))
		}
	}
	return errors.Join(errs...)
}

// Settle makes own cores that are opened from now on sign nothing until a peer
// has answered for them, or the time is over, for all together. It is for a
// store that had peers: it may have been put back to an older state in place,
// which nothing shows (invariant 6 of the design).
func (s *Store) Settle(most time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.timer != nil {
		return
	}
	s.settling.Store(true)
	s.timer = time.AfterFunc(most, s.settled)
}

func (s *Store) settled() {
	s.settling.Store(false)
	s.mu.Lock()
	var opened []*shared
	for _, c := range s.open {
		opened = append(opened, c)
	}
	s.mu.Unlock()
	for _, c := range opened {
		if c.ready.Wait(); c.core != nil {
			end := c.core.Settled
			if !s.held.Load() {
				end = c.core.Release
			}
			if err := end(); err != nil && !errors.Is(err, hypercore.ErrClosed) {
				s.log.Error("a core does not sign again", "core", c.key.Discovery().String(), "err", err)
			}
		}
	}
}

func releaseHold(c *hypercore.Core) error {
	if !c.Info().Held {
		return nil
	}
	return c.Release()
}
