package p2p

import (
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/replicate"
	"multicore/hypercore/storage"
	"multicore/hypercore/wire"
	"multicore/p2p/secretstream"
)

// heap is what is allocated and reachable.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestNeverReads: a peer that asks for large blocks without end and reads none,
// though it is alive, costs one of them, and its stream ends.
func TestNeverReads(t *testing.T) {
	for _, kind := range []string{"libp2p", "secret stream"} {
		synctest.Test(t, func(t *testing.T) {
			st := storage.Memory()
			f := hypercore.NewFlusher(st, nil)
			pair := hypercore.KeyPairFromSeed([32]byte{3})
			core, err := hypercore.Open(f, hypercore.Options{Key: hypercore.DefaultManifest(pair.Public).Key(), KeyPair: &pair})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				core.Close()
				f.Close()
				st.Close()
			}()
			for range 4 {
				if _, err := core.Append(t.Context(), make([]byte, hypercore.MaxBlock)); err != nil {
					t.Fatal(err)
				}
			}
			if err := core.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			swarm := replicate.New(replicate.Options{})
			defer swarm.Close()
			swarm.Attach(core, replicate.AttachOptions{})

			x, y := net.Pipe()
			defer y.Close()
			ours := replicate.Conn{Stream: &bounded{Stream: pipeStream{pipe: x}}, Initiator: true, Peer: "foe"}
			theirs := io.ReadWriter(y)
			if kind != "libp2p" {
				var both sync.WaitGroup
				both.Go(func() {
					s, err := secretstream.Handshake(t.Context(), y, secretstream.Options{WriteTimeout: time.Hour})
					if err != nil {
						t.Error(err)
					}
					theirs = s
				})
				s, err := secretstream.Handshake(t.Context(), x, secretstream.Options{Initiator: true})
				if err != nil {
					t.Fatal(err)
				}
				both.Wait()
				ours.Stream, ours.HandshakeHash, ours.Single = s, s.HandshakeHash(), true
			}
			before, began := heap(), time.Now()
			ended := make(chan error, 1)
			go func() { ended <- swarm.Serve(t.Context(), ours) }()
			send := func(channel uint64, m wire.Message) error {
				b := wire.AppendMessage(make([]byte, wire.FrameHeader), channel, m)
				wire.PutFrameLength(b, len(b)-wire.FrameHeader)
				_, err := theirs.Write(b)
				return err
			}
			d := core.DiscoveryKey()
			h := wire.Handshake{Seeks: true, Capability: hypercore.Capability(core.Key(), ours.HandshakeHash[:], false)}
			send(0, wire.Open{Channel: 1, Protocol: wire.Protocol, ID: d[:], Handshake: h.Append(nil)})
			for i := range uint64(1000) {
				send(1, wire.Request{ID: i + 1, Request: merkle.Request{Block: &merkle.BlockRequest{Index: i % 4}}})
			}
			alive := make(chan struct{})
			go func() {
				defer close(alive)
				for send(0, wire.Close{Channel: 99}) == nil {
					time.Sleep(wire.KeepAlive)
				}
			}()
			time.Sleep(2 * time.Minute)
			if grown := heap() - before; grown > 4*hypercore.MaxBlock {
				t.Errorf("%s: %d bytes more", kind, grown)
			}
			err = <-ended
			if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took > writeTimeout+time.Minute {
				t.Errorf("%s: ended with %v after %v", kind, err, took)
			}
			<-alive
			if grown := heap() - before; grown > hypercore.MaxBlock {
				t.Errorf("%s: %d bytes are left", kind, grown)
			}
		})
	}
}

// pipeStream is what a bounded stream needs of a libp2p stream.
type pipeStream struct {
	network.Stream
	pipe net.Conn
}

func (p pipeStream) Read(b []byte) (int, error)         { return p.pipe.Read(b) }
func (p pipeStream) Write(b []byte) (int, error)        { return p.pipe.Write(b) }
func (p pipeStream) SetDeadline(t time.Time) error      { return p.pipe.SetDeadline(t) }
func (p pipeStream) SetReadDeadline(t time.Time) error  { return p.pipe.SetReadDeadline(t) }
func (p pipeStream) SetWriteDeadline(t time.Time) error { return p.pipe.SetWriteDeadline(t) }
func (p pipeStream) Close() error                       { return p.pipe.Close() }

// TestHypercoreHostile: half-open connections, garbage and handshakes that never
// end take little memory, and an honest peer is served meanwhile.
func TestHypercoreHostile(t *testing.T) {
	sw := newFakeSwarm()
	n := startTCP(t, sw, "127.0.0.1:0", nil)
	addr := n.Status().HypercoreTCP
	honest := newFakeSwarm()
	other := startTest(t, honest, nil) // before the memory is measured
	before := heap()
	var attacks sync.WaitGroup
	stop := make(chan struct{})
	for i := range 60 {
		attacks.Go(func() {
			for {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				switch i % 3 {
				case 0: // says nothing
				case 1: // garbage, again and again
					garbage := make([]byte, 4096)
					rand.Read(garbage)
					c.Write(garbage)
					c.SetReadDeadline(time.Now().Add(patience))
					io.Copy(io.Discard, c)
				case 2: // half of the first message
					c.Write(append([]byte{32, 0, 0}, make([]byte, 16)...))
				}
				if i%3 == 1 {
					c.Close()
					select {
					case <-stop:
						return
					default:
						continue
					}
				}
				<-stop
				c.Close()
				return
			}
		})
	}
	until(t, "the attack has begun", func() bool {
		n.javascript.mu.Lock()
		defer n.javascript.mu.Unlock()
		return sum(n.javascript.newcomers) >= 40
	})
	served := make(chan error, 1)
	go func() { served <- other.javascript.dial(t.Context(), addr, func() {}) }()
	until(t, "an honest peer is served", func() bool { return honest.anyPeer() != "" && sw.anyPeer() != "" }, honest.Changed, sw.Changed)
	if grown := heap() - before; grown > 32<<20 { // libp2p's own nodes settle meanwhile
		t.Errorf("%d bytes more", grown)
	}
	if sw.count() != 1 {
		t.Errorf("%d streams were served", sw.count())
	}
	close(stop)
	attacks.Wait()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	<-served
}
