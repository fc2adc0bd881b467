package replicate

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/wire"
)

// scripted is a stream whose peer says what it says and reads all.
type scripted struct{ io.Reader }

func (scripted) Write(p []byte) (int, error) { return len(p), nil }
func (scripted) Close() error                { return nil }

// FuzzStream gives the bytes of a stream, frames and all, to a swarm with a core
// of ours and one that is being downloaded, both opened by the peer: nothing is
// stored that the key does not sign, and nothing is left of the stream.
func FuzzStream(f *testing.F) {
	pair := hypercore.KeyPairFromSeed([32]byte{5})
	key := hypercore.DefaultManifest(pair.Public).Key()
	framed := func(buf []byte, channel uint64, m wire.Message) []byte {
		at := len(buf)
		buf = wire.AppendMessage(append(buf, make([]byte, wire.FrameHeader)...), channel, m)
		wire.PutFrameLength(buf[at:], len(buf)-at-wire.FrameHeader)
		return buf
	}
	st := storage.Memory()
	flusher := hypercore.NewFlusher(st, nil)
	writer, err := hypercore.Open(flusher, hypercore.Options{Key: key, KeyPair: &pair})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		writer.Close()
		flusher.Close()
		st.Close()
	})
	if _, err := writer.Append(f.Context(), []byte("one"), []byte("two"), []byte("three")); err != nil {
		f.Fatal(err)
	}
	if err := writer.Flush(f.Context()); err != nil {
		f.Fatal(err)
	}
	answer := func(id uint64, q merkle.Request) wire.Message {
		p, err := writer.Prove(q)
		if err != nil {
			f.Fatal(err)
		}
		return wire.Data{ID: id, Proof: *p}
	}
	honest := framed(nil, 2, wire.Sync{Length: 3, CanUpgrade: true, Uploading: true, HasManifest: true})
	honest = framed(honest, 2, wire.Range{Length: 3})
	honest = framed(honest, 2, answer(1, merkle.Request{Manifest: true, Upgrade: &merkle.UpgradeRequest{Length: 3}}))
	honest = framed(honest, 2, answer(2, merkle.Request{Block: &merkle.BlockRequest{Index: 1, Nodes: 1}}))
	f.Add(honest)
	honest = framed(nil, 1, wire.Want{Length: 32})
	honest = framed(honest, 1, wire.Request{ID: 1, Request: merkle.Request{Block: &merkle.BlockRequest{Index: 1, Nodes: 2}}})
	honest = framed(honest, 1, wire.Request{ID: 2, Request: merkle.Request{Hash: &merkle.HashRequest{Index: 1}, Seek: &merkle.SeekRequest{Bytes: 2}}})
	honest = framed(honest, 0, wire.Close{Channel: 1})
	f.Add(append(honest, 0, 0, 0))
	f.Add([]byte{0xff, 0xff, 0xff, 1, 2, 3})
	f.Fuzz(func(t *testing.T, stream []byte) {
		n := newNode(t, "fuzzed")
		mine := n.own("mine", numbered(9)...)
		n.swarm.Attach(mine, AttachOptions{})
		replica, _ := n.replica(key, AttachOptions{Download: true})
		var opened []byte
		for i, k := range []hypercore.Key{mine.Key(), key} {
			d, h := k.Discovery(), wire.Handshake{Seeks: true, Capability: hypercore.Capability(k, make([]byte, 64), false)}
			opened = framed(opened, 0, wire.Open{Channel: uint64(i + 1), Protocol: wire.Protocol, ID: d[:], Handshake: h.Append(nil)})
		}
		err := n.swarm.Serve(t.Context(), Conn{Stream: scripted{bytes.NewReader(append(opened, stream...))}, Initiator: true, Peer: "fuzz"})
		if !errors.Is(err, ErrMisbehaved) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("ended with %v", err)
		}
		if i := mine.Info(); i.Length != 9 || i.Fork != 0 || i.Conflict {
			t.Fatalf("mine is %+v", i)
		}
		if i := replica.Info(); i.Length != 0 && i.Length != 3 || i.Fork != 0 || i.Failed != nil {
			t.Fatalf("the replica is %+v", i)
		}
		for i, want := range []string{"one", "two", "three"} {
			if !replica.Has(uint64(i)) {
				continue
			}
			if b, err := replica.Block(uint64(i)); err != nil || string(b) != want {
				t.Fatalf("block %d is %q, %v", i, b, err)
			}
		}
		if peers, _ := n.swarm.CorePeers(mine.DiscoveryKey()); peers != 0 || len(n.swarm.Peers()) != 0 {
			t.Fatal("something is left of the peer")
		}
	})
}
