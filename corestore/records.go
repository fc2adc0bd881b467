package corestore

import (
	"bytes"
	"fmt"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// The buckets of this package.
const (
	// bucketStore holds records of the store itself.
	bucketStore = "corestore"
	// bucketNames: namespace (32) || name -> core key (32).
	bucketNames = "names"
	// bucketKeys: discovery key (32) -> core key (32), then for a named core namespace (32) || name.
	bucketKeys = "keys"
	// bucketSettings: name -> value.
	bucketSettings = "settings"
)

// Records in bucketStore.
const (
	recordPrint = "primary-key fingerprint" // 32 bytes
	recordHeld  = "held"                    // there: new writable cores are held
)

// maxName keeps a name within the longest key of a bucket.
const maxName = 4096

// origin is what the store records of a core.
type origin struct {
	key   hypercore.Key
	named bool // one of ours: ns and name give its key pair
	ns    Namespace
	name  string
}

func nameKey(ns Namespace, name string) []byte { return append(ns[:], name...) }

// parseOrigin reads a record of bucketKeys; nil is no record.
func parseOrigin(d hypercore.DiscoveryKey, value []byte) (o origin, found bool, err error) {
	if value == nil {
		return o, false, nil
	}
	if len(value) < 32 || len(value) > 32 && len(value) < 64 {
		return o, false, fmt.Errorf("%w: record of core %s has %d bytes", storage.ErrDamaged, d, len(value))
	}
	o.key = hypercore.Key(value[:32])
	if o.key.Discovery() != d {
		return o, false, fmt.Errorf("%w: record of core %s has another key", storage.ErrDamaged, d)
	}
	if len(value) > 32 {
		o.named, o.ns, o.name = true, Namespace(value[32:64]), string(value[64:])
	}
	return o, true, nil
}

func (o origin) encode() []byte {
	if !o.named {
		return o.key[:]
	}
	return append(o.key[:], nameKey(o.ns, o.name)...)
}

// lookup finds a core by its discovery key.
func (s *Store) lookup(d hypercore.DiscoveryKey) (o origin, found bool, err error) {
	err = s.st.View(func(tx storage.Tx) (err error) {
		o, found, err = parseOrigin(d, tx.Bucket(bucketKeys).Get(d[:]))
		return err
	})
	return o, found, err
}

// remember records a core, if it is not recorded already. That a core is ours is
// never forgotten for one that was opened by its key.
func (s *Store) remember(o origin) error {
	d := o.key.Discovery()
	known := func(tx storage.Tx) (bool, error) {
		old, found, err := parseOrigin(d, tx.Bucket(bucketKeys).Get(d[:]))
		return found && (old == o || !o.named), err
	}
	var done bool
	err := s.st.View(func(tx storage.Tx) (err error) {
		done, err = known(tx)
		return err
	})
	if err != nil || done {
		return err
	}
	return s.st.Update(func(tx storage.Tx) error {
		if done, err := known(tx); err != nil || done {
			return err
		}
		if o.named {
			if err := tx.Bucket(bucketNames).Put(nameKey(o.ns, o.name), o.key[:]); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketKeys).Put(d[:], o.encode())
	})
}

// alias is the key that a name was recorded with.
func (s *Store) alias(ns Namespace, name string) (key hypercore.Key, found bool, err error) {
	err = s.st.View(func(tx storage.Tx) error {
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

// storeValue reads a record of the store itself; nil where absent.
func (s *Store) storeValue(record string) ([]byte, error) { return s.value(bucketStore, record) }

func (s *Store) value(bucket, key string) (value []byte, err error) {
	err = s.st.View(func(tx storage.Tx) error {
		value = bytes.Clone(tx.Bucket(bucket).Get([]byte(key)))
		return nil
	})
	return value, err
}

// View and Update reach opaque buckets for packages above (followed keys), in
// the store's own transactions; see storage.Store. The buckets of this package
// and of hypercore are not for others.
func (s *Store) View(fn func(storage.Tx) error) error { return s.st.View(fn) }

// Update is described at View.
func (s *Store) Update(fn func(storage.Tx) error) error { return s.st.Update(fn) }

// Setting is a small value kept by name; nil where absent.
func (s *Store) Setting(name string) ([]byte, error) { return s.value(bucketSettings, name) }

// SetSetting keeps a value, durably; nil takes it away.
func (s *Store) SetSetting(name string, value []byte) error {
	return s.st.Update(func(tx storage.Tx) error {
		b := tx.Bucket(bucketSettings)
		if value == nil {
			return b.Delete([]byte(name))
		}
		return b.Put([]byte(name), value)
	})
}
