package node

import (
	"context"
	"errors"
	"fmt"

	"multicore/cmd/multicore/control"
	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// Follow implements control.Service.
func (n *Node) Follow(ctx context.Context, r control.FollowRequest) error {
	key, err := hypercore.ParseKey(r.Key)
	if err != nil {
		return &control.Error{Code: control.Usage, Text: err.Error(), Err: err}
	}
	if own := n.current(); own != nil && own.Key() == key {
		return &control.Error{Code: control.Usage, Text: "that is the key of the own multicore, which is always kept whole"}
	}
	f, err := n.startFollowing(key, r)
	if err != nil {
		return coded(err)
	}
	if n.swarm == nil && !f.Keep.All() {
		if err := n.trim(ctx, f); err != nil {
			return coded(err)
		}
	}
	if !r.Wait {
		return nil
	}
	return coded(n.waitWhole(ctx, key))
}

// startFollowing puts a multicore on the list and begins the download. What r
// does not say stays as it was.
func (n *Node) startFollowing(key hypercore.Key, r control.FollowRequest) (multicore.Followed, error) {
	n.followMu.Lock()
	defer n.followMu.Unlock()
	f := multicore.Followed{Key: key, Name: r.Name}
	list, err := multicore.List(n.store)
	if err != nil {
		return f, err
	}
	for _, old := range list {
		if old.Key == key {
			f.Keep = old.Keep
		}
	}
	if r.KeepLast != nil {
		f.Keep.Last = *r.KeepLast
	}
	if r.MaxStorage != nil {
		f.Keep.Bytes = *r.MaxStorage
	}
	if err := multicore.Follow(n.store, f); err != nil {
		return f, err
	}
	return f, n.download(f)
}

// trim clears what of a copy is not to be kept, as far as the store knows
// without a network.
func (n *Node) trim(ctx context.Context, f multicore.Followed) error {
	r, release, err := n.acquire(f.Key)
	if err != nil {
		return err
	}
	defer release()
	if err := r.Trim(ctx); err != nil && !errors.Is(err, hypercore.ErrNoPeers) && !errors.Is(err, hypercore.ErrNotHeld) {
		return err
	}
	return nil // what needs peers is done when there are any
}

// waitWhole returns once every block that peers know of and that is to be kept is
// held here, and recorded.
func (n *Node) waitWhole(ctx context.Context, key hypercore.Key) error {
	rm, release, err := n.acquire(key)
	if err != nil {
		return err
	}
	defer release()
	cores, err := rm.Cores(ctx)
	if err != nil {
		return err
	}
	for _, c := range cores {
		if err := c.Core.Update(ctx); err != nil {
			return err
		}
	}
	if err := rm.Trim(ctx); err != nil { // finds out what is to be kept
		return err
	}
	for i, c := range cores {
		for {
			changed := c.Core.Changed()
			info := c.Core.Info()
			if info.Learned && rm.Complete(i) {
				break
			}
			if err := ended(ctx, c); err != nil {
				return fmt.Errorf("have %d of %d blocks: %w", info.Contiguous, info.Length, err)
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return fmt.Errorf("%s: have %d of %d blocks: %w", c.Name, info.Contiguous, info.Length, ctx.Err())
			}
		}
	}
	return n.store.Flusher().Flush(ctx)
}

// Unfollow implements control.Service.
func (n *Node) Unfollow(ctx context.Context, keyOrName string) error {
	key, err := n.keyOf(keyOrName)
	if err != nil {
		return err
	}
	n.followMu.Lock()
	defer n.followMu.Unlock()
	was, err := multicore.Unfollow(n.store, key)
	if err != nil {
		return coded(err)
	}
	if !was {
		return &control.Error{Code: control.NotFound, Text: fmt.Sprintf("%s is not followed; multicore ls shows what is", keyOrName)}
	}
	if f, ok := n.followed[key]; ok {
		delete(n.followed, key)
		f.stop()
	}
	return nil
}

// List implements control.Service.
func (n *Node) List(ctx context.Context) ([]control.Followed, error) {
	list, err := multicore.List(n.store)
	if err != nil {
		return nil, coded(err)
	}
	out := make([]control.Followed, 0, len(list))
	for _, f := range list {
		out = append(out, control.Followed{
			Key: f.Key.String(), Name: f.Name, KeepLast: f.Keep.Last, MaxStorage: f.Keep.Bytes, Cores: n.coresOf(f.Key),
		})
	}
	return out, nil
}
