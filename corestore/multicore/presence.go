package multicore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
	"multicore/hypercore/storage"
)

// presenceBucket maps main key || discovery key, of a core of a followed
// multicore, to a presence.
const presenceBucket = "multicore.presence"

const (
	presenceFormat = 1
	// maxCleared bounds the stretches that are remembered; beyond it those that
	// are next to each other become one, with what lies between them.
	maxCleared = 1024
)

// presence is what of a followed core is not to be downloaded again although it
// is part of the log: what the user cleared, and what is older than what is kept.
// It is true of one fork.
type presence struct {
	fork    uint64
	floor   uint64            // blocks before it were given up as too old
	cleared []replicate.Range // sorted, apart from each other
	newest  uint64            // blocks that Keep.Bytes has room for; not recorded
}

// clear adds the blocks [from, to).
func (p *presence) clear(from, to uint64) {
	if from >= to {
		return
	}
	next := replicate.Range{From: from, To: to}
	out := make([]replicate.Range, 0, len(p.cleared)+1)
	for _, r := range p.cleared {
		switch {
		case r.To < next.From:
			out = append(out, r)
		case r.From > next.To:
			out = append(out, next)
			next = r
		default:
			next = replicate.Range{From: min(r.From, next.From), To: max(r.To, next.To)}
		}
	}
	out = append(out, next)
	for len(out) > maxCleared {
		best := 1
		for i := 2; i < len(out); i++ {
			if out[i].From-out[i-1].To < out[best].From-out[best-1].To {
				best = i
			}
		}
		out[best-1].To = out[best].To
		out = slices.Delete(out, best, best+1)
	}
	p.cleared = out
}

// cut forgets what lies beyond the length that a fork left.
func (p *presence) cut(fork, length uint64) {
	p.fork, p.floor = fork, min(p.floor, length)
	out := p.cleared[:0:0]
	for _, r := range p.cleared {
		if r.To = min(r.To, length); r.From < r.To {
			out = append(out, r)
		}
	}
	p.cleared = out
}

// encode gives the record: the format, then uvarints: fork, floor, and for each
// stretch the blocks since the one before and its own.
func (p *presence) encode() []byte {
	b := []byte{presenceFormat}
	b = binary.AppendUvarint(b, p.fork)
	b = binary.AppendUvarint(b, p.floor)
	at := uint64(0)
	for _, r := range p.cleared {
		b = binary.AppendUvarint(b, r.From-at)
		b = binary.AppendUvarint(b, r.To-r.From)
		at = r.To
	}
	return b
}

var errPresence = errors.New("record of what was cleared is damaged")

func parsePresence(b []byte) (p presence, err error) {
	if len(b) == 0 || b[0] != presenceFormat {
		return p, errPresence
	}
	b = b[1:]
	next := func() (v uint64) {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > maxIndexOfBlock {
			err = errPresence
			b = nil
			return 0
		}
		b = b[n:]
		return v
	}
	p.fork, p.floor = next(), next()
	for at := uint64(0); len(b) > 0 && err == nil; {
		gap, n := next(), next()
		r := replicate.Range{From: at + gap, To: at + gap + n}
		if n == 0 || r.To > maxIndexOfBlock || gap == 0 && len(p.cleared) > 0 || len(p.cleared) >= maxCleared {
			err = errPresence
		}
		p.cleared = append(p.cleared, r)
		at = r.To
	}
	if err != nil {
		return presence{}, err
	}
	return p, nil
}

// maxIndexOfBlock bounds the numbers of a record, so that their sums do not
// wrap.
const maxIndexOfBlock = 1 << 53

func presenceKey(key hypercore.Key, d hypercore.DiscoveryKey) []byte {
	return append(key[:], d[:]...)
}

// readPresence gives what is recorded, nothing where the record is damaged: then
// the blocks are downloaded again, which loses nothing.
func readPresence(tx storage.Tx, key hypercore.Key, d hypercore.DiscoveryKey) (presence, bool) {
	v := tx.Bucket(presenceBucket).Get(presenceKey(key, d))
	if v == nil {
		return presence{}, false
	}
	p, err := parsePresence(v)
	return p, err == nil
}

// loadPresence is what is recorded, as far as it is true of the core's fork.
func loadPresence(st *corestore.Store, key hypercore.Key, c *hypercore.Core) (p presence) {
	found := false
	err := st.View(func(tx storage.Tx) error {
		p, found = readPresence(tx, key, c.DiscoveryKey())
		return nil
	})
	if fork := c.Info().Fork; err != nil || !found || p.fork != fork {
		return presence{fork: fork}
	}
	return p
}

// storePresence records it durably, where the multicore is followed; else there
// is no download that would have to know, and followed is false.
func storePresence(st *corestore.Store, key hypercore.Key, d hypercore.DiscoveryKey, p presence) (followed bool, err error) {
	value := p.encode()
	err = st.Update(func(tx storage.Tx) error {
		if followed = tx.Bucket(followedBucket).Get(key[:]) != nil; !followed {
			return nil
		}
		b, k := tx.Bucket(presenceBucket), presenceKey(key, d)
		if bytes.Equal(b.Get(k), value) {
			return nil
		}
		return b.Put(k, value)
	})
	if err != nil {
		err = fmt.Errorf("record what was cleared: %w", err)
	}
	return followed, err
}

// forgetFloors records that nothing of a multicore is too old any more.
func forgetFloors(tx storage.Tx, key hypercore.Key) error {
	b := tx.Bucket(presenceBucket)
	changed := make(map[string][]byte)
	if err := b.Scan(key[:], func(k, v []byte) error {
		if p, err := parsePresence(v); err == nil && p.floor > 0 {
			p.floor = 0
			changed[string(k)] = p.encode()
		}
		return nil
	}); err != nil {
		return err
	}
	for k, v := range changed {
		if err := b.Put([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}

// forgetPresence drops what is recorded of all cores of a multicore.
func forgetPresence(tx storage.Tx, key hypercore.Key) error {
	b := tx.Bucket(presenceBucket)
	var keys [][]byte
	if err := b.Scan(key[:], func(k, _ []byte) error {
		keys = append(keys, bytes.Clone(k))
		return nil
	}); err != nil {
		return err
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
