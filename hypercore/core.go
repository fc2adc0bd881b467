package hypercore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// Core is one log, safe for concurrent use.
//
// Lock order: clearing, write, committing, mu, then Flusher.mu or events.mu. Only
// the first three are held across I/O, by those who change the log and by those
// who make it durable; readers take mu for long enough to copy the state, and then
// read the files. What they read is checked against era afterwards, which changes
// when something that was readable moves or goes.
type Core struct {
	key     Key
	id      DiscoveryKey
	files   storage.Files
	flusher *Flusher
	log     *slog.Logger
	pair    *KeyPair // nil: cannot sign
	own     bool     // the log beyond head is ours

	inherits bool // an earlier process wrote nodes; see inherited

	events events
	source atomic.Pointer[Source]

	reads atomic.Pointer[func(from, to uint64)] // is told of what was read; nil: nobody

	encryption atomic.Pointer[encryption] // nil: blocks are read as they are stored

	queued atomic.Bool // in Flusher.queue; written under Flusher.mu
	round  *round      // the last that took this core and did not succeed; under Flusher.mu

	clearing   sync.Mutex // held by Clear
	write      sync.Mutex // held while the log is changed
	committing sync.Mutex // held by a round from beginFlush to publish, and by who changes the head of an own core

	mu        sync.RWMutex
	tree      merkle.Tree // as this machine sees it
	size      uint64      // byte length of tree
	head      merkle.Tree // what peers see; that of a replica is tree
	signature []byte      // of head
	bits      bitfield
	manifest  *Manifest // nil until known
	grown     time.Time
	held      bool
	settling  bool // held until Settled at most
	unheld    uint64
	durable   uint64 // length that is recorded, and signed
	stored    uint64 // length that is on the disk, signed or not
	recorded  bool   // the store has a core record
	encrypted bool   // recorded: own blocks were written with encryption
	headDirty bool   // to be written by the next round, as are infoDirty and bits.changed
	infoDirty bool
	era       uint64
	cuts      cuts
	erased    uint64 // times that damaged nodes were erased
	lost      bool   // the head was damaged and is to be learned again
	failed    error
	conflict  *Conflict // why the core is frozen; nil where it is not
	closed    bool
	moving    chan struct{} // closed when what is being moved may be read again; nil where nothing is
	changed   chan struct{} // nil while nobody waits

	cursor cursor
	bases  bases
	ahead  ahead

	// Of the file that is lent; under write.
	lent      int         // how often
	lending   uint64      // counts the files
	reserved  uint64      // bytes before it have room
	unpunched []blockRun  // what is to be freed when nobody reads it
	again     *time.Timer // looks whether that is so; nil: nothing is to be freed
	patience  time.Duration

	showing sync.RWMutex // held while bytes are in a lent file that tree has not; after committing, before mu
}

// Open opens or makes the core and recovers it: of an own core, blocks beyond
// the durable head are kept as far as their nodes and bytes agree, and signed
// with the next flush; the rest is cut. A *DamageError (ErrDamaged) says what is
// wrong below the durable head; then nothing was changed. A core must not be
// open twice.
func Open(f *Flusher, o Options) (*Core, error) {
	c := &Core{key: o.Key, id: o.Key.Discovery(), flusher: f, log: o.Log, pair: o.KeyPair, inherits: true}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.files = f.store.Files(storage.ID(c.id))
	if err := f.reopen(c); err != nil {
		return nil, fmt.Errorf("core %s: %w", c.id, err)
	}
	if err := c.open(o); err != nil {
		return nil, fmt.Errorf("core %s: %w", c.id, err)
	}
	return c, nil
}

// reopen makes files that failed usable again.
func (f *Flusher) reopen(c *Core) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	if f.failed[c.id] == nil {
		return nil
	}
	if err := c.files.Reopen(); err != nil {
		return err
	}
	delete(f.failed, c.id)
	return nil
}

func (c *Core) open(o Options) error {
	info, head, err := c.load()
	if err != nil {
		return err
	}
	c.own = c.pair != nil
	known := false // as one of ours
	if info != nil {
		c.recorded = true
		known = info.own
		c.own = c.own || known
		c.held, c.unheld, c.encrypted = info.held, info.unheld, info.encrypted
		c.infoDirty = c.own && !known
	}
	c.settling = o.Settle && c.own && known
	if c.own && !known && o.Hold {
		c.held, c.unheld, c.infoDirty = true, o.Unheld, true
	}
	if err := c.chooseManifest(o, info); err != nil {
		return err
	}
	if err := c.recover(head); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.headDirty || c.infoDirty {
		c.flusher.mark(c)
	}
	return nil
}

// loadPage adds a stored page of the bitfield; key is its number.
func (c *Core) loadPage(key, record []byte) error {
	if len(key) != 8 {
		return c.recordError("bitfield page", fmt.Errorf("number of %d bytes", len(key)))
	}
	if err := c.bits.load(binary.BigEndian.Uint64(key), record); err != nil {
		return c.recordError("bitfield page", err)
	}
	return nil
}

// load reads the records; nil where there are none.
func (c *Core) load() (info *coreRecord, head *headRecord, err error) {
	err = c.flusher.store.View(func(tx storage.Tx) error {
		if b := tx.Bucket(coreBucket).Get(c.id[:]); b != nil {
			if info, err = parseCoreRecord(b); err != nil {
				return c.recordError("core record", err)
			}
			if info.key != c.key {
				return c.recordError("core record", fmt.Errorf("key %s", info.key))
			}
		}
		if b := tx.Bucket(headBucket).Get(c.id[:]); b != nil {
			if head, err = parseHeadRecord(b); err != nil {
				return c.recordError("head record", err)
			}
			c.bits.contiguous = head.contiguous
		}
		if b := tx.Bucket(conflictBucket).Get(c.id[:]); b != nil {
			if c.conflict, err = parseConflict(b); err != nil {
				return c.recordError("conflict record", err)
			}
		}
		return tx.Bucket(bitfieldBucket).Scan(c.id[:], func(key, value []byte) error {
			return c.loadPage(key[len(c.id):], value)
		})
	})
	return info, head, err
}

// chooseManifest takes the stored manifest, or that of the options, or the one
// that the key pair implies.
func (c *Core) chooseManifest(o Options, info *coreRecord) error {
	if info != nil && info.manifest != nil {
		m, err := ParseManifest(info.manifest)
		if err != nil {
			return c.recordError("manifest", err)
		}
		if m.Key() != c.key {
			return c.recordError("manifest", fmt.Errorf("it is that of %s", m.Key()))
		}
		c.manifest = m
	}
	if c.manifest == nil && o.Manifest != nil {
		if o.Manifest.Key() != c.key {
			return fmt.Errorf("manifest is that of another core, %s", o.Manifest.Key())
		}
		c.manifest = o.Manifest
		c.infoDirty = c.infoDirty || !c.own
	}
	if c.manifest == nil && c.pair != nil {
		for _, m := range []*Manifest{DefaultManifest(c.pair.Public), LegacyManifest(Key(c.pair.Public))} {
			if m.Key() == c.key {
				c.manifest = m
			}
		}
		if c.manifest == nil {
			return errors.New("key pair is that of another core")
		}
	}
	return nil
}

// Key is the core key: the right to read.
func (c *Core) Key() Key { return c.key }

// DiscoveryKey is the core's public name.
func (c *Core) DiscoveryKey() DiscoveryKey { return c.id }

// Writable reports whether Append may work.
func (c *Core) Writable() bool { return c.pair != nil }

// Manifest is nil until it is known, and for a remote core without one.
func (c *Core) Manifest() *Manifest {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.manifest
}

// Info is the state as this machine sees it at once.
type Info struct {
	Length, ByteLength uint64
	Contiguous         uint64 // leading blocks held
	Durable            uint64 // length that is on the disk, and signed: what peers of an own core see
	Fork               uint64
	Writable           bool
	Learned            bool      // own, or a head or manifest was verified: length 0 then means empty, not unknown
	Grown              time.Time // last growth, stored
	Held               bool      // a hold is in force, or the core settles
	Settling           bool      // held because it settles, and for that alone
	Erased             uint64    // times that stored nodes turned out to be damaged and were erased, since Open
	Conflict           bool      // the core is frozen (see Core.Conflict)
	Failed             error     // why the core answers ErrFailed, which this wraps; nil: it does not
}

// Info gives the state in one piece.
func (c *Core) Info() Info {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return Info{
		Length:     c.tree.Length,
		ByteLength: c.plainSize(c.tree.Length, c.size),
		Contiguous: c.bits.contiguous,
		Durable:    c.durable,
		Fork:       c.tree.Fork,
		Writable:   c.pair != nil,
		Learned:    c.learned(),
		Grown:      c.grown,
		Held:       c.held || c.settling,
		Settling:   c.settling && !c.held,
		Erased:     c.erased,
		Conflict:   c.conflict != nil,
		Failed:     c.failed,
	}
}

// learned is Info.Learned; c.mu is held.
func (c *Core) learned() bool {
	return c.own || c.head.Length > 0 || c.manifest != nil && !c.lost
}

// Head is what peers see: of an own core the durable signed head, of a replica
// what was verified.
type Head struct {
	merkle.Tree
	Signature   []byte
	HasManifest bool   // it can be handed out
	Contiguous  uint64 // leading blocks held
}

// Head gives the head in one piece. Nothing in it may be changed.
func (c *Core) Head() Head {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return Head{
		Tree:        c.head,
		Signature:   c.signature,
		HasManifest: c.manifest != nil && !c.manifest.Legacy,
		Contiguous:  min(c.bits.contiguous, c.head.Length),
	}
}

// Flush returns when what was appended or applied before is on the disk; held
// blocks too, unsigned. ErrFailed (wrapped) where it did not get there.
func (c *Core) Flush(ctx context.Context) error {
	if err := c.usable(); err != nil {
		return err
	}
	if err := c.flusher.flush(ctx, c); err != nil {
		return err
	}
	return c.usable()
}

// Close flushes and ends the core; calls that wait for peers end with their
// contexts. Safe twice.
func (c *Core) Close() error {
	c.freeLast()
	c.write.Lock()
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.notify()
	c.mu.Unlock()
	again := c.again
	c.write.Unlock()
	if closed {
		return nil
	}
	if again != nil {
		again.Stop()
		c.clearing.Lock() // what it has begun ends
		c.clearing.Unlock()
	}
	err := c.flusher.flush(context.Background(), c)
	c.flusher.forget(c)
	return err
}

// usable is nil, ErrClosed or why the core failed.
func (c *Core) usable() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.usableLocked()
}

// failure is why the core failed, nil where it did not.
func (c *Core) failure() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.failed
}

// usableLocked is usable with c.mu held.
func (c *Core) usableLocked() error {
	if c.failed != nil {
		return c.failed
	}
	if c.closed {
		return ErrClosed
	}
	return nil
}

// fail makes the core answer ErrFailed until it is opened anew, and gives that
// error.
func (c *Core) fail(err error) error {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = fmt.Errorf("core %s: %w: %w", c.id, ErrFailed, err)
		c.log.Error("core failed", "core", c.id.String(), "err", err)
		c.events.add(Event{Kind: Failed})
		c.notify()
	}
	err = c.failed
	c.mu.Unlock()
	c.flusher.mu.Lock()
	c.flusher.failed[c.id] = c
	c.flusher.mu.Unlock()
	return err
}
