package replicate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/wire"
)

// crowd is a machine with many attached cores of one block.
func crowd(n int) (m *machine, list []*attachment, now time.Time) {
	m, now = newMachine(1), time.Unix(1_000_000, 0)
	for i := range n {
		log := &stub{own: true}
		binary.LittleEndian.PutUint64(log.key[:], uint64(i)+1)
		log.head.Length, log.head.Contiguous = 1, 1
		a := new(attachment)
		m.attach(m.addCore(log.key.Discovery(), log.key, log), a, now)
		list = append(list, a)
	}
	return m, list, now
}

// openAll opens every core from the side of the peer, and takes what is sent to it.
func openAll(t *testing.T, m *machine, p *peer, now time.Time) {
	t.Helper()
	for i, c := range m.order {
		id := uint64(i) + 1
		if err := p.admit(id); err != nil {
			t.Fatal(err)
		}
		if err := m.bind(p, id, c, true, now); err != nil {
			t.Fatal(err)
		}
		if _, err := m.receive(p, id, wire.Sync{Length: 1, RemoteLength: 1, Uploading: true, Downloading: true}, now); err != nil {
			t.Fatal(err)
		}
		if _, err := m.receive(p, id, wire.Range{Length: 1}, now); err != nil {
			t.Fatal(err)
		}
	}
	for len(m.next(p, flushAt)) > 0 {
	}
}

func heapNow() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestMostChannels: as many channels as a peer may open cost a bounded amount of
// memory each, one more ends the stream, the clock looks at none of them, and
// all of it is given back.
func TestMostChannels(t *testing.T) {
	empty := heapNow()
	m, list, now := crowd(maxChannels)
	cores := heapNow()
	p := m.addPeer("a", true, [64]byte{}, now)
	openAll(t, m, p, now)
	full := heapNow()
	perCore, perChannel := (cores-empty)/maxChannels, (full-cores)/maxChannels
	t.Logf("%d bytes a core (with the test's own), %d bytes a channel", perCore, perChannel)
	if perCore > 1024 || perChannel > 1024 {
		t.Errorf("%d bytes a core and %d a channel, want at most 1024 each", perCore, perChannel)
	}
	if len(p.order) != maxChannels || len(p.channels) != maxChannels {
		t.Fatalf("%d channels are open", len(p.order))
	}
	more := &stub{key: hypercore.Key{255, 255, 255, 255}}
	c := m.addCore(more.key.Discovery(), more.key, more)
	if err := m.bind(p, maxChannels+1, c, true, now); !errors.Is(err, ErrMisbehaved) {
		t.Errorf("one channel more: got %v, want ErrMisbehaved", err)
	}
	m.forget(c)

	if n := testing.AllocsPerRun(10, func() {
		now = now.Add(tickEvery)
		p.heard = now
		m.tick(now)
	}); n > 10 || len(m.busy) > 0 {
		t.Errorf("a tick allocates %v times and looks at %d cores", n, len(m.busy))
	}

	for i, a := range list {
		if i%2 == 0 { // we close, or the peer does
			m.closed(p, uint64(i)+1, now)
		}
		log := &stub{own: true}
		binary.LittleEndian.PutUint64(log.key[:], uint64(i)+1)
		m.detach(m.cores[log.key.Discovery()], a, nil, now)
	}
	if len(m.cores)+len(m.order)+len(p.channels)+len(p.order)+len(p.bound)+len(p.locals) > 0 {
		t.Errorf("%d cores, %d channels are left", len(m.order), len(p.channels))
	}
	if err := p.overrun(); err != nil {
		t.Errorf("closing all: %v", err)
	}
	runtime.KeepAlive(m)
}

// writes counts the writes to a stream.
type writes struct {
	net.Conn
	n atomic.Int64
}

func (w *writes) Write(p []byte) (int, error) {
	w.n.Add(1)
	return w.Conn.Write(p)
}

// TestManyOpensAreOneBurst: the cores that are attached when a stream begins are
// opened together, and so is all that follows; no core waits for another.
func TestManyOpensAreOneBurst(t *testing.T) {
	const count = 2000
	w, r := newNode(t, "writer"), newNode(t, "reader")
	var replicas []*hypercore.Core
	var attached []*Attachment
	for i := range count {
		core := w.own(fmt.Sprint("core ", i))
		if _, err := core.Append(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		attached = append(attached, w.swarm.Attach(core, AttachOptions{}))
		replica, a := r.replica(core.Key(), AttachOptions{Download: true})
		replicas, attached = append(replicas, replica), append(attached, a)
	}
	if err := w.flusher.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	x, y := tcpPair(t)
	a, b := &writes{Conn: x}, &writes{Conn: y}
	l := connectOver(t, w, r, a, b)
	for _, c := range replicas {
		until(t, c, "its block", func(i hypercore.Info) bool { return i.Contiguous == 1 })
	}
	t.Logf("%d + %d writes for %d cores", a.n.Load(), b.n.Load(), count)
	if n := a.n.Load() + b.n.Load(); n > count/4 {
		t.Errorf("%d writes for %d cores", n, count)
	}
	if n := runtime.NumGoroutine() - before; n > 20 {
		t.Errorf("%d goroutines for %d cores", n, count)
	}
	for _, a := range attached {
		a.Detach()
	}
	for {
		changed := w.swarm.Changed()
		w.swarm.mu.Lock()
		left := len(w.swarm.machine.peers[0].order)
		w.swarm.mu.Unlock()
		if left == 0 {
			break
		}
		select {
		case <-changed:
		case <-deadline(t).Done():
			t.Fatalf("%d channels are still open", left)
		}
	}
	l.cut()
}
