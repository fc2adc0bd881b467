package replicate

import (
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// A core whose first blocks are named by its manifest: its prover shows the
// prologue whatever length was asked for.
func TestPrologue(t *testing.T) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	draft := w.own("draft", numbered(5)...)
	pair := hypercore.KeyPairFromSeed([32]byte{1})
	m := hypercore.DefaultManifest(pair.Public)
	m.Prologue = &hypercore.Prologue{Hash: merkle.TreeHash(draft.Head().Roots), Length: 5}
	core := w.open(hypercore.Options{Key: m.Key(), KeyPair: &pair, Manifest: m})
	w.add(core, numbered(12)...)
	w.swarm.Attach(core, AttachOptions{})
	replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
	connect(t, w, r)
	until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Contiguous == 12 })
	w.add(core, []byte("more"))
	until(t, replica, "growth", func(i hypercore.Info) bool { return i.Contiguous == 13 })
}

// A block and a manifest that do not fit one frame: not available together,
// and each is still to be had.
func TestAnswerBeyondFrame(t *testing.T) {
	w := newNode(t, "writer")
	pair := hypercore.KeyPairFromSeed([32]byte{2})
	m := hypercore.DefaultManifest(pair.Public)
	m.Version, m.UserData = 2, make([]byte, 5<<20)
	core := w.open(hypercore.Options{Key: m.Key(), KeyPair: &pair, Manifest: m})
	w.add(core, make([]byte, hypercore.MaxBlock))
	w.swarm.Attach(core, AttachOptions{})
	x, y := rawPipe()
	go w.swarm.Serve(t.Context(), Conn{Stream: x, Initiator: true, Peer: "raw"})
	p := newRawPeer(t, y, [64]byte{})
	if err := p.open(1, core.Key()); err != nil {
		t.Fatal(err)
	}
	block := &merkle.BlockRequest{}
	for i, want := range []struct {
		ask merkle.Request
		typ uint64
	}{
		{merkle.Request{Block: block, Manifest: true}, wire.TypeNoData},
		{merkle.Request{Block: block}, wire.TypeData},
		{merkle.Request{Manifest: true}, wire.TypeData},
	} {
		p.send(1, wire.Request{ID: uint64(i + 1), Request: want.ask})
		if !p.wait("an answer", func(got []rawMessage) bool {
			n := 0
			for _, a := range got {
				if a.channel != 0 && (a.typ == wire.TypeData || a.typ == wire.TypeNoData) {
					if n == i && a.typ != want.typ {
						t.Fatalf("answer %d has type %d, want %d", i, a.typ, want.typ)
					}
					n++
				}
			}
			return n == i+1
		}) {
			t.Fatal("the stream ended")
		}
	}
}
