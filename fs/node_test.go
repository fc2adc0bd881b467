package fs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"multicore/corestore"
	"multicore/corestore/multicore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// machine is a store with its swarm, as one process would have it.
type machine struct {
	t     testing.TB
	dir   string
	store *corestore.Store
	swarm *replicate.Swarm
	own   *multicore.Own
}

// newMachine makes a store; own says whether it gets a multicore.
func newMachine(t testing.TB, own bool) *machine {
	t.Helper()
	return openMachine(t, filepath.Join(t.TempDir(), "store"), own)
}

func openMachine(t testing.TB, dir string, own bool) *machine {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	st, err := corestore.Open(dir, corestore.Options{Create: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, dir: dir, store: st, swarm: replicate.New(replicate.Options{Log: quiet})}
	t.Cleanup(m.close)
	if own {
		if m.own, err = multicore.OpenOwn(context.Background(), st, m.swarm, true); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *machine) close() {
	if m.store == nil {
		return
	}
	if m.own != nil {
		if err := m.own.Close(); err != nil {
			m.t.Error(err)
		}
	}
	if err := m.swarm.Close(); err != nil {
		m.t.Error(err)
	}
	if err := m.store.Close(); err != nil {
		m.t.Error(err)
	}
	m.store = nil
}

// core gives an own core.
func (m *machine) core(name string) *hypercore.Core {
	m.t.Helper()
	cores, _ := m.own.Known()
	for _, c := range cores {
		if c.Name == name {
			return c.Core
		}
	}
	m.t.Fatalf("no core %q", name)
	return nil
}

// append appends messages and flushes, so that peers see them.
func (m *machine) append(core string, messages ...string) {
	m.t.Helper()
	var list [][]byte
	for _, s := range messages {
		list = append(list, []byte(s))
	}
	if err := m.own.Append(context.Background(), core, list); err != nil {
		m.t.Fatal(err)
	}
	if err := m.own.Flush(context.Background()); err != nil {
		m.t.Fatal(err)
	}
}

// remote opens somebody else's multicore and closes it at the end.
func (m *machine) remote(key hypercore.Key) *multicore.Remote {
	m.t.Helper()
	r, err := multicore.OpenRemote(m.store, m.swarm, key)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			m.t.Error(err)
		}
	})
	return r
}

// remoteCore opens a core of another machine's multicore, which must be known here.
func (m *machine) remoteCore(of *machine, name string) *hypercore.Core {
	m.t.Helper()
	cores, err := m.remote(of.own.Key()).Cores(deadline(m.t))
	if err != nil {
		m.t.Fatal(err)
	}
	c := find(cores, name)
	if c == nil {
		m.t.Fatalf("no core %q", name)
	}
	return c
}

// options are those of a mount of this machine, its own multicore at the root
// if it has one.
func (m *machine) options() Options {
	return Options{
		Own:      m.own,
		Open:     func(k hypercore.Key) (multicore.View, error) { return m.remote(k), nil },
		Status:   func() []byte { return []byte(`{"v":1}` + "\n") },
		CoreInfo: coreInfo,
		StoreDir: m.dir,
		Log:      slog.New(slog.DiscardHandler),
	}
}

// rootOptions are those of a mount of one remote multicore.
func (m *machine) rootOptions(r *multicore.Remote) Options {
	o := m.options()
	o.Own, o.Open, o.Root = nil, nil, r
	return o
}

func coreInfo(path string, c *hypercore.Core) []byte {
	b, err := json.Marshal(map[string]any{"path": path, "key": c.Key().String(), "length": c.Info().Length})
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

// connect joins two machines until the returned cut is called.
func connect(t testing.TB, a, b *machine) (cut func()) {
	t.Helper()
	ours, theirs := net.Pipe()
	var hash [64]byte
	rand.Read(hash[:])
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	serve := func(m *machine, stream net.Conn, initiator bool, peer string) {
		m.swarm.Serve(ctx, replicate.Conn{Stream: stream, Initiator: initiator, HandshakeHash: hash, Peer: peer})
		ended <- struct{}{}
	}
	go serve(a, ours, true, b.dir)
	go serve(b, theirs, false, a.dir)
	done := false
	cut = func() {
		if done {
			return
		}
		done = true
		cancel()
		ours.Close()
		theirs.Close()
		for range 2 {
			select {
			case <-ended:
			case <-time.After(patience):
				t.Error("replication does not end")
			}
		}
	}
	t.Cleanup(cut)
	return cut
}
