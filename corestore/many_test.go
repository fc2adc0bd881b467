package corestore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// manyRole, in the environment, makes the test binary one of the two processes
// of BenchmarkManyCores, on the store in manyDir with manyCount cores.
const (
	manyRole    = "CORESTORE_MANY_ROLE"
	manyDir     = "CORESTORE_MANY_DIR"
	manyCount   = "CORESTORE_MANY_COUNT"
	manyProfile = "CORESTORE_MANY_PROFILE"
)

// manyBlocks is how many blocks each core has.
const manyBlocks = 4

// BenchmarkManyCores replicates ten thousand cores of a few small blocks each
// over loopback TCP, from a writer to a reader in two processes of their own,
// each with its store on the disk.
func BenchmarkManyCores(b *testing.B) {
	const count = 10_000
	for b.Loop() {
		dir := b.TempDir()
		w := startMany(b, "writer", dir, count)
		made := w.line()
		r := startMany(b, "reader", dir, count)
		read := r.line()
		rUsed, wUsed := r.end(), w.end()
		b.ReportMetric(made["seconds"], "make-s")
		b.ReportMetric(read["opened"], "open-s")
		b.ReportMetric(read["seconds"], "replicate-s")
		b.ReportMetric(wUsed["cpu"], "writer-cpu-s")
		b.ReportMetric(rUsed["cpu"], "reader-cpu-s")
		b.ReportMetric(wUsed["peak"], "writer-peak-MB")
		b.ReportMetric(rUsed["peak"], "reader-peak-MB")
		b.Logf("writer: %v, then %v", made, wUsed)
		b.Logf("reader: %v, then %v", read, rUsed)
	}
}

// manyProcess is one of the two.
type manyProcess struct {
	tb  testing.TB
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Scanner
}

func startMany(tb testing.TB, role, dir string, count int) *manyProcess {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), manyRole+"="+role, manyDir+"="+dir, manyCount+"="+strconv.Itoa(count))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &manyProcess{tb: tb, cmd: cmd, in: in, out: bufio.NewScanner(out)}
	tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return p
}

// line reads the figures that the process prints next: name=value ...
func (p *manyProcess) line() map[string]float64 {
	p.tb.Helper()
	if !p.out.Scan() {
		p.tb.Fatalf("process ended: %v", p.cmd.Wait())
	}
	figures := map[string]float64{}
	for _, field := range strings.Fields(p.out.Text()) {
		name, value, _ := strings.Cut(field, "=")
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			p.tb.Fatalf("%q: %v", p.out.Text(), err)
		}
		figures[name] = f
	}
	return figures
}

// end lets the process finish and gives its last figures.
func (p *manyProcess) end() map[string]float64 {
	p.in.Close()
	return p.line()
}

// playMany is the main function of both.
func playMany(role string) (err error) {
	if role == namedMaker || role == namedOpener {
		return playNamed(role)
	}
	if name := os.Getenv(manyProfile); name != "" {
		f, err := os.Create(name + "." + role)
		if err != nil {
			return err
		}
		defer f.Close()
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
		defer func() {
			h, _ := os.Create(name + ".heap." + role)
			defer h.Close()
			pprof.WriteHeapProfile(h)
		}()
	}
	count, err := strconv.Atoi(os.Getenv(manyCount))
	if err != nil {
		return err
	}
	dir := os.Getenv(manyDir)
	s, err := Open(filepath.Join(dir, role), Options{Create: true})
	if err != nil {
		return err
	}
	swarm := replicate.New(replicate.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if role == "writer" {
		err = manyWrite(ctx, s, swarm, dir, count)
	} else {
		err = manyRead(ctx, s, swarm, dir, count)
	}
	if err != nil {
		return err
	}
	io.Copy(io.Discard, os.Stdin) // until the parent has what it wants
	printUsed()
	return errors.Join(swarm.Close(), s.Close())
}

func manyWrite(ctx context.Context, s *Store, swarm *replicate.Swarm, dir string, count int) error {
	began := time.Now()
	blocks := make([][]byte, manyBlocks)
	var keys []byte
	for i := range count {
		c, err := s.OpenName(Namespace{}, fmt.Sprint("core ", i), 0)
		if err != nil {
			return err
		}
		for j := range blocks {
			blocks[j] = fmt.Appendf(nil, "block %d of core %d, which is a small one\n", j, i)
		}
		if _, err := c.Append(ctx, blocks...); err != nil {
			return err
		}
		key := c.Key()
		keys = append(keys, key[:]...)
		swarm.Attach(c.Core, replicate.AttachOptions{})
	}
	appended := time.Since(began)
	if err := s.Flusher().Flush(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "keys"), keys, 0o600); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "address"), []byte(l.Addr().String()), 0o600); err != nil {
		return err
	}
	go func() {
		if stream, err := l.Accept(); err == nil {
			swarm.Serve(ctx, replicate.Conn{Stream: stream, Initiator: true, Peer: "reader"})
		}
	}()
	fmt.Printf("seconds=%.3f appended=%.3f %s\n", time.Since(began).Seconds(), appended.Seconds(), state())
	return nil
}

func manyRead(ctx context.Context, s *Store, swarm *replicate.Swarm, dir string, count int) error {
	keys, err := os.ReadFile(filepath.Join(dir, "keys"))
	if err != nil {
		return err
	}
	address, err := os.ReadFile(filepath.Join(dir, "address"))
	if err != nil {
		return err
	}
	stream, err := net.Dial("tcp", string(address))
	if err != nil {
		return err
	}
	go swarm.Serve(ctx, replicate.Conn{Stream: stream, Peer: "writer"})
	began := time.Now()
	cores := make([]*Core, count)
	for i := range cores {
		if cores[i], err = s.OpenKey(hypercore.Key(keys[32*i:])); err != nil {
			return err
		}
		swarm.Attach(cores[i].Core, replicate.AttachOptions{Download: true})
	}
	opened := time.Since(began)
	for _, c := range cores {
		for {
			changed := c.Changed()
			if i := c.Info(); i.Length == manyBlocks && i.Contiguous == manyBlocks {
				break
			}
			<-changed
		}
	}
	stored := time.Since(began)
	if err := s.Flusher().Flush(ctx); err != nil {
		return err
	}
	fmt.Printf("seconds=%.3f opened=%.3f durable=%.3f %s\n", stored.Seconds(), opened.Seconds(), time.Since(began).Seconds(), state())
	runtime.KeepAlive(cores)
	return nil
}

// state is what the process has now, garbage aside.
func state() string {
	files, _ := os.ReadDir("/proc/self/fd")
	used := usedNow()
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return fmt.Sprintf("%s heap=%.1f objects=%d goroutines=%d descriptors=%d", used,
		float64(m.HeapAlloc)/1e6, m.HeapObjects, runtime.NumGoroutine(), len(files))
}

// usedNow is the CPU time and the largest resident memory so far.
func usedNow() string {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	return fmt.Sprintf("cpu=%.2f peak=%.0f", cpu.Seconds(), float64(u.Maxrss)/1e3)
}

func printUsed() {
	used := usedNow()
	debug.FreeOSMemory()
	fmt.Println(used)
}
