package replicate

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// foe is a hostile peer of a whole swarm. It knows the keys of two cores: mine,
// which the victim has, on channel 1, and theirs, which the victim downloads, on
// channel 2.
type foe struct {
	stream net.Conn
	mine   *hypercore.Core
	theirs *hypercore.Core          // as its writer has it
	asked  func(*foe, wire.Request) // on channel 2; nil: nothing is answered
}

func (f *foe) send(channel uint64, m wire.Message) error {
	b := wire.AppendMessage(make([]byte, wire.FrameHeader), channel, m)
	wire.PutFrameLength(b, len(b)-wire.FrameHeader)
	_, err := f.stream.Write(b)
	return err
}

func (f *foe) open(id uint64, key hypercore.Key) error {
	d, h := key.Discovery(), wire.Handshake{Seeks: true, Capability: hypercore.Capability(key, make([]byte, 64), false)}
	return f.send(0, wire.Open{Channel: id, Protocol: wire.Protocol, ID: d[:], Handshake: h.Append(nil)})
}

// keepAlive says nothing, for long.
func (f *foe) keepAlive() {
	every(wire.KeepAlive, 1000, func(uint64) error {
		_, err := f.stream.Write(make([]byte, wire.FrameHeader))
		return err
	})
}

// announce says that all of theirs is here.
func (f *foe) announce(length uint64) {
	f.send(2, wire.Sync{Length: length, CanUpgrade: true, Uploading: true, HasManifest: true})
	f.send(2, wire.Range{Length: length})
}

// read takes what comes, until the stream ends, and keeps none of it.
func (f *foe) read() {
	r := bufio.NewReader(f.stream)
	var head [wire.FrameHeader]byte
	ids := map[uint64]uint64{} // the victim's channels: which of ours
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		frame := make([]byte, wire.FrameLength(head[:]))
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		wire.EachMessage(frame, func(channel, typ uint64, payload []byte) error {
			switch {
			case channel == 0 && typ == wire.TypeOpen:
				o, err := wire.ParseOpen(payload)
				if d := f.theirs.DiscoveryKey(); err == nil && bytes.Equal(o.ID, d[:]) {
					ids[o.Channel] = 2
				}
			case channel != 0 && typ == wire.TypeRequest && ids[channel] == 2 && f.asked != nil:
				if q, err := wire.ParseRequest(payload); err == nil {
					f.asked(f, q)
				}
			case channel != 0 && typ == wire.TypeSync && ids[channel] == 2 && f.asked != nil:
				if s, err := wire.ParseSync(payload); err == nil { // without its length in ours nothing is asked
					f.send(2, wire.Sync{Length: foeLength, RemoteLength: s.Length, CanUpgrade: true, Uploading: true, HasManifest: true})
				}
			}
			return nil
		})
	}
}

// head answers requests for the head as they should be.
func (f *foe) head(q wire.Request) bool {
	if q.Upgrade == nil {
		return false
	}
	if proof, err := f.theirs.Prove(q.Request); err == nil {
		f.send(2, wire.Data{ID: q.ID, Proof: *proof})
	}
	return true
}

// every calls do again and again until it fails, or often enough.
func every(d time.Duration, times uint64, do func(i uint64) error) {
	for i := range times {
		if do(i) != nil {
			return
		}
		time.Sleep(d)
	}
}

const (
	foeLength = 300
	foeBlock  = 8 << 10
	foeTime   = 20 * time.Second // in which honest peers must have what they want
	foeLasts  = 5 * time.Minute  // an attack
	foeMemory = 24 << 20         // bytes that it may take: a window of requests, queues, a large block as it is sent
)

// Each of these attacks a node that serves one core and downloads another. The
// honest peer beside it gets and gives all in time, the memory stays bounded,
// and the hostile one is dropped, falls silent, or is left aside.
func TestFoes(t *testing.T) {
	onlyHead := func(f *foe, q wire.Request) { f.head(q) }
	for name, c := range map[string]struct {
		attack func(f *foe)
		asked  func(*foe, wire.Request)
		ends   error // nil: it stays
		deaf   bool  // it does not read
	}{
		"frame too large": {ends: ErrMisbehaved, attack: func(f *foe) { f.stream.Write([]byte{0xff, 0xff, 0xff}) }},
		"endless channels": {ends: ErrMisbehaved, attack: func(f *foe) {
			every(time.Millisecond, 30_000, func(i uint64) error { return f.open(3+i%2, hypercore.Key{byte(i), byte(i >> 8)}) })
		}},
		"channels opened and closed": {attack: func(f *foe) {
			every(5*time.Millisecond, 30_000, func(uint64) error {
				f.send(0, wire.Close{Channel: 1})
				return f.open(1, f.mine.Key())
			})
		}},
		"channels of cores that nobody has": {ends: ErrMisbehaved, attack: func(f *foe) {
			every(time.Millisecond, 30_000, func(i uint64) error { return f.open(3+i, hypercore.Key{byte(i), byte(i >> 8)}) })
		}},
		"endless wants": {attack: func(f *foe) {
			every(5*time.Millisecond, 30_000, func(i uint64) error {
				f.send(1, wire.Want{Start: i * wire.WantWindow, Length: wire.WantWindow})
				return f.send(1, wire.Want{Start: i % 64 * 32, Length: 32, Any: i%2 == 0})
			})
		}},
		"requests out of range": {ends: ErrMisbehaved, attack: func(f *foe) {
			every(time.Millisecond, 30_000, func(i uint64) error {
				return f.send(1, wire.Request{ID: i + 1, Request: merkle.Request{Block: &merkle.BlockRequest{Index: 1<<40 + i}}})
			})
		}},
		"requests without end": {ends: ErrMisbehaved, deaf: true, attack: func(f *foe) {
			every(0, 1<<17, func(i uint64) error {
				return f.send(1, wire.Request{ID: i + 1, Request: merkle.Request{Block: &merkle.BlockRequest{Index: i % foeLength}}})
			})
		}},
		"a reader that never reads": {deaf: true, attack: func(f *foe) {
			every(0, 1000, func(i uint64) error {
				return f.send(1, wire.Request{ID: i + 1, Request: merkle.Request{Block: &merkle.BlockRequest{Index: foeLength}}})
			})
		}},
		"answers nobody asked for": {ends: ErrMisbehaved, attack: func(f *foe) {
			every(time.Millisecond, 1000, func(i uint64) error {
				return f.send(2, wire.Data{ID: 1000 + i, Proof: merkle.Proof{Block: &merkle.BlockProof{Value: make([]byte, 1<<20)}}})
			})
		}},
		"bad proofs": {ends: ErrMisbehaved, asked: func(f *foe, q wire.Request) {
			if !f.head(q) && q.Block != nil {
				f.send(2, wire.Data{ID: q.ID, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: q.Block.Index, Value: []byte("no")}}})
			}
		}, attack: func(f *foe) {
			f.announce(foeLength)
		}},
		"a slow drip": {ends: ErrIdle, asked: onlyHead, attack: func(f *foe) {
			f.announce(foeLength)
			time.Sleep(time.Second)
			head := make([]byte, wire.FrameHeader)
			wire.PutFrameLength(head, wire.MaxPlaintext)
			f.stream.Write(head)
			every(time.Second, 1000, func(uint64) error { _, err := f.stream.Write([]byte{0}); return err })
		}},
		"a frame without an end": {ends: ErrIdle, attack: func(f *foe) {
			f.announce(foeLength)
			head := make([]byte, wire.FrameHeader)
			wire.PutFrameLength(head, wire.MaxPlaintext)
			f.stream.Write(append(head, make([]byte, 1<<20)...))
		}},
		"no answers": {attack: func(f *foe) {
			f.announce(foeLength)
		}},
		"no answers but the head": {asked: onlyHead, attack: func(f *foe) {
			f.announce(foeLength)
		}},
		"blocks that it never has": {asked: func(f *foe, q wire.Request) {
			if !f.head(q) {
				f.send(2, wire.NoData{ID: q.ID, Reason: wire.ReasonNotAvailable})
			}
		}, attack: func(f *foe) {
			f.announce(foeLength)
			every(10*time.Millisecond, 30_000, func(uint64) error { return f.send(2, wire.Range{Length: foeLength}) })
		}},
		"a length that never comes": {attack: func(f *foe) {
			every(10*time.Millisecond, 30_000, func(i uint64) error {
				f.send(2, wire.Sync{Length: 1<<50 + i, RemoteLength: i % foeLength, CanUpgrade: true, Uploading: true, HasManifest: true})
				return f.send(2, wire.Range{Start: i << 20, Length: 1 << 40})
			})
		}},
		"forks without end": {attack: func(f *foe) {
			every(10*time.Millisecond, 30_000, func(i uint64) error {
				return f.send(2, wire.Sync{Fork: i, Length: i, CanUpgrade: true, Uploading: true, HasManifest: true})
			})
		}},
		"bitfields without end": {attack: func(f *foe) {
			every(10*time.Millisecond, 30_000, func(i uint64) error {
				return f.send(2, wire.Bitfield{Start: i << 15, Words: []uint32{0x55555555}})
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { against(t, c.attack, c.asked, c.ends, c.deaf) })
		})
	}
}

func against(t *testing.T, attack func(*foe), asked func(*foe, wire.Request), ends error, deaf bool) {
	victim, honest := newNode(t, "victim"), newNode(t, "honest")
	mine := victim.own("mine", append(sized(foeLength, foeBlock), make([]byte, 4<<20))...)
	theirs := honest.own("theirs", sized(foeLength, foeBlock)...)
	victim.swarm.Attach(mine, AttachOptions{})
	taken, _ := victim.replica(theirs.Key(), AttachOptions{Download: true})
	given, _ := honest.replica(mine.Key(), AttachOptions{Download: true})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)

	x, y := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- victim.swarm.Serve(t.Context(), Conn{Stream: x, Initiator: true, Peer: "foe"}) }()
	f := &foe{stream: y, mine: mine, theirs: theirs, asked: asked}
	if !deaf {
		go f.read()
	}
	f.open(1, mine.Key())
	f.open(2, theirs.Key())
	f.send(1, wire.Sync{Downloading: true, Uploading: true})
	var attacking sync.WaitGroup
	attacking.Go(func() {
		attack(f)
		if ends != ErrIdle {
			f.keepAlive()
		}
	})
	defer attacking.Wait()
	defer y.Close()
	time.Sleep(100 * time.Millisecond)

	began := time.Now()
	honest.swarm.Attach(theirs, AttachOptions{})
	connect(t, victim, honest)
	for what, c := range map[string]*hypercore.Core{"what the victim gives": given, "what the victim takes": taken} {
		length := uint64(foeLength)
		if c == given {
			length++
		}
		if took := fetched(t, c, length, began); took > foeTime {
			t.Errorf("%s took %v", what, took)
		}
	}
	time.Sleep(foeLasts)
	runtime.GC()
	runtime.ReadMemStats(&after)
	kept := int64(mine.Info().ByteLength + theirs.Info().ByteLength) // the copies, in memory too
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc) - kept; grown > foeMemory {
		t.Errorf("%d bytes more after the attack", grown)
	}
	select {
	case err := <-ended:
		if ends == nil || !errors.Is(err, ends) {
			t.Errorf("ended with %v, want %v", err, ends)
		}
	default:
		if ends != nil {
			t.Errorf("not dropped, want %v", ends)
		}
	}
	if i := mine.Info(); i.Length != foeLength+1 || i.Fork != 0 {
		t.Errorf("mine changed: %+v", i)
	}
}
