package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// Follow implements control.Service.
func (n *Node) Follow(ctx context.Context, r control.FollowRequest, emit func(control.Following) error) error {
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
	if r.Wait {
		if err := n.await(ctx, f, r.Timeout, emit); err != nil {
			return coded(err)
		}
	}
	return emit(n.following(f))
}

// await is waitWhole for a time, 0 for any, and tells meanwhile how far it is.
func (n *Node) await(ctx context.Context, f multicore.Followed, timeout time.Duration, emit func(control.Following) error) error {
	wait, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if timeout > 0 {
		var end context.CancelFunc
		wait, end = context.WithTimeout(wait, timeout)
		defer end()
	}
	ended := make(chan error, 1)
	go func() { ended <- n.waitWhole(wait, f.Key) }()
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
				now := n.following(f)
				return &control.Error{Code: control.Timeout, Err: err,
					Text: "the copy is not complete: " + now.Progress()}
			}
			return err
		case <-tick.C:
			if err := emit(n.following(f)); err != nil {
				cancel(err)
				<-ended
				return err
			}
		}
	}
}

// tellEvery is how often somebody who waits for a copy is told how far it is.
const tellEvery = 500 * time.Millisecond

// following is how far the copy of a followed multicore is.
func (n *Node) following(f multicore.Followed) control.Following {
	out := control.Following{Followed: n.describe(f), Done: true}
	for _, c := range out.Cores {
		complete := c.Missing == nil
		if n.swarm == nil { // nobody downloads
			complete = c.HeldBlocks == c.Length
		}
		out.Done = out.Done && c.Learned && complete
	}
	out.Done = out.Done && len(out.Cores) > 0
	return out
}

// describe tells of a followed multicore.
func (n *Node) describe(f multicore.Followed) control.Followed {
	out := control.Followed{
		Key: f.Key.String(), Name: f.Name, KeepLast: f.Keep.Last, MaxStorage: f.Keep.Bytes, Cores: n.coresOf(f.Key),
	}
	out.FullReplicas = n.fullReplicas(out.Cores)
	return out
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
			f.Name = cmp.Or(f.Name, old.Name)
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
	if err := n.noteNames(); err != nil {
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
func (n *Node) Unfollow(ctx context.Context, keyOrName string) (string, error) {
	key, err := n.keyOf(keyOrName)
	if err != nil {
		return "", err
	}
	n.followMu.Lock()
	defer n.followMu.Unlock()
	was, err := multicore.Unfollow(n.store, key)
	if err != nil {
		return "", coded(err)
	}
	if !was {
		return "", &control.Error{Code: control.NotFound, Text: fmt.Sprintf("%s is not followed; multicore ls shows what is", keyOrName)}
	}
	if f, ok := n.followed[key]; ok {
		delete(n.followed, key)
		f.stop()
	}
	if err := n.noteNames(); err != nil {
		return "", coded(err)
	}
	return key.String(), nil
}

// List implements control.Service.
func (n *Node) List(ctx context.Context) ([]control.Followed, error) {
	list, err := multicore.List(n.store)
	if err != nil {
		return nil, coded(err)
	}
	out := make([]control.Followed, 0, len(list))
	for _, f := range list {
		out = append(out, n.describe(f))
	}
	return out, nil
}
