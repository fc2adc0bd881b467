package replicate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/wire"
)

// limited is a node with limits.
func limited(t testing.TB, name string, o Options) *node {
	n := newNode(t, name)
	o.Directory, o.Log = n, n.swarm.logger
	n.swarm.Close()
	n.swarm = New(o)
	return n
}

// sized makes n blocks of a size, each its own.
func sized(n, size int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = bytes.Repeat([]byte{byte(i), byte(i >> 8)}, size/2)
	}
	return blocks
}

// fetched waits until a core is here and gives how long that took.
func fetched(t testing.TB, c *hypercore.Core, length uint64, began time.Time) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour) // of the bubble
	defer cancel()
	for {
		changed := c.Changed()
		if i := c.Info(); i.Contiguous == length {
			return time.Since(began)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("not here after a day: %+v", c.Info())
		}
	}
}

// near says whether got is want, to a part of it.
func near(got, want time.Duration, part float64) bool {
	return float64(got) > float64(want)*(1-part) && float64(got) < float64(want)*(1+part)
}

// A download takes as long as its bytes take at the limit, whichever side has
// it, and whatever the size of the blocks.
func TestLimitIsKept(t *testing.T) {
	for name, o := range map[string]struct{ w, r Options }{
		"upload":         {w: Options{UploadLimit: 100_000}},
		"download":       {r: Options{DownloadLimit: 100_000}},
		"both":           {Options{UploadLimit: 150_000}, Options{DownloadLimit: 100_000}},
		"fast":           {w: Options{UploadLimit: 50 << 20}},
		"the other ways": {Options{DownloadLimit: 10_000}, Options{UploadLimit: 10_000}},
	} {
		for _, size := range []int{1 << 10, 64 << 10, 4 << 20} {
			total := max(1<<20, size)
			if name == "fast" {
				total = 16 << 20
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, r := limited(t, "writer", o.w), limited(t, "reader", o.r)
					core := w.own("core", sized(total/size, size)...)
					w.swarm.Attach(core, AttachOptions{})
					began := time.Now()
					replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
					connect(t, w, r)
					took := fetched(t, replica, uint64(total/size), began)
					sent := w.swarm.Peers()[0].Sent
					rate := int64(100_000)
					switch name {
					case "fast":
						rate = 50 << 20
					case "the other ways": // what asks is small
						if took > 15*time.Second {
							t.Errorf("took %v", took)
						}
						return
					}
					want := time.Duration(float64(int64(sent)-rate/limitBurst) / float64(rate) * float64(time.Second))
					if !near(took, want, 0.02) {
						t.Errorf("%d bytes in blocks of %d took %v, want %v", sent, size, took, want)
					}
				})
			})
		}
	}
}

// Streams share a limit evenly, though one carries large blocks and the other
// small ones, and what a third one asks for in between is not kept waiting.
func TestLimitIsShared(t *testing.T) {
	for _, upload := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			const limit = 200_000
			var hub Options
			if upload {
				hub.UploadLimit = limit
			} else {
				hub.DownloadLimit = limit
			}
			h := limited(t, "hub", hub)
			var copies []*hypercore.Core
			for i, size := range []int{512, 1 << 20} {
				other := newNode(t, string(rune('a'+i)))
				from, to := h, other
				if !upload {
					from, to = other, h
				}
				core := from.own(other.name, sized(8<<20/size, size)...)
				from.swarm.Attach(core, AttachOptions{})
				replica, _ := to.replica(core.Key(), AttachOptions{Download: true})
				copies = append(copies, replica)
				connect(t, h, other)
			}
			third := newNode(t, "c")
			from, to := h, third
			if !upload {
				from, to = third, h
			}
			core := from.own("third", sized(100, 1000)...)
			from.swarm.Attach(core, AttachOptions{})
			replica, _ := to.replica(core.Key(), AttachOptions{})
			connect(t, h, third)
			for i := range uint64(10) {
				time.Sleep(2 * time.Second)
				asked := time.Now()
				if _, err := replica.Get(t.Context(), 7*i); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(asked); took > 500*time.Millisecond {
					t.Errorf("a block of 1000 bytes took %v", took)
				}
			}
			var bytes []float64
			for _, p := range h.swarm.Peers()[:2] {
				n := p.Received
				if upload {
					n = p.Sent
				}
				bytes = append(bytes, float64(n))
			}
			if bytes[0] < 0.9*bytes[1] || bytes[1] < 0.9*bytes[0] {
				t.Errorf("shares of %v bytes", bytes)
			}
			if sum := bytes[0] + bytes[1]; sum < 0.9*20*limit || sum > 1.05*(20*limit+limit/limitBurst) {
				t.Errorf("%v bytes in 20 s", sum)
			}
			for _, c := range copies {
				if c.Info().Contiguous == c.Info().Length && c.Info().Length > 0 {
					t.Error("a download was over before the end")
				}
			}
		})
	}
}

// A stream that ends does not wait for its turn.
func TestLimitEndsWithStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{UploadLimit: 10, DownloadLimit: 10})
		for _, read := range []bool{true, false} {
			m := s.NewMeter()
			x, y := net.Pipe()
			over := m.Over(x)
			go io.Copy(io.Discard, y)
			go y.Write(make([]byte, 1000))
			ended := make(chan error, 1)
			go func() {
				var err error
				if read {
					_, err = io.ReadFull(over, make([]byte, 1000))
				} else {
					_, err = over.Write(make([]byte, 1000))
				}
				ended <- err
			}()
			time.Sleep(3 * time.Second)
			began := time.Now()
			m.Close()
			if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(began) > 0 {
				t.Errorf("ended with %v after %v", err, time.Since(began))
			}
			x.Close()
			y.Close()
		}
	})
}

// A reader that is held back holds no more of a large frame than has come.
func TestLimitedReaderMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var before, after runtime.MemStats
		w, r := newNode(t, "writer"), limited(t, "reader", Options{DownloadLimit: 100_000})
		core := w.own("core", sized(4, hypercore.MaxBlock)...)
		w.swarm.Attach(core, AttachOptions{})
		r.replica(core.Key(), AttachOptions{Download: true})
		runtime.GC()
		runtime.ReadMemStats(&before)
		connect(t, w, r)
		time.Sleep(20 * time.Second)
		runtime.GC()
		runtime.ReadMemStats(&after)
		// The writer has one block read and framed; the reader 2 MB of it.
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 3*hypercore.MaxBlock {
			t.Errorf("%d bytes more after 20 s", grown)
		}
	})
}

// The largest block crosses at a low limit, of either side and for several
// readers: nobody takes what is slow for silence, and it is asked for once.
func TestLargestBlockAtLowLimit(t *testing.T) {
	const rate = 10_000
	for _, upload := range []bool{true, false} {
		for _, readers := range []int{1, 3} {
			if !upload && readers > 1 {
				continue // they do not know of each other
			}
			synctest.Test(t, func(t *testing.T) {
				var wo, ro Options
				if upload {
					wo.UploadLimit = int64(rate * readers)
				} else {
					ro.DownloadLimit = rate
				}
				w := limited(t, "writer", wo)
				core := w.own("core", sized(1, hypercore.MaxBlock)...)
				w.swarm.Attach(core, AttachOptions{})
				began := time.Now()
				var all []*node
				var replicas []*hypercore.Core
				for i := range readers {
					r := limited(t, string(rune('a'+i)), ro)
					replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
					connect(t, w, r)
					all, replicas = append(all, r), append(replicas, replica)
				}
				for i, r := range all {
					took := fetched(t, replicas[i], 1, began)
					if want := time.Duration(hypercore.MaxBlock/rate) * time.Second; !near(took, want, 0.05) {
						t.Errorf("took %v, want %v", took, want)
					}
					if n := r.logged.count(""); n != 0 {
						t.Errorf("log: %v", r.logged.lines)
					}
				}
				if n := w.logged.count(""); n != 0 {
					t.Errorf("log: %v", w.logged.lines)
				}
			})
		}
	}
}

// Who sends no answer, but a lot, is relieved, though our limit slows it down.
func TestLimitExcusesNoChatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newNode(t, "writer"), limited(t, "reader", Options{DownloadLimit: 100_000})
		core := w.own("core", numbered(10)...)
		w.swarm.Attach(core, AttachOptions{})
		replica, _ := r.replica(core.Key(), AttachOptions{})
		x, y := rawPipe()
		served := make(chan error, 1)
		go func() { served <- r.swarm.Serve(t.Context(), Conn{Stream: x, Initiator: true, Peer: "chatter"}) }()
		p := newRawPeer(t, y, [64]byte{})
		p.openedIDs(1)
		p.open(1, core.Key())
		p.send(1, wire.Sync{Length: 10, CanUpgrade: true, Uploading: true, HasManifest: true})
		go flood(p, func(uint64) { p.send(1, wire.Bitfield{Words: make([]uint32, 1024)}) })
		time.Sleep(time.Second)
		connect(t, w, r)
		if _, err := replica.Get(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		y.Close()
		<-served
	})
}
