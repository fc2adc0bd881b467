package replicate

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/wire"
)

// rawPeer speaks frames by hand, as the responder of a stream.
type rawPeer struct {
	t      testing.TB
	stream io.ReadWriteCloser
	hash   [64]byte

	mu     sync.Mutex
	got    []rawMessage
	ended  bool
	notify chan struct{}
}

type rawMessage struct {
	channel, typ uint64
	payload      []byte
}

func rawPipe() (net.Conn, net.Conn) { return net.Pipe() }

func newRawPeer(t testing.TB, stream io.ReadWriteCloser, hash [64]byte) *rawPeer {
	p := &rawPeer{t: t, stream: stream, hash: hash, notify: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.read()
	}()
	t.Cleanup(func() {
		stream.Close()
		<-done
	})
	return p
}

func (p *rawPeer) changed() {
	close(p.notify)
	p.notify = make(chan struct{})
}

func (p *rawPeer) read() {
	r := bufio.NewReader(p.stream)
	for {
		var head [3]byte
		_, err := io.ReadFull(r, head[:])
		frame := make([]byte, wire.FrameLength(head[:]))
		if err == nil {
			_, err = io.ReadFull(r, frame)
		}
		p.mu.Lock()
		if err != nil {
			p.ended = true
			p.changed()
			p.mu.Unlock()
			return
		}
		wire.EachMessage(frame, func(channel, typ uint64, payload []byte) error {
			p.got = append(p.got, rawMessage{channel, typ, bytes.Clone(payload)})
			return nil
		})
		p.changed()
		p.mu.Unlock()
	}
}

// wait waits until ok holds for what came; false where the stream ended first.
func (p *rawPeer) wait(what string, ok func(got []rawMessage) bool) bool {
	p.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		p.mu.Lock()
		hit, ended, notify := ok(p.got), p.ended, p.notify
		p.mu.Unlock()
		if hit || ended {
			return hit
		}
		select {
		case <-notify:
		case <-timeout:
			p.t.Fatalf("waiting for %s", what)
		}
	}
}

// openedIDs waits for n opens and gives all cores opened.
func (p *rawPeer) openedIDs(n int) (ids []hypercore.DiscoveryKey) {
	p.t.Helper()
	p.wait("opens", func(got []rawMessage) bool {
		ids = ids[:0]
		for _, m := range got {
			if o, err := wire.ParseOpen(m.payload); m.channel == 0 && m.typ == wire.TypeOpen && err == nil {
				ids = append(ids, hypercore.DiscoveryKey(o.ID))
			}
		}
		return len(ids) >= n
	})
	return ids
}

// count counts messages of a type, of the control channel or of others.
func (p *rawPeer) count(control bool, typ uint64) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.got {
		if (m.channel == 0) == control && m.typ == typ {
			n++
		}
	}
	return n
}

func (p *rawPeer) frame(b []byte) error {
	f := append(make([]byte, wire.FrameHeader), b...)
	wire.PutFrameLength(f, len(b))
	_, err := p.stream.Write(f)
	return err
}

func (p *rawPeer) send(channel uint64, m wire.Message) error {
	return p.frame(wire.AppendMessage(nil, channel, m))
}

func (p *rawPeer) open(id uint64, key hypercore.Key) error {
	return p.openWith(id, key.Discovery(), hypercore.Capability(key, p.hash[:], false))
}

func (p *rawPeer) openWith(id uint64, d hypercore.DiscoveryKey, capability [32]byte) error {
	h := wire.Handshake{Seeks: true, Capability: capability}
	return p.send(0, wire.Open{Channel: id, Protocol: wire.Protocol, ID: d[:], Handshake: h.Append(nil)})
}

// failing remembers the first error of Write.
type failing struct {
	io.ReadWriteCloser
	err error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.ReadWriteCloser.Write(p)
	f.err = err
	return n, err
}
