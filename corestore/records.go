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
