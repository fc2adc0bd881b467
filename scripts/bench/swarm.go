package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"multicore/cmd/multicore/control"
)

// swarmLimit is what the writer of a swarm may send, in bytes a second.
const swarmLimit = 10_000_000

// swarm measures how a writer that may not send much and readers that find
// each other share an existing core: real processes of the command, told each
// other's addresses. Its ceiling is arithmetic: one copy at the writer's limit.
func (b *bench) swarm(_ *kind, way string, l load) (sample, error) {
	payload := float64(l.count) * float64(l.size)
	if way == ceiling {
		return sample{Values: map[string]float64{"seconds": payload / swarmLimit, "copies": 1}}, nil
	}
	scratch, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(scratch)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	ports, err := freePorts(1 + l.cores)
	if err != nil {
		return sample{}, err
	}
	all := make([]*server, len(ports))
	defer func() {
		for _, s := range all {
			if s != nil {
				s.kill()
			}
		}
	}()
	if all[0], err = b.serve(ctx, scratch, ports, 0, "--upload-limit", fmt.Sprint(swarmLimit)); err != nil {
		return sample{}, err
	}
	key, err := b.prepare(ctx, all[0], l)
	if err != nil {
		return sample{}, err
	}
	group, gctx := errgroup.WithContext(ctx)
	for i := range all[1:] {
		group.Go(func() (err error) {
			all[1+i], err = b.serve(ctx, scratch, ports, 1+i)
			if err == nil {
				_, err = all[1+i].connected(gctx, len(all)-1)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return sample{}, err
	}
	if err := b.settle(); err != nil {
		return sample{}, err
	}
	return share(ctx, all, key, l)
}

// share has all readers follow the writer's key at once and waits for the last.
func share(ctx context.Context, all []*server, key string, l load) (out sample, err error) {
	before, err := all[0].connected(ctx, len(all)-1)
	if err != nil {
		return out, err
	}
	used := make([]time.Duration, len(all))
	for i, s := range all {
		if used[i], err = cpuOf(s.cmd.Process.Pid); err != nil {
			return out, err
		}
	}
	began := time.Now()
	group, gctx := errgroup.WithContext(ctx)
	for _, s := range all[1:] {
		group.Go(func() error {
			return s.client.Follow(gctx, control.FollowRequest{Key: key, Wait: true}, quietly)
		})
	}
	if err := group.Wait(); err != nil {
		return out, err
	}
	took := time.Since(began)
	for i, s := range all {
		after, err := cpuOf(s.cmd.Process.Pid)
		if err != nil {
			return out, err
		}
		peak, err := peakOf(s.cmd.Process.Pid)
		if err != nil {
			return out, err
		}
		side := &out.Reader
		if i == 0 {
			side = &out.Writer
		}
		side.CPU += (after - used[i]).Seconds()
		side.Peak += peak
	}
	for _, s := range all[1:] {
		if err := s.whole(ctx, l); err != nil {
			return out, err
		}
	}
	after, err := all[0].client.Status(ctx)
	if err != nil {
		return out, err
	}
	payload := float64(l.count) * float64(l.size)
	copies := float64(sent(after)-sent(before)) / payload
	if copies < 1 || len(after.Peers) != len(before.Peers) {
		return out, fmt.Errorf("the writer sent %.2f copies to %d peers, then %d: connections were lost", copies, len(before.Peers), len(after.Peers))
	}
	out.Values = map[string]float64{"seconds": took.Seconds(), "copies": copies}
	return out, nil
}

func sent(st *control.Status) (n uint64) {
	for _, p := range st.Peers {
		n += p.SentBytes
	}
	return n
}

// prepare makes the writer's multicore, with the payload in its third core.
func (b *bench) prepare(ctx context.Context, w *server, l load) (key string, err error) {
	if key, _, err = w.client.Init(ctx); err != nil {
		return "", err
	}
	blocks, err := newBlocks(b.pool, l.size)
	if err != nil {
		return "", err
	}
	payload := bytes.Join(blocks.make(0, l.count), nil)
	_, err = w.client.Append(ctx, control.AppendRequest{Framing: bytesSize(l.size)}, bytes.NewReader(payload))
	return key, err
}

// serve starts the process of a port, which connects to all others.
func (b *bench) serve(ctx context.Context, scratch string, ports []int, i int, flags ...string) (*server, error) {
	args := []string{"serve", "--listen", multiaddr(ports[i])}
	for j, port := range ports {
		if j != i {
			args = append(args, "--peer", multiaddr(port))
		}
	}
	return b.launch(ctx, filepath.Join(scratch, fmt.Sprintf("store-%d", i)), append(args, flags...)...)
}

// bytesSize is a size as --framing takes it.
func bytesSize(n int) string { return strings.ReplaceAll(bytesText(n), " ", "") }

// whole says whether the process holds all blocks of the payload.
func (s *server) whole(ctx context.Context, l load) error {
	st, err := s.client.Status(ctx)
	if err != nil {
		return err
	}
	for _, f := range st.Followed {
		for _, c := range f.Cores {
			if c.ContiguousLength == uint64(l.count) && c.ByteLength == uint64(l.count)*uint64(l.size) {
				return nil
			}
		}
	}
	return fmt.Errorf("a reader has no core of %d blocks: %+v", l.count, st.Followed)
}
