package replicate

import (
	"errors"
	"io"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// FuzzMachine gives frames to a machine with two cores, one of them ours, both
// open on channels 1 and 2, and looks at the books afterwards.
func FuzzMachine(f *testing.F) {
	rec := [][]byte{}
	for _, m := range []wire.Message{
		wire.Sync{Length: 9, CanUpgrade: true, Uploading: true, HasManifest: true},
		wire.Sync{Fork: 2, Length: 5, Downloading: true},
		wire.Range{Length: 9}, wire.Range{Start: 3, Length: 4, Drop: true}, wire.Range{Start: 1 << 40, Length: 1 << 50},
		wire.Bitfield{Start: 32, Words: []uint32{1, 2, 3}}, wire.Want{Length: 64}, wire.Want{Length: 64, Any: true}, wire.Unwant{Length: 64},
		wire.Request{ID: 1, Request: merkle.Request{Block: &merkle.BlockRequest{Index: 1}}, Priority: 1},
		wire.Request{ID: 2, Request: merkle.Request{Fork: 9, Manifest: true}},
		wire.Cancel{ID: 1}, wire.NoData{ID: 1, Reason: 1}, wire.NoData{ID: 2},
		wire.Data{ID: 1, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: 0}}},
		wire.Data{ID: 1, Proof: merkle.Proof{Upgrade: &merkle.UpgradeProof{Length: 9}}},
	} {
		rec = append(rec, wire.AppendMessage(nil, 1, m), wire.AppendMessage(nil, 2, m))
	}
	rec = append(rec, wire.AppendMessage(nil, 0, wire.Close{Channel: 1}), wire.AppendMessage(nil, 0, wire.Reject{Channel: 1}),
		wire.AppendMessage(nil, 0, wire.Open{Channel: 3, Protocol: wire.Protocol, ID: make([]byte, 32), Handshake: make([]byte, 33)}))
	for i := range rec {
		var stream []byte
		for _, frame := range rec[:i+1] {
			stream = append(append(stream, byte(len(frame))), frame...)
		}
		f.Add(stream)
		stream = append(append([]byte(nil), byte(len(rec[i]))), rec[i]...)
		f.Add(stream)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := newRig(nil, true)
		mine := &stub{key: hypercore.Key{2}, own: true}
		mine.head.Length, mine.head.Contiguous = 100, 100
		own := r.m.addCore(mine.key.Discovery(), mine.key, mine)
		r.m.attach(own, &attachment{}, r.now)
		s := New(Options{})
		s.machine = r.m
		c := &conn{swarm: s, meter: s.NewMeter(), kicked: make(chan struct{}, 1)}
		c.peer = r.m.addPeer("fuzz", true, [64]byte{}, time.Now())
		for i, k := range []*core{r.c, own} {
			if c.peer.admit(uint64(i+1)) != nil || r.m.bind(c.peer, uint64(i+1), k, true, time.Now()) != nil {
				t.Fatal("cannot bind")
			}
		}
		fetched := r.m.fetch(r.c, want{forBlock, 4}, time.Now())
		r.m.fetch(r.c, want{forSeek, 40}, time.Now())
		for len(stream) > 0 {
			n := min(int(stream[0]), len(stream)-1)
			frame := stream[1 : 1+n]
			stream = stream[1+n:]
			err := c.frame(frame)
			for i := 0; ; i++ {
				list := r.m.next(c.peer, flushAt)
				if len(list) == 0 {
					break
				}
				if i > 10_000 {
					t.Fatal("there is always more to send")
				}
			}
			for r.m.nextServed(c.peer) != nil {
			}
			if err != nil {
				if !errors.Is(err, ErrMisbehaved) && !errors.Is(err, wire.ErrMalformed) && err != io.EOF {
					t.Fatalf("odd error %v", err)
				}
				break
			}
		}
		r.m.tick(time.Now().Add(stallAfter + time.Second))
		r.m.leave(r.c, fetched, time.Now())
		r.m.removePeer(c.peer, time.Now())
		p := c.peer
		if p.inflight != 0 || p.inflightSize != 0 || p.pages != maxPages || p.wants != 0 || p.waiting != 0 ||
			len(r.c.inflight) != 0 || len(r.c.channels) != 0 || r.c.upgrade != nil {
			t.Fatalf("books: %d requests of %d bytes, %d pages, %d wants, %d served", p.inflight, p.inflightSize, p.pages, p.wants, p.waiting)
		}
	})
}
