package multicore

import (
	"errors"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// Purged counts what Purge removed.
type Purged struct {
	Cores         int
	Blocks, Bytes uint64
}

// Known says whether st has anything of a multicore.
func Known(st *corestore.Store, key hypercore.Key) bool {
	if _, held := st.Key(key.Discovery()); held {
		return true
	}
	found := false
	_ = st.View(func(tx storage.Tx) error {
		found = tx.Bucket(followedBucket).Get(key[:]) != nil
		return nil
	})
	return found
}

// Purge removes all of somebody else's multicore from st: blocks, trees, records
// and its place on the list of the followed. Cores that st writes, and those that
// another multicore here names too, stay. A crash on the way leaves all of it, or
// a rest that the next opening of the store removes. Peers that are being served
// are sent away; sw may be nil. corestore.ErrCoreInUse where something has it open.
func Purge(st *corestore.Store, sw Swarm, key hypercore.Key) (got Purged, err error) {
	if own, err := writes(st, key); err != nil || own {
		return got, errors.Join(err, ErrOwn)
	}
	r, err := OpenRemote(st, sw, key)
	if err != nil {
		return got, err
	}
	shared, err := namedByOthers(st, key)
	if err != nil {
		return got, errors.Join(err, r.Close())
	}
	cores, _ := r.Known()
	var list []hypercore.DiscoveryKey
	for _, c := range cores {
		if c.Core.Writable() || shared[c.Core.Key()] {
			continue
		}
		list = append(list, c.Core.DiscoveryKey())
		got.Cores++
		for _, run := range c.Core.Runs(0, c.Core.Info().Length) {
			got.Blocks += run.To - run.From
			got.Bytes += span(c.Core, run.From, run.To)
		}
	}
	err = st.Purge(list, r.Close, func(tx storage.Tx) error {
		return errors.Join(forgetPresence(tx, key), tx.Bucket(followedBucket).Delete(key[:]), tx.Bucket(learnedBucket).Delete(key[:]))
	})
	if err != nil {
		return Purged{}, errors.Join(err, r.Close())
	}
	return got, nil
}

// namedByOthers gives the cores of other multicores that st knows.
func namedByOthers(st *corestore.Store, key hypercore.Key) (map[hypercore.Key]bool, error) {
	named := make(map[hypercore.Key]bool)
	err := st.View(func(tx storage.Tx) error {
		clear(named)
		if err := scanFollowed(tx, func(f Followed) error {
			if f.Key != key {
				named[f.Key] = true
			}
			return nil
		}); err != nil {
			return err
		}
		return tx.Bucket(learnedBucket).Scan(nil, func(k, v []byte) error {
			if len(k) != 32 || len(v)%32 != 1 || hypercore.Key(k) == key {
				return nil
			}
			for v = v[1:]; len(v) > 0; v = v[32:] {
				named[hypercore.Key(v[:32])] = true
			}
			return nil
		})
	})
	return named, err
}
