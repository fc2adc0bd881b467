package p2p

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/replicate"
	"multicore/hypercore/storage"
)

// real is a store in memory with its swarm and node.
type real struct {
	*Node
	flusher  *hypercore.Flusher
	swarm    *replicate.Swarm
	settings *memorySettings
}

func startReal(t *testing.T, bootstrap []string) *real {
	t.Helper()
	return startRealWith(t, replicate.Options{}, func(o *Options) { o.DHT, o.Bootstrap = DHTPrivate, bootstrap })
}

func startRealWith(t *testing.T, ro replicate.Options, change func(*Options)) *real {
	t.Helper()
	st := storage.Memory()
	x := &real{flusher: hypercore.NewFlusher(st, nil), swarm: replicate.New(ro), settings: &memorySettings{}}
	o := Options{
		Identity: filepath.Join(t.TempDir(), "identity"),
		Settings: x.settings,
		Swarm:    x.swarm,
		Listen:   loopback,
		DHT:      DHTOff,
		Announce: true,
	}
	change(&o)
	var err error
	x.Node, err = New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.Node.Close()
		x.swarm.Close()
		x.flusher.Close()
		st.Close()
	})
	return x
}

func (x *real) open(t *testing.T, o hypercore.Options) *hypercore.Core {
	t.Helper()
	c, err := hypercore.Open(x.flusher, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestReplicate: a reader that knows a main key and a bootstrap node reads a
// block of a writer that knows the bootstrap node, and sees what is appended.
func TestReplicate(t *testing.T) {
	boot := startReal(t, nil)
	w := startReal(t, boot.Status().Addrs)
	pair := hypercore.KeyPairFromSeed([32]byte{7})
	core := w.open(t, hypercore.Options{Key: hypercore.DefaultManifest(pair.Public).Key(), KeyPair: &pair})
	for i := range 100 {
		if _, err := core.Append(t.Context(), fmt.Appendf(nil, "block %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := core.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer w.swarm.Attach(core, replicate.AttachOptions{}).Detach()
	w.Join(core.DiscoveryKey(), true)
	until(t, "the writer has announced", func() bool { return !w.Status().LastProvide.IsZero() })

	r := startReal(t, boot.Status().Addrs)
	replica := r.open(t, hypercore.Options{Key: core.Key()})
	defer r.swarm.Attach(replica, replicate.AttachOptions{}).Detach()
	r.Join(core.DiscoveryKey(), false)
	b, err := replica.Get(t.Context(), 42)
	if err != nil || string(b) != "block 42" {
		t.Fatalf("got %q, %v", b, err)
	}
	if peers, _ := r.swarm.CorePeers(core.DiscoveryKey()); peers != 1 {
		t.Errorf("the reader has %d peers of the core, want the writer", peers)
	}
	if _, err := core.Append(t.Context(), []byte("one more")); err != nil {
		t.Fatal(err)
	}
	until(t, "the reader sees the new block", func() bool { return replica.Info().Length == 101 }, replica.Changed)
	// The writer proved the core, the bootstrap node nothing.
	until(t, "the reader remembers the writer", func() bool {
		text, _ := r.settings.Setting(settingPeers)
		return bytes.Contains(text, []byte(w.Status().PeerID)) && !bytes.Contains(text, []byte(boot.Status().PeerID))
	}, r.swarm.Changed)
	until(t, "the swarm and the node agree on the peers", func() bool {
		return len(r.swarm.Peers()) == 2 && len(r.Status().Peers) == 2
	}, r.swarm.Changed)
}
