package multicore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// Own is the multicore that a store writes. Safe for concurrent use.
type Own struct {
	cores  [ownCores]*corestore.Core // main, core-2, core-3
	named  []Named
	attach []*replicate.Attachment
	sync   atomic.Bool
	close  sync.Once
	err    error // of Close
}

// making lets one OpenOwn at a time look at block 0 and write it.
var making sync.Mutex

// storeName is the name of the core at place i in the root namespace of the
// store: main is core-1 there.
func storeName(i int) string { return fmt.Sprintf("core-%d", i+1) }

// HasOwn says whether st has an own multicore, be it one whose making a crash
// cut short.
func HasOwn(st *corestore.Store) bool {
	return st.HasName(corestore.Namespace{}, storeName(placeMain))
}

// OpenOwn opens the own multicore of st and attaches its cores to sw. With
// create it makes one where there is none, else that is ErrNoMulticore; when it
// returns, what it made is on the disk. A making that a crash cut short is
// completed either way. The caller closes it before st.
//
// A store that is held (its primary key was given to it) may sign block 0 of
// main and nothing else: every store with that key writes the same one.
func OpenOwn(ctx context.Context, st *corestore.Store, sw Swarm, create bool) (*Own, error) {
	if !create && !HasOwn(st) {
		return nil, ErrNoMulticore
	}
	o := &Own{}
	for i := range o.cores {
		var unheld uint64
		if i == placeMain {
			unheld = 1
		}
		c, err := st.OpenName(corestore.Namespace{}, storeName(i), unheld)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s: %w", CoreName(i), err), o.Close())
		}
		o.cores[i] = c
		o.named = append(o.named, Named{Name: CoreName(i), Core: c.Core})
	}
	if err := o.writeIndex(ctx); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	if sw != nil {
		for i, c := range o.cores {
			o.attach = append(o.attach, sw.Attach(c.Core, attachOptions(i, o.Main())))
		}
	}
	return o, nil
}

// attachOptions are those of the core at place i: all but main come after it.
func attachOptions(i int, main *hypercore.Core) replicate.AttachOptions {
	if i == placeMain {
		return replicate.AttachOptions{}
	}
	return replicate.AttachOptions{After: []hypercore.DiscoveryKey{main.DiscoveryKey()}}
}

// writeIndex writes block 0 of main, or finds it there.
func (o *Own) writeIndex(ctx context.Context) error {
	making.Lock()
	defer making.Unlock()
	main := o.Main()
	index := appendIndex(nil, []hypercore.Key{o.cores[placeShort].Key(), o.cores[placeLong].Key()})
	if main.Info().Length == 0 {
		if _, err := main.Append(ctx, index); err != nil {
			return fmt.Errorf("write block 0 of main: %w", err)
		}
		return o.Flush(ctx)
	}
	block, err := main.Block(0)
	if errors.Is(err, hypercore.ErrNotHeld) {
		return nil // adopted from a peer; fetched when it is read
	}
	if err != nil {
		return fmt.Errorf("read block 0 of main: %w", err)
	}
	if !bytes.Equal(block, index) {
		return fmt.Errorf("%w: %d bytes", ErrForeignMain, len(block))
	}
	return nil
}

// Key gives main's key.
func (o *Own) Key() hypercore.Key { return o.Main().Key() }

// Main gives the core whose block 0 names the others.
func (o *Own) Main() *hypercore.Core { return o.cores[placeMain].Core }

// Known gives main, core-2 and core-3.
func (o *Own) Known() ([]Named, bool) { return append([]Named(nil), o.named...), true }

// Cores gives main, core-2 and core-3 at once.
func (o *Own) Cores(context.Context) ([]Named, error) { return append([]Named(nil), o.named...), nil }

// SyncAlways has each Append, of framers too, return only when what it appended
// is on the disk. Those that come at the same time share the syncs.
func (o *Own) SyncAlways(always bool) { o.sync.Store(always) }

// Append appends messages wholly or not at all; when it returns they survive
// the process, and the power with SyncAlways: where they do not get that far it
// is ErrNotSynced. Each goes to core-2 or core-3 by its length. core, if not "",
// takes them all: "main", "core-2" or "core-3"; another is ErrNoCore.
func (o *Own) Append(ctx context.Context, core string, messages [][]byte) error {
	if len(messages) == 0 {
		return nil
	}
	batches, err := o.batches(core, messages)
	if err != nil {
		return err
	}
	if len(batches) == 1 { // most often
		_, err = batches[0].Core.Append(ctx, batches[0].Blocks...)
	} else {
		err = hypercore.AppendAll(ctx, batches)
	}
	if err != nil || !o.sync.Load() {
		return err
	}
	for _, b := range batches {
		if err := b.Core.Flush(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrNotSynced, err)
		}
	}
	return nil
}

// Flush returns once all that was appended before is on the disk.
func (o *Own) Flush(ctx context.Context) error {
	for i, c := range o.cores {
		// The first flush takes along what gathered in all cores.
		if err := c.Flush(ctx); err != nil {
			return fmt.Errorf("flush %s: %w", CoreName(i), err)
		}
	}
	return nil
}

// Close leaves the network and ends the sessions on the cores. Safe twice.
func (o *Own) Close() error {
	o.close.Do(func() {
		for _, a := range o.attach {
			a.Detach()
		}
		var errs []error
		for _, c := range o.cores {
			if c != nil {
				errs = append(errs, c.Close())
			}
		}
		o.err = errors.Join(errs...)
	})
	return o.err
}
