package hypercore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"multicore/hypercore/storage"
)

// Records is what Inspect found.
type Records struct {
	Cores   int
	Held    int     // own cores that sign nothing new until a peer has answered
	Damaged []error // the first of them
	Whole   bool    // all was looked at
}

// mostDamaged bounds Records.Damaged.
const mostDamaged = 16

// Inspect reads every record of the cores of a store and changes nothing. It
// ends early, with what it has, where ctx does.
func Inspect(ctx context.Context, tx storage.Tx) (Records, error) {
	var r Records
	damaged := func(what string, key []byte, err error) {
		if len(r.Damaged) < mostDamaged {
			r.Damaged = append(r.Damaged, fmt.Errorf("%s of core %x: %w", what, key[:min(len(key), len(DiscoveryKey{}))], err))
		}
	}
	var pages bitfield
	for _, b := range []struct {
		bucket, what string
		parse        func(key, value []byte) error
	}{
		{coreBucket, "record", func(key, value []byte) error {
			c, err := parseCoreRecord(value)
			if err != nil {
				return err
			}
			if d := c.key.Discovery(); !bytes.Equal(d[:], key) {
				return errors.New("it is that of another core")
			}
			r.Cores++
			if c.held {
				r.Held++
			}
			if c.manifest != nil {
				_, err = ParseManifest(c.manifest)
			}
			return err
		}},
		{headBucket, "head", func(_, value []byte) error { _, err := parseHeadRecord(value); return err }},
		{conflictBucket, "conflict", func(_, value []byte) error { _, err := parseConflict(value); return err }},
		{bitfieldBucket, "bitfield", func(key, value []byte) error {
			if len(key) != len(DiscoveryKey{})+8 {
				return fmt.Errorf("key of %d bytes", len(key))
			}
			clear(pages.pages)
			return pages.load(binary.BigEndian.Uint64(key[len(DiscoveryKey{}):]), value)
		}},
	} {
		err := tx.Bucket(b.bucket).Scan(nil, func(key, value []byte) error {
			if err := b.parse(key, value); err != nil {
				damaged(b.what, key, err)
			}
			return ctx.Err()
		})
		if err != nil {
			if ctx.Err() != nil {
				return r, nil
			}
			return r, err
		}
	}
	r.Whole = true
	return r, nil
}
