package node

import (
	"context"
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
	if err := n.startFollowing(multicore.Followed{Key: key, Name: r.Name}); err != nil {
		return coded(err)
	}
	if !r.Wait {
		return nil
	}
	return coded(n.waitWhole(ctx, key))
}

// startFollowing puts f on the list and begins the download.
func (n *Node) startFollowing(f multicore.Followed) error {
	n.followMu.Lock()
	defer n.followMu.Unlock()
	if err := multicore.Follow(n.store, f); err != nil {
		return err
	}
	return n.keepWhole(f.Key)
}

// waitWhole returns once every block that peers know of is held here, and
// recorded.
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
		for {
			changed := c.Core.Changed()
			info := c.Core.Info()
			if info.Learned && info.Contiguous == info.Length {
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
	if stop := n.followed[key]; stop != nil {
		delete(n.followed, key)
		stop()
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
		out = append(out, control.Followed{Key: f.Key.String(), Name: f.Name, Cores: n.coresOf(f.Key)})
	}
	return out, nil
}
