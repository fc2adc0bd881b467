package corestore

import (
	"errors"
	"fmt"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// bucketPurged has the discovery keys of cores whose records are gone and whose
// files are to follow; Open finishes that.
const bucketPurged = "purged"

const (
	purgePatience = 2 * time.Second // for peers that are being served
	purgeRetry    = 20 * time.Millisecond
)

// Purge removes cores that are not ours from the store: records, then files. Once
// the records are gone a crash is made good by the next Open. Meanwhile nobody
// else can open them. release, which is called then, ends the sessions of the
// caller; who has others gets ErrCoreInUse, and nothing was removed. also joins the
// transaction. The cores can be opened again afterwards, as new.
func (s *Store) Purge(list []hypercore.DiscoveryKey, release func() error, also func(storage.Tx) error) error {
	for _, d := range list {
		if o, found, err := s.records.lookup(d); err != nil {
			return err
		} else if found && o.named {
			return fmt.Errorf("core %s is written by this store", d)
		}
	}
	if err := s.bar(list); err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed { // else what is opened now would be removed by the next Open
			s.unbar(list)
		}
	}()
	if err := release(); err != nil {
		return err
	}
	if err := s.records.flush(); err != nil {
		return err
	}
	if err := s.awaitClosed(list); err != nil {
		return err
	}
	err := s.st.Update(func(tx storage.Tx) error {
		for _, d := range list {
			if err := errors.Join(hypercore.Erase(tx, d), tx.Bucket(bucketKeys).Delete(d[:]), tx.Bucket(bucketPurged).Put(d[:], nil)); err != nil {
				return err
			}
		}
		return also(tx)
	})
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	committed = true
	if err := s.finishPurge(list); err != nil {
		return err
	}
	s.unbar(list)
	return nil
}

// finishPurge removes the files of cores whose records are gone.
func (s *Store) finishPurge(list []hypercore.DiscoveryKey) error {
	for _, d := range list {
		if err := s.st.Remove(storage.ID(d)); err != nil {
			return fmt.Errorf("purge core %s: %w", d, err)
		}
	}
	err := s.st.Update(func(tx storage.Tx) error {
		for _, d := range list {
			if err := tx.Bucket(bucketPurged).Delete(d[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}

// finishPurges does what a crash kept an earlier process from.
func (s *Store) finishPurges() error {
	var list []hypercore.DiscoveryKey
	err := s.st.View(func(tx storage.Tx) error {
		list = nil
		return tx.Bucket(bucketPurged).Scan(nil, func(key, _ []byte) error {
			if len(key) != len(hypercore.DiscoveryKey{}) {
				return fmt.Errorf("%w: purged core under %d bytes", storage.ErrDamaged, len(key))
			}
			list = append(list, hypercore.DiscoveryKey(key))
			return nil
		})
	})
	if err != nil || len(list) == 0 {
		return err
	}
	return s.finishPurge(list)
}

// bar keeps cores from being opened.
func (s *Store) bar(list []hypercore.DiscoveryKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	for _, d := range list {
		if s.barred[d] {
			return ErrCoreInUse
		}
	}
	for _, d := range list {
		if s.barred == nil {
			s.barred = make(map[hypercore.DiscoveryKey]bool)
		}
		s.barred[d] = true
	}
	return nil
}

func (s *Store) unbar(list []hypercore.DiscoveryKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range list {
		delete(s.barred, d)
	}
}

// awaitClosed waits until the cores are closed, for a moment where somebody has
// them open.
func (s *Store) awaitClosed(list []hypercore.DiscoveryKey) error {
	for began := time.Now(); ; {
		busy := false
		var gone chan struct{}
		s.mu.Lock()
		for _, d := range list {
			if c := s.open[d]; c != nil {
				busy, gone = true, c.gone
				if c.refs > 0 {
					gone = nil
					break
				}
			}
		}
		s.mu.Unlock()
		switch {
		case !busy:
			return nil
		case gone != nil:
			<-gone
		case time.Since(began) > purgePatience:
			return ErrCoreInUse
		default:
			time.Sleep(purgeRetry)
		}
	}
}
