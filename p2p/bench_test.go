package p2p

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"multicore/hypercore"
	"multicore/hypercore/replicate"
	"multicore/hypercore/storage"
)

// benchWriter names the variable that makes this program the writing process
// of a benchmark: COUNT SIZE DIRECTORY.
const benchWriter = "MULTICORE_BENCH_WRITER"

// benchProfile names the variable with the file that takes the CPU profile of
// the writing process; -cpuprofile is for the reading one.
const benchProfile = "MULTICORE_BENCH_PROFILE"

// benchBare is a stream with nothing of ours in the way: 8 bytes, big-endian,
// say how many are to be sent.
const benchBare = "/multicore/bench/bare/1"

func TestMain(m *testing.M) {
	if load := os.Getenv(benchWriter); load != "" {
		if err := serveBench(load); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// benchNode is a node with a store on the disk.
type benchNode struct {
	*Node
	store   storage.Store
	flusher *hypercore.Flusher
	swarm   *replicate.Swarm
}

func newBenchNode(dir string, peers ...string) (*benchNode, error) {
	st, err := storage.Open(dir, storage.Options{Create: true})
	if err != nil {
		return nil, err
	}
	x := &benchNode{store: st, flusher: hypercore.NewFlusher(st, nil), swarm: replicate.New(replicate.Options{})}
	x.Node, err = New(context.Background(), Options{
		Identity: filepath.Join(dir, "identity"),
		Swarm:    x.swarm,
		Listen:   []string{"/ip4/127.0.0.1/tcp/0"},
		DHT:      DHTOff,
		Peers:    peers,
	})
	return x, err
}

func (x *benchNode) close() {
	x.Node.Close()
	x.swarm.Close()
	x.flusher.Close()
	x.store.Close()
}

// serveBench is the writing process. It tells its address and the key, then the
// processor time it used so far for each line it is sent.
func serveBench(load string) error {
	var count, size int
	var dir string
	if _, err := fmt.Sscanf(load, "%d %d %s", &count, &size, &dir); err != nil {
		return err
	}
	x, err := newBenchNode(dir)
	if err != nil {
		return err
	}
	defer x.close()
	x.host.SetStreamHandler(benchBare, func(s network.Stream) {
		defer s.Close()
		var n uint64
		if binary.Read(s, binary.BigEndian, &n) != nil {
			return
		}
		buf := make([]byte, 64<<10)
		for ; n > 0; n -= min(n, uint64(len(buf))) {
			if _, err := s.Write(buf[:min(n, uint64(len(buf)))]); err != nil {
				return
			}
		}
	})
	pair := hypercore.KeyPairFromSeed([32]byte{7})
	core, err := hypercore.Open(x.flusher, hypercore.Options{Key: hypercore.DefaultManifest(pair.Public).Key(), KeyPair: &pair})
	if err != nil {
		return err
	}
	batch := make([][]byte, 0, 256)
	for i := 0; i < count; {
		batch = batch[:0]
		for range min(cap(batch), count-i) {
			block := make([]byte, size)
			binary.BigEndian.PutUint64(block, uint64(i))
			batch = append(batch, block)
			i++
		}
		if _, err := core.Append(context.Background(), batch...); err != nil {
			return err
		}
	}
	if err := core.Flush(context.Background()); err != nil {
		return err
	}
	if name := os.Getenv(benchProfile); name != "" {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	x.swarm.Attach(core, replicate.AttachOptions{})
	fmt.Println(x.Status().Addrs[0], core.Key())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(cpuTime().Nanoseconds())
	}
	return nil
}

// cpuTime is the processor time this process used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchPeer is a writing process as the reading one sees it.
type benchPeer struct {
	addr string
	id   peer.ID
	key  hypercore.Key
	in   io.Writer
	out  *bufio.Scanner
}

func startBenchPeer(b *testing.B, count, size int) *benchPeer {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", benchWriter, count, size, b.TempDir()))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	p := &benchPeer{in: in, out: bufio.NewScanner(out)}
	if !p.out.Scan() {
		b.Fatal("no address from the writer")
	}
	addr, key, _ := strings.Cut(p.out.Text(), " ")
	p.addr = addr
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		b.Fatal(err)
	}
	p.id = info.ID
	if p.key, err = hypercore.ParseKey(key); err != nil {
		b.Fatal(err)
	}
	return p
}

// cpu is the processor time that both processes used so far.
func (p *benchPeer) cpu(b *testing.B) time.Duration {
	fmt.Fprintln(p.in)
	var n int64
	if !p.out.Scan() {
		b.Fatal("the writer is gone")
	}
	if _, err := fmt.Sscan(p.out.Text(), &n); err != nil {
		b.Fatal(err)
	}
	return cpuTime() + time.Duration(n)
}

// reader makes a fresh node with a stream to the peer, and a replica that is not
// attached yet.
func (p *benchPeer) reader(b *testing.B) (x *benchNode, replica *hypercore.Core, done func()) {
	b.Helper()
	dir, err := os.MkdirTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	if x, err = newBenchNode(dir, p.addr); err != nil {
		b.Fatal(err)
	}
	for {
		changed := x.swarm.Changed()
		if len(x.swarm.Peers()) > 0 {
			break
		}
		<-changed
	}
	if replica, err = hypercore.Open(x.flusher, hypercore.Options{Key: p.key}); err != nil {
		b.Fatal(err)
	}
	return x, replica, func() {
		replica.Close()
		x.close()
		os.RemoveAll(dir)
	}
}

// bare takes n bytes over a stream of libp2p.
func (p *benchPeer) bare(b *testing.B, x *benchNode, n int) {
	s, err := x.host.NewStream(b.Context(), p.id, benchBare)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := binary.Write(s, binary.BigEndian, uint64(n)); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	got := 0
	for got < n {
		k, err := s.Read(buf)
		if got += k; err != nil && got < n {
			b.Fatal(err)
		}
	}
}

// warm touches as much of the page cache as n bytes of a file take: a virtual
// machine that gave memory back gets it again slowly.
func warm(b *testing.B, n int) {
	f, err := os.Create(filepath.Join(b.TempDir(), "warm"))
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	buf := make([]byte, 1<<20)
	for ; n > 0; n -= len(buf) {
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReplicate copies a core from another process over libp2p, TCP and
// TLS, stores on the disk at both ends, and as many bytes over a bare stream of
// the same connection. bare-ratio is the rate of the first by that of the
// second, cpu-s/GiB the processor time of both processes.
func BenchmarkReplicate(b *testing.B) {
	for _, load := range []struct{ count, size int }{{16 << 10, 64 << 10}, {200_000, 1 << 10}, {200_000, 100}} {
		b.Run(fmt.Sprintf("%dx%d", load.count, load.size), func(b *testing.B) {
			p := startBenchPeer(b, load.count, load.size)
			bytes := load.count * load.size
			b.SetBytes(int64(bytes))
			var bare, bareCPU, wall, cpu time.Duration
			for b.Loop() {
				b.StopTimer()
				x, _, done := p.reader(b)
				start, used := time.Now(), p.cpu(b)
				p.bare(b, x, bytes)
				bare += time.Since(start)
				bareCPU += p.cpu(b) - used
				done()
				warm(b, bytes)
				x, replica, done := p.reader(b)
				used = p.cpu(b)
				b.StartTimer()

				start = time.Now()
				x.swarm.Attach(replica, replicate.AttachOptions{Download: true})
				for {
					changed := replica.Changed()
					if i := replica.Info(); i.Length == uint64(load.count) && i.Contiguous == i.Length {
						break
					}
					<-changed
				}
				wall += time.Since(start)
				b.StopTimer()
				cpu += p.cpu(b) - used
				done()
				b.StartTimer()
			}
			gib := float64(bytes) * float64(b.N) / (1 << 30)
			b.ReportMetric(float64(load.count)*float64(b.N)/wall.Seconds(), "blocks/s")
			b.ReportMetric(cpu.Seconds()/gib, "cpu-s/GiB")
			b.ReportMetric(bareCPU.Seconds()/gib, "bare-cpu-s/GiB")
			b.ReportMetric(float64(bare)/float64(wall), "bare-ratio")
		})
	}
}

// BenchmarkOnDemand fetches blocks of 1 KiB that are missing, some at a time,
// from another process over libp2p.
func BenchmarkOnDemand(b *testing.B) {
	const count = 50_000
	for _, workers := range []int{1, 64} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			p := startBenchPeer(b, count, 1<<10)
			x, replica, done := p.reader(b)
			x.swarm.Attach(replica, replicate.AttachOptions{})
			defer func() { done() }()
			if err := replica.Update(b.Context()); err != nil {
				b.Fatal(err)
			}
			var latencies []time.Duration
			var next uint64
			for b.Loop() {
				const round = 5_000
				if next+round > count {
					b.StopTimer()
					done()
					x, replica, done = p.reader(b)
					x.swarm.Attach(replica, replicate.AttachOptions{})
					if err := replica.Update(b.Context()); err != nil {
						b.Fatal(err)
					}
					next = 0
					b.StartTimer()
				}
				var group sync.WaitGroup
				for w := range workers {
					group.Go(func() {
						for k := uint64(w); k < round; k += uint64(workers) {
							start := time.Now()
							if _, err := replica.Get(b.Context(), (next+k)*7919%count); err != nil {
								b.Error(err)
							}
							if workers == 1 {
								latencies = append(latencies, time.Since(start))
							}
						}
					})
				}
				group.Wait()
				next += round
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(5_000*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
			if workers == 1 {
				slices.Sort(latencies)
				b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds()), "p50-us")
				b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds()), "p99-us")
			}
		})
	}
}
