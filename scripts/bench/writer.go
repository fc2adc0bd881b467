package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"time"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
	"multicore/p2p"
)

const fillBatch = 1024 // blocks, fewer where they are large

// fill makes a store: a core to warm up with and the one of the case, or many
// of one block each.
func fill(ctx context.Context, p *parent, s spec) error {
	b, err := newBlocks(s.Pool, s.Size)
	if err != nil {
		return err
	}
	st, err := corestore.Open(s.Dir, corestore.Options{Create: true})
	if err != nil {
		return err
	}
	defer st.Close()
	warm, _, err := fillCore(ctx, st, "warm", b, s.WarmCount)
	if err != nil {
		return err
	}
	done := reply{Event: "done", Warm: warm.String()}
	cores := max(s.Cores, 1)
	for i := range cores {
		key, hash, err := fillCore(ctx, st, fmt.Sprintf("core %d", i), b, s.Count)
		if err != nil {
			return err
		}
		done.Keys, done.Hash = append(done.Keys, key.String()), hash
	}
	if err := st.Close(); err != nil {
		return err
	}
	return p.say(done)
}

func fillCore(ctx context.Context, st *corestore.Store, name string, b *blocks, count int) (hypercore.Key, string, error) {
	c, err := st.OpenName(corestore.Namespace{}, name, 0)
	if err != nil {
		return hypercore.Key{}, "", err
	}
	batch := max(min(fillBatch, 1<<20/b.size), 1)
	for i := 0; i < count; i += batch {
		if _, err := c.Append(ctx, b.make(i, min(i+batch, count))...); err != nil {
			return hypercore.Key{}, "", err
		}
	}
	if err := c.Flush(ctx); err != nil {
		return hypercore.Key{}, "", err
	}
	hash := c.Head().Hash()
	return c.Key(), hex.EncodeToString(hash[:]), c.Close()
}

// member is a store with a network, as cmd/multicore/node puts them together.
type member struct {
	store *corestore.Store
	swarm *replicate.Swarm
	net   *p2p.Node
}

// newMember opens the store of s; connect brings it to the network.
func newMember(s spec) (*member, error) {
	st, err := corestore.Open(s.Dir, corestore.Options{Create: true})
	if err != nil {
		return nil, err
	}
	return &member{store: st, swarm: replicate.New(replicate.Options{})}, nil
}

// connect listens, or dials the address of s where there is one.
func (p *member) connect(ctx context.Context, s spec) (err error) {
	o := p2p.Options{
		Identity: filepath.Join(s.Dir, "identity"), Settings: p.store, Swarm: p.swarm,
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, DHT: p2p.DHTOff,
	}
	switch {
	case s.Transport == overTCP && s.Addr == "":
		o.HypercoreListen = []string{"127.0.0.1:0"}
	case s.Transport == overTCP:
		o.HypercorePeers = []string{s.Addr}
	case s.Addr != "":
		o.Peers = []string{s.Addr}
	}
	p.net, err = p2p.New(ctx, o)
	return err
}

// addr is where another peer reaches this one.
func (p *member) addr(transport string) string {
	st := p.net.Status()
	if transport == overTCP {
		return st.HypercoreTCP
	}
	return st.Addrs[0]
}

// open opens a core by its key, in hexadecimal.
func (p *member) open(key string) (*corestore.Core, error) {
	k, err := hypercore.ParseKey(key)
	if err != nil {
		return nil, err
	}
	return p.store.OpenKey(k)
}

func (p *member) close() {
	if p.net != nil {
		p.net.Close()
	}
	p.swarm.Close()
	p.store.Close()
}

// write serves the cores of s, and appends to the first when told.
func write(ctx context.Context, up *parent, s spec) error {
	p, err := newMember(s)
	if err != nil {
		return err
	}
	defer p.close()
	var first *corestore.Core
	for _, key := range append([]string{s.Warm}, s.Keys...) {
		c, err := p.open(key)
		if err != nil {
			return err
		}
		if first == nil && key != s.Warm {
			first = c
		}
		p.swarm.Attach(c.Core, replicate.AttachOptions{})
	}
	if err := p.connect(ctx, s); err != nil {
		return err
	}
	if err := up.say(reply{Event: "ready", Addr: p.addr(s.Transport)}); err != nil {
		return err
	}
	for {
		if err := up.await(ctx, wordAppend); err != nil {
			return err
		}
		if err := paced(ctx, s, func(block []byte) error {
			_, err := first.Append(ctx, block)
			return err
		}); err != nil {
			return err
		}
	}
}

// pace is the time between two appends that a reader is to see.
const pace = 5 * time.Millisecond

// paced calls do for each sample, at a steady pace, with a block that begins
// with the time.
func paced(ctx context.Context, s spec, do func(block []byte) error) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	block := make([]byte, s.Size)
	for range s.Samples + s.WarmCount {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		binary.LittleEndian.PutUint64(block, uint64(monotonic()))
		if err := do(block); err != nil {
			return err
		}
	}
	return nil
}
