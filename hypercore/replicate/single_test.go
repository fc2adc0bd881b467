package replicate

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/wire"
)

// recorded keeps what is written to a stream.
type recorded struct {
	io.ReadWriteCloser
	mu    sync.Mutex
	wrote []byte
}

func (r *recorded) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.wrote = append(r.wrote, p...)
	r.mu.Unlock()
	return r.ReadWriteCloser.Write(p)
}

// mostRequests is the largest number of requests in one frame.
func (r *recorded) mostRequests(t *testing.T) (most int) {
	t.Helper()
	r.mu.Lock()
	wrote := bytes.Clone(r.wrote)
	r.mu.Unlock()
	for len(wrote) > 0 {
		n := wire.FrameHeader + wire.FrameLength(wrote)
		requests := 0
		err := wire.EachMessage(wrote[wire.FrameHeader:n], func(channel, typ uint64, _ []byte) error {
			if channel != wire.ControlChannel && typ == wire.TypeRequest {
				requests++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, requests)
		wrote = wrote[n:]
	}
	return most
}

// Requests share frames, but not towards a peer that cannot take it.
func TestSingle(t *testing.T) {
	for _, single := range []bool{false, true} {
		w, r := newNode(t, "writer"), newNode(t, "reader")
		core := w.own("core", numbered(2000)...)
		w.swarm.Attach(core, AttachOptions{})
		replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
		x, y := net.Pipe()
		stream := &recorded{ReadWriteCloser: x}
		l := serveBoth(t, r, w, Conn{Stream: stream, Single: single}, Conn{Stream: y})
		until(t, replica, "all blocks", func(i hypercore.Info) bool { return i.Length == 2000 && i.Contiguous == 2000 })
		l.cut()
		if most := stream.mostRequests(t); (most == 1) != single {
			t.Errorf("single is %v, and a frame has up to %d requests", single, most)
		}
	}
}
