package hypercore

import (
	"bytes"
	"errors"

	"multicore/hypercore/storage"
)

// Erase drops what is recorded of a core that is not open, user data included,
// in a transaction of its store. Its files are for storage.Store.Remove, once that
// is committed: without a record nothing in them counts.
func Erase(tx storage.Tx, d DiscoveryKey) error {
	var err error
	for _, bucket := range []string{bitfieldBucket, userBucket} {
		var keys [][]byte
		err = errors.Join(err, tx.Bucket(bucket).Scan(d[:], func(key, _ []byte) error {
			keys = append(keys, bytes.Clone(key))
			return nil
		}))
		for _, key := range keys {
			err = errors.Join(err, tx.Bucket(bucket).Delete(key))
		}
	}
	for _, bucket := range []string{coreBucket, headBucket, conflictBucket} {
		err = errors.Join(err, tx.Bucket(bucket).Delete(d[:]))
	}
	return err
}
