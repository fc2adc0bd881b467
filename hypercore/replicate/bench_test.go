package replicate

import (
	"fmt"
	"net"
	"testing"

	"multicore/hypercore"
)

// tcpPair is a stream over loopback.
func tcpPair(t testing.TB) (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// BenchmarkDownload copies a whole core over loopback TCP, in memory at both
// ends.
func BenchmarkDownload(b *testing.B) {
	for _, load := range []struct{ count, size int }{{1024, 64 << 10}, {100_000, 1 << 10}} {
		b.Run(fmt.Sprintf("%dx%d", load.count, load.size), func(b *testing.B) {
			w := newNode(b, "writer")
			blocks := make([][]byte, load.count)
			for i := range blocks {
				blocks[i] = make([]byte, load.size)
				copy(blocks[i], fmt.Sprint(i))
			}
			core := w.own("core", blocks...)
			w.swarm.Attach(core, AttachOptions{})
			b.SetBytes(int64(load.count) * int64(load.size))
			var sent uint64
			for b.Loop() {
				r := newNode(b, "reader")
				replica, _ := r.replica(core.Key(), AttachOptions{Download: true})
				x, y := tcpPair(b)
				l := connectOver(b, w, r, x, y)
				until(b, replica, "all blocks", func(i hypercore.Info) bool {
					return i.Length > 0 && i.Contiguous == i.Length
				})
				sent = w.swarm.Peers()[0].Sent
				l.cut()
			}
			b.ReportMetric(float64(load.count)*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
			b.ReportMetric(float64(sent)/float64(load.count), "sent-B/block")
		})
	}
}

// BenchmarkGet fetches single blocks on demand, one at a time.
func BenchmarkGet(b *testing.B) {
	const count = 20_000
	w := newNode(b, "writer")
	core := w.own("core", numbered(count)...)
	w.swarm.Attach(core, AttachOptions{})
	x, y := tcpPair(b)
	var replica *hypercore.Core
	i := uint64(count)
	for b.Loop() {
		if i == count {
			b.StopTimer()
			r := newNode(b, "reader")
			replica, _ = r.replica(core.Key(), AttachOptions{})
			x, y = tcpPair(b)
			connectOver(b, w, r, x, y)
			if err := replica.Update(b.Context()); err != nil {
				b.Fatal(err)
			}
			i = 0
			b.StartTimer()
		}
		if _, err := replica.Get(b.Context(), i*7919%count); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
