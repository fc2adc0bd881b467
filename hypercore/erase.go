package hypercore

import (
	"bytes"
	"errors"

	"multicore/hypercore/storage"
)

// Erase drops what is recorded of a core that is not open, in a transaction of
// its store. Its files are for storage.Store.Remove, once that is committed:
// without a record nothing in them counts.
func Erase(tx storage.Tx, d DiscoveryKey) error {
	var pages [][]byte
	err := tx.Bucket(bitfieldBucket).Scan(d[:], func(key, _ []byte) error {
		pages = append(pages, bytes.Clone(key))
		return nil
	})
	for _, key := range pages {
		err = errors.Join(err, tx.Bucket(bitfieldBucket).Delete(key))
	}
	for _, bucket := range []string{coreBucket, headBucket, conflictBucket} {
		err = errors.Join(err, tx.Bucket(bucket).Delete(d[:]))
	}
	return err
}
