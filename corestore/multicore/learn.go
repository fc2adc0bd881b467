package multicore

import (
	"context"
	"errors"
	"fmt"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// learnedBucket maps main keys to the keys of the other cores: a format byte
// and 32 bytes for each. It is there so that they are known at once although
// block 0 was not yet durable when a process died, or was dropped to save room.
const (
	learnedBucket = "multicore.learned"
	learnedFormat = 1
)

// watch fetches block 0 in the background, until it is known or Close.
func (r *Remote) watch() {
	for {
		changed := r.Main().Changed()
		if r.fetch(r.ctx, false) == nil {
			return
		}
		// What failed here is told to those who ask (Cores); a change of the
		// core is worth another attempt.
		select {
		case <-changed:
		case <-r.ctx.Done():
			return
		}
	}
}

// fetch waits for a head of main, fetches block 0 and learns from it. With
// orEmpty it also returns once main was verified to be empty.
func (r *Remote) fetch(ctx context.Context, orEmpty bool) error {
	main := r.Main()
	for {
		changed := main.Changed()
		info := main.Info()
		if info.Length > 0 {
			block, err := main.Get(ctx, 0)
			if err != nil {
				return err
			}
			return r.learn(r.parse(block), true)
		}
		if orEmpty && info.Learned {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return r.unreached(ctx.Err())
		}
	}
}

// unreached joins hypercore.ErrNoPeers to the error of a wait for main in which
// no peer was ever reached.
func (r *Remote) unreached(err error) error {
	if r.sw == nil || !r.sw.Reached(r.key.Discovery()) {
		return errors.Join(err, hypercore.ErrNoPeers)
	}
	return err
}

// stored gives the keys of the other cores as far as this store knows them:
// from block 0, else from what was recorded.
func (r *Remote) stored() (others []hypercore.Key, known bool, err error) {
	if main := r.Main(); main.Has(0) {
		block, err := main.Block(0)
		if err != nil {
			return nil, false, fmt.Errorf("block 0 of main: %w", err)
		}
		return r.parse(block), true, nil
	}
	err = r.st.View(func(tx storage.Tx) error {
		v := tx.Bucket(learnedBucket).Get(r.key[:])
		if v == nil {
			return nil
		}
		known = true
		if others, err = parseLearned(v); err != nil {
			return fmt.Errorf("record of the other cores: %w", err)
		}
		return nil
	})
	return others, known && err == nil, err
}

// parseLearned reads the keys that learn recorded.
func parseLearned(v []byte) (others []hypercore.Key, err error) {
	if len(v)%32 != 1 || v[0] != learnedFormat {
		return nil, fmt.Errorf("%d bytes, want format %d and a multiple of 32", len(v), learnedFormat)
	}
	for v = v[1:]; len(v) > 0; v = v[32:] {
		others = append(others, hypercore.Key(v[:32]))
	}
	return others, nil
}

// parse gives the keys that block 0 names; one that breaks a bound names none.
func (r *Remote) parse(block []byte) []hypercore.Key {
	others, err := ParseIndex(r.key, block)
	if err != nil {
		return nil
	}
	return others
}

// catchUp learns from a block 0 that is held but that the watcher has not come
// to yet, so that whoever saw the core change finds the others known.
func (r *Remote) catchUp() {
	if main := r.Main(); !r.isComplete() && main.Has(0) {
		if block, err := main.Block(0); err == nil {
			_ = r.learn(r.parse(block), true) // the watcher and Cores come here too, and tell
		}
	}
}

func (r *Remote) isComplete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.complete
}

// learn opens the other cores, all or none, and with record keeps their keys in
// the store. It does nothing where they are open already.
func (r *Remote) learn(others []hypercore.Key, record bool) (err error) {
	r.learning.Lock()
	defer r.learning.Unlock()
	if r.isComplete() {
		return nil
	}
	var opened []*corestore.Core
	defer func() {
		for _, c := range opened {
			err = errors.Join(err, c.Close())
		}
	}()
	for _, k := range others {
		c, err := r.st.OpenKey(k)
		if err != nil {
			return fmt.Errorf("open %s: %w", CoreName(len(opened)+1), err)
		}
		opened = append(opened, c)
	}
	if record {
		value := []byte{learnedFormat}
		for _, k := range others {
			value = append(value, k[:]...)
		}
		if err := r.st.Update(func(tx storage.Tx) error {
			return tx.Bucket(learnedBucket).Put(r.key[:], value)
		}); err != nil {
			return fmt.Errorf("record the other cores: %w", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.add(opened)
	opened = nil
	r.complete = true
	return nil
}
