package node

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// progressEvery is how often somebody who waits is told how far it is.
const progressEvery = 200 * time.Millisecond

// Verify implements control.Service.
func (n *Node) Verify(ctx context.Context, r control.VerifyRequest, emit func(control.Verified) error) error {
	if r.Timeout <= 0 {
		r.Timeout = n.opts.ReadTimeout
	}
	if r.Path != "" {
		t, release, err := n.resolve(r.Path)
		if err != nil {
			return err
		}
		defer release()
		cores, err := t.held()
		if err != nil {
			return err
		}
		for _, c := range cores {
			path := c.Name
			if t.remote {
				path = t.key.String() + "/" + c.Name
			}
			if err := n.verify(ctx, r, path, c.Core, emit); err != nil {
				return coded(err)
			}
		}
		return nil
	}
	return coded(n.verifyAll(ctx, r, emit))
}

// held picks the cores of t, main among them, of which something is known here.
func (t target) held() ([]multicore.Named, error) {
	all, missing := t.view.Known() // whether what is not among them is nowhere
	var held []multicore.Named
	for _, c := range all {
		if t.core != "" && t.core != c.Name {
			continue
		}
		missing = false
		if c.Core.Info().Learned {
			held = append(held, c)
		}
	}
	switch {
	case len(held) > 0:
		return held, nil
	case missing:
		return nil, t.lacks(len(all))
	case t.core != "":
		return nil, &control.Error{Code: control.NotFound, Text: fmt.Sprintf("this store holds nothing of %s/%s", t.key, t.core)}
	}
	return nil, &control.Error{Code: control.NotFound, Text: fmt.Sprintf("this store holds nothing of %s", t.key)}
}

// verifyAll verifies every core of the store, those of multicores under their
// paths.
func (n *Node) verifyAll(ctx context.Context, r control.VerifyRequest, emit func(control.Verified) error) error {
	followed, err := multicore.List(n.store)
	if err != nil {
		return err
	}
	for _, f := range followed {
		if _, release, err := n.acquire(f.Key); err == nil { // else its cores go by their keys
			defer release()
		}
	}
	paths := n.paths()
	list, err := n.store.List()
	if err != nil {
		return err
	}
	for _, d := range list {
		key, _ := n.store.Key(d)
		path := paths[key]
		if path == "" {
			path = key.String()
		}
		c, err := n.store.OpenDiscovery(d)
		if errors.Is(err, hypercore.ErrDamaged) {
			err = emit(control.Verified{Path: path, Key: key.String(), Damaged: 1, Unrepaired: 1, First: err.Error(), Done: true})
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if c.Info().Learned { // else it was asked for, and nothing came
			err = n.verify(ctx, r, path, c.Core, emit)
		}
		c.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// verify verifies one core, and fetches again what is damaged where r says so.
func (n *Node) verify(ctx context.Context, r control.VerifyRequest, path string, c *hypercore.Core, emit func(control.Verified) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := control.Verified{Path: path, Key: c.Key().String(), ConflictHeads: conflictHeads(c)}
	var told time.Time
	look := func(repair bool) (hypercore.Verification, error) {
		found, err := c.Verify(ctx, hypercore.VerifyOptions{Repair: repair, Progress: func(sofar hypercore.Verification, of uint64) {
			if time.Since(told) < progressEvery {
				return
			}
			told = time.Now()
			out.Length, out.Blocks, out.Bytes = of, sofar.Blocks, sofar.Bytes
			if err := emit(out); err != nil {
				cancel(err)
			}
		}})
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return found, cause
			}
			return found, err
		}
		out.Length, out.Blocks, out.Bytes = c.Info().Length, found.Blocks, found.Bytes
		return found, nil
	}
	held := heldBlocks(c)
	found, err := look(r.Repair)
	if err != nil {
		return err
	}
	out.Damaged, out.Unrepaired = found.Damaged, found.Damaged
	if found.First != nil {
		out.First = found.First.Error()
	}
	if r.Repair && found.Damaged > 0 {
		var lost uint64
		if out.Repaired, lost, err = n.refetch(ctx, c, held, r.Timeout); err != nil {
			return err
		}
		// What came may not be all that was wrong: nodes, the head.
		if found, err = look(false); err != nil {
			return err
		}
		out.Unrepaired = lost + found.Damaged
	}
	out.Done = true
	return emit(out)
}

// refetch gets what was held and is not any more, of peers, and says how many
// blocks came. Where none has one it stays away, as do those after it: they are
// lost.
func (n *Node) refetch(ctx context.Context, c *hypercore.Core, held []uint32, timeout time.Duration) (repaired, lost uint64, err error) {
	for w, word := range held {
		for ; word != 0; word &= word - 1 {
			i := uint64(w*32 + bits.TrailingZeros32(word))
			if c.Has(i) || i >= c.Info().Length {
				continue
			}
			if lost > 0 { // who lacks one lacks others: no wait for each
				lost++
				continue
			}
			wait, cancel := context.WithTimeout(ctx, timeout)
			_, err := c.Get(wait, i)
			cancel()
			if ctx.Err() != nil {
				return repaired, lost, ctx.Err()
			}
			if err != nil {
				n.log.Warn("a damaged block could not be fetched again", "core", c.DiscoveryKey().String(), "block", i, "err", err)
				lost++
				continue
			}
			repaired++
		}
	}
	return repaired, lost, nil
}

func heldBlocks(c *hypercore.Core) []uint32 {
	words := make([]uint32, (c.Info().Length+31)/32)
	c.Held(0, words)
	return words
}
