package node

import (
	"context"
	"errors"
	"fmt"

	"multicore/cmd/multicore/control"
	"multicore/corestore"
	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// errPurging is what somebody gets who opens a multicore that is being removed.
var errPurging = &control.Error{Code: control.InUse, Text: "the multicore is being purged; try again"}

// Clear implements control.Service.
func (n *Node) Clear(ctx context.Context, r control.ClearRequest) (*control.ClearResult, error) {
	t, release, err := n.resolve(r.Path)
	if err != nil {
		return nil, err
	}
	defer release()
	cores, _ := t.view.Known()
	place := -1
	for i, c := range cores {
		if c.Name == t.core {
			place = i
		}
	}
	if place < 0 {
		return nil, &control.Error{Code: control.NotFound, Text: fmt.Sprintf("nothing of %s is in this store", r.Path)}
	}
	core := cores[place].Core
	out := &control.ClearResult{Path: cores[place].Name, Key: core.Key().String()}
	if t.remote {
		out.Path = t.key.String() + "/" + out.Path
	}
	length := core.Info().Length
	for i, s := range r.Spans {
		if s.First >= length {
			return nil, &control.Error{Code: control.NotFound, Err: hypercore.ErrPastEnd,
				Text: fmt.Sprintf("%s has %d blocks, and none with index %d", out.Path, length, s.First)}
		}
		r.Spans[i].Last = min(s.Last, length-1)
	}
	if place == 0 && len(cores) > 1 && r.Spans[0].First == 0 {
		out.Note = "block 0 of main stays: it names the other cores"
	}
	if core.Writable() {
		err = n.clearOwn(ctx, core, place == 0 && len(cores) > 1, r, out)
		return out, coded(err)
	}
	rm := t.view.(*remote)
	for _, s := range r.Spans {
		got, err := rm.Clear(ctx, place, s.First, s.Last+1)
		if err != nil {
			return nil, coded(err)
		}
		out.Blocks += got.Blocks
		out.Bytes += got.Bytes
	}
	return out, nil
}

// clearOwn clears blocks of an own core, which others may not have.
func (n *Node) clearOwn(ctx context.Context, core *hypercore.Core, index bool, r control.ClearRequest, out *control.ClearResult) error {
	if err := core.Flush(ctx); err != nil { // what is not durable is not cleared
		return err
	}
	for i, s := range r.Spans {
		if index && s.First == 0 {
			r.Spans[i].First = 1
		}
	}
	for _, s := range r.Spans {
		if s.First > s.Last || len(core.Runs(s.First, s.Last+1)) == 0 {
			continue
		}
		if n.swarm != nil && n.swarm.HeldByPeers(core.DiscoveryKey(), s.First, s.Last+1) {
			continue
		}
		text := fmt.Sprintf("no connected peer is known to hold blocks %d to %d of %s", s.First, s.Last, out.Path)
		if !r.Force {
			return &control.Error{Code: control.Other, Text: text + ", and nobody else may have them; to lose them here all the same: --force"}
		}
		out.Note = text + ": they are gone unless somebody comes back with them"
	}
	for _, s := range r.Spans {
		if s.First > s.Last {
			continue
		}
		got, err := core.Clear(ctx, s.First, s.Last+1)
		if err != nil {
			return err
		}
		out.Blocks += got.Blocks
		out.Bytes += got.Bytes
	}
	return nil
}

// Purge implements control.Service.
func (n *Node) Purge(ctx context.Context, keyOrName string) (*control.PurgeResult, error) {
	key, err := n.keyOf(keyOrName)
	if err != nil {
		return nil, err
	}
	if own := n.current(); own != nil && own.Key() == key {
		return nil, &control.Error{Code: control.Usage, Text: "that is the own multicore, which is not purged; multicore clear frees blocks that others hold"}
	}
	if !multicore.Known(n.store, key) {
		return nil, &control.Error{Code: control.NotFound, Text: fmt.Sprintf("nothing of %s is in this store", keyOrName)}
	}
	n.followMu.Lock()
	defer n.followMu.Unlock()
	if err := n.shut(key, keyOrName); err != nil {
		return nil, err
	}
	defer n.reopen(key)
	got, err := multicore.Purge(n.store, n.attacher(), key)
	if err == nil {
		err = n.noteNames()
	}
	if err != nil {
		if errors.Is(err, corestore.ErrCoreInUse) {
			err = &control.Error{Code: control.InUse, Err: err, Text: fmt.Sprintf("%s is open; end what reads it first", keyOrName)}
		}
		return nil, coded(err)
	}
	return &control.PurgeResult{Key: key.String(), Cores: got.Cores, Blocks: got.Blocks, Bytes: got.Bytes}, nil
}

// shut ends the download of a multicore and keeps others from opening it, where
// nothing but the download has it open; n.followMu is held.
func (n *Node) shut(key hypercore.Key, called string) error {
	f, followed := n.followed[key]
	n.mu.Lock()
	uses := 0
	if r := n.remotes[key]; r != nil {
		uses = r.uses
	}
	if followed {
		uses--
	}
	if uses > 0 {
		at := ""
		for _, m := range n.mounts {
			if m.uses(key) {
				at = m.Path()
			}
		}
		n.mu.Unlock()
		if at != "" {
			return &control.Error{Code: control.InUse, Text: fmt.Sprintf("%s is open in the mount at %s; unmount it first", called, at)}
		}
		return &control.Error{Code: control.InUse, Text: fmt.Sprintf("%s is being read; end that first", called)}
	}
	n.purging[key] = true
	n.mu.Unlock()
	if followed {
		delete(n.followed, key)
		f.stop()
	}
	return nil
}

// reopen ends what shut began. Where the multicore is still on the list, because
// it could not be removed, it is downloaded again.
func (n *Node) reopen(key hypercore.Key) {
	n.mu.Lock()
	delete(n.purging, key)
	n.mu.Unlock()
	list, err := multicore.List(n.store)
	if err != nil || n.swarm == nil {
		return
	}
	for _, f := range list {
		if f.Key == key {
			if err := n.download(f); err != nil {
				n.log.Error("a followed multicore cannot be opened", "core", key.Discovery().String(), "err", err)
			}
		}
	}
}
