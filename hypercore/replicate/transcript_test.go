package replicate

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"golang.org/x/crypto/blake2b"

	"multicore/hypercore"
	"multicore/hypercore/wire"
)

// transcript is a session recorded between two JavaScript processes: a writer
// of three blocks, who appends a fourth, and a reader of blocks 1 and 3.
type transcript struct {
	key    hypercore.Key
	hash   [64]byte
	frames map[int][]byte // by number in the transcript
}

func loadTranscript(t *testing.T) transcript {
	raw, err := os.ReadFile("testdata/transcript.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Key, HandshakeHash string
		Frames             []struct {
			N   int
			Hex string
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	out := transcript{frames: make(map[int][]byte)}
	out.key, err = hypercore.ParseKey(file.Key)
	if err != nil {
		t.Fatal(err)
	}
	hex.Decode(out.hash[:], []byte(file.HandshakeHash))
	for _, f := range file.Frames {
		if out.frames[f.N], err = hex.DecodeString(f.Hex); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.frames) != 19 {
		t.Fatalf("%d frames, want 19", len(out.frames))
	}
	return out
}

// request waits for the n-th request that a replicating side sent.
func (p *rawPeer) request(n int) (q wire.Request) {
	p.t.Helper()
	if !p.wait("a request", func(got []rawMessage) bool {
		k := 0
		for _, m := range got {
			if m.channel == 0 || m.typ != wire.TypeRequest {
				continue
			}
			if k == n {
				q, _ = wire.ParseRequest(m.payload)
				return true
			}
			k++
		}
		return false
	}) {
		p.t.Fatalf("stream ended before request %d", n)
	}
	return q
}

// reply sends a recorded data frame under the id of q.
func (p *rawPeer) reply(frame []byte, q wire.Request) {
	p.t.Helper()
	wire.EachMessage(frame, func(channel, typ uint64, payload []byte) error {
		d, err := wire.ParseData(payload)
		if err != nil || typ != wire.TypeData {
			p.t.Fatalf("frame is no data: %v", err)
		}
		d.ID = q.ID
		return p.send(channel, d)
	})
}

// The JavaScript writer's frames make our reader learn and read the core.
func TestTranscriptAsReader(t *testing.T) {
	rec := loadTranscript(t)
	r := newNode(t, "reader")
	replica, _ := r.replica(rec.key, AttachOptions{})
	x, y := rawPipe()
	go r.swarm.Serve(t.Context(), Conn{Stream: x, Initiator: true, HandshakeHash: rec.hash, Peer: "js"})
	p := newRawPeer(t, y, rec.hash)

	p.frame(rec.frames[2])
	p.wait("our open", func(got []rawMessage) bool {
		if len(got) == 0 {
			return false
		}
		var want []byte
		wire.EachMessage(rec.frames[1], func(_, _ uint64, payload []byte) error {
			want = payload
			return nil
		})
		if !bytes.Equal(got[0].payload, want) {
			t.Errorf("our open: %x, want that of JavaScript, %x", got[0].payload, want)
		}
		return true
	})
	p.frame(rec.frames[4])
	p.frame(rec.frames[5])
	q := p.request(0)
	if q.Upgrade == nil || q.Upgrade.Start != 0 || q.Upgrade.Length != 3 || !q.Manifest || q.Block != nil {
		t.Fatalf("first request %+v, want upgrade 0+3 and the manifest", q)
	}
	p.reply(rec.frames[7], q)
	until(t, replica, "the head", func(i hypercore.Info) bool { return i.Length == 3 })
	p.frame(rec.frames[10])

	read := func(i uint64, want string, n, frame int, nodes uint64) {
		t.Helper()
		done := make(chan struct{})
		go func() {
			defer close(done)
			get(t, replica, i, want)
		}()
		q := p.request(n)
		if q.Block == nil || q.Block.Index != i || q.Block.Nodes != nodes || q.Priority != 1 {
			t.Errorf("request %+v, want block %d with %d nodes", q, i, nodes)
		}
		p.reply(rec.frames[frame], q)
		<-done
	}
	read(1, "block 1", 1, 12, 1)
	p.frame(rec.frames[13])
	p.frame(rec.frames[14])
	q = p.request(2)
	if q.Upgrade == nil || q.Upgrade.Start != 3 || q.Upgrade.Length != 1 || q.Manifest {
		t.Fatalf("request after the append %+v, want upgrade 3+1 alone", q)
	}
	p.reply(rec.frames[16], q)
	until(t, replica, "the new head", func(i hypercore.Info) bool { return i.Length == 4 })
	read(3, "live 3", 3, 19, 0)
}

// Our writer answers the JavaScript reader's frames as JavaScript did.
func TestTranscriptAsWriter(t *testing.T) {
	rec := loadTranscript(t)
	w := newNode(t, "writer")
	var primary [32]byte
	for i := range primary {
		primary[i] = byte(i)
	}
	label := blake2b.Sum256([]byte("corestore"))
	ns := blake2b.Sum256(append(label[:], 0))
	h, _ := blake2b.New256(primary[:])
	h.Write(ns[:])
	h.Write(make([]byte, 32))
	h.Write([]byte("core-1"))
	pair := hypercore.KeyPairFromSeed([32]byte(h.Sum(nil)))
	core := w.open(hypercore.Options{Key: rec.key, KeyPair: &pair})
	w.add(core, numbered(3)...)
	w.swarm.Attach(core, AttachOptions{})

	x, y := rawPipe()
	go w.swarm.Serve(t.Context(), Conn{Stream: x, HandshakeHash: rec.hash, Peer: "js"})
	p := newRawPeer(t, y, rec.hash)
	seen := func(n int) { // our message equals that in the recorded frame
		t.Helper()
		wire.EachMessage(rec.frames[n], func(channel, typ uint64, want []byte) error {
			if !p.wait("frame "+string(rune('0'+n)), func(got []rawMessage) bool {
				for _, m := range got {
					if m.channel == channel && m.typ == typ && bytes.Equal(m.payload, want) {
						return true
					}
				}
				return false
			}) {
				t.Fatalf("stream ended before frame %d", n)
			}
			return nil
		})
	}
	p.frame(rec.frames[1])
	seen(2)
	seen(4)
	p.frame(rec.frames[3])
	seen(5)
	p.frame(rec.frames[6])
	seen(7)
	p.frame(rec.frames[8])
	p.frame(rec.frames[9])
	p.frame(rec.frames[11])
	seen(12)
	w.add(core, []byte("live 3"))
	seen(13)
	seen(14)
	p.frame(rec.frames[15])
	seen(16)
	p.frame(rec.frames[17])
	p.frame(rec.frames[18])
	seen(19)
}
