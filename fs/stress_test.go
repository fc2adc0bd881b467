package fs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var stressFor = flag.Duration("stress", 2*time.Second, "how long TestStress goes on")

// The processes of TestStress: writers append lines, tailers read all of a log
// as it grows, readers read here and there in it and in its blocks.
const (
	stressWriters = 12
	stressTailers = 12 // of the own log, and as many of the remote one
	stressReaders = 14 // the same
)

// TestStress has 64 processes read, tail and write an own core and a remote one.
// None sees an error or a byte that was not written, and afterwards this process
// has as many descriptors and goroutines as before, and hardly more memory than
// in the middle.
func TestStress(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	var said output
	log := slog.New(slog.NewTextHandler(&said, nil))
	ours, theirs := a.options(), b.options()
	ours.Log, theirs.Log = log, log
	own, remote := mount(t, "", ours), mount(t, "", theirs)
	connect(t, a, b)
	dirs := []string{own.path("core-3"), remote.path(a.own.Key().String() + "/core-3")}
	a.append("core-3", string(stressLine(stressWriters, 0)))
	for _, dir := range dirs { // what is opened once and stays open
		if _, err := os.ReadFile(filepath.Join(dir, "log")); err != nil {
			t.Fatal(err)
		}
	}
	before := footprint(t)

	var writers, others []*stressProcess
	for i := range stressWriters {
		writers = append(writers, startStress(t, "writer", own.path("core-3/append"), i))
	}
	for _, dir := range dirs {
		for i := range stressTailers {
			others = append(others, startStress(t, "tailer", dir, i))
		}
		for i := range stressReaders {
			others = append(others, startStress(t, "reader", dir, i))
		}
	}
	if n := len(writers) + len(others); n != 64 {
		t.Fatalf("%d processes", n)
	}
	end := time.NewTimer(*stressFor)
	defer end.Stop()
	sample := time.NewTicker(*stressFor / 8)
	defer sample.Stop()
	var memory []uint64
	for going := true; going; {
		select {
		case <-end.C:
			going = false
		case <-sample.C:
			memory = append(memory, heap())
		}
	}
	var want []string
	for _, w := range writers {
		want = append(want, w.end(t))
	}
	if err := a.own.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	replica := b.remoteCore(a, "core-3")
	until(t, "the reader knows all", replica.Changed, func() bool { return replica.Info().Length == a.core("core-3").Info().Length })
	for _, o := range others {
		said := o.end(t)
		if o.role == "tailer" && said != strings.Join(want, " ") {
			t.Errorf("tailer %d of %s saw %s, written were %s", o.i, o.dir, said, want)
		}
		if o.role == "reader" {
			if n, err := strconv.Atoi(said); err != nil || n == 0 {
				t.Errorf("reader %d of %s: read %q", o.i, o.dir, said)
			}
		}
	}
	t.Logf("%d blocks, %d bytes were written; heap over time, MiB: %v", replica.Info().Length, replica.Info().ByteLength, mebibytes(memory))

	if text := said.String(); text != "" {
		t.Errorf("the mounts say %.2000s", text)
	}
	var after counts
	if !poll(func() bool {
		after = footprint(t)
		return after.descriptors <= before.descriptors+2 && after.goroutines <= before.goroutines+4
	}) {
		stacks := make([]byte, 1<<20)
		t.Errorf("left are %+v, before it were %+v\n%s", after, before, stacks[:runtime.Stack(stacks, true)])
	}
	if n := len(memory); n >= 6 {
		if middle, last := memory[n/2-1], heap(); last > middle+middle/4+32<<20 {
			t.Errorf("heap of %d bytes, in the middle %d", last, middle)
		}
	}
}

type counts struct{ descriptors, goroutines int }

// footprint is what this process holds; readers of a device come and go.
func footprint(t *testing.T) counts {
	t.Helper()
	return counts{descriptors(t), runtime.NumGoroutine()}
}

// heap is what is reachable.
func heap() uint64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func mebibytes(list []uint64) (out []uint64) {
	for _, n := range list {
		out = append(out, n>>20)
	}
	return out
}

// stressProcess is one of the 64.
type stressProcess struct {
	role, dir string
	i         int
	cmd       *exec.Cmd
	stdin     io.Closer
	out       bytes.Buffer
}

func startStress(t *testing.T, role, dir string, i int) *stressProcess {
	t.Helper()
	p := &stressProcess{role: role, dir: dir, i: i, cmd: exec.Command(os.Args[0], role, dir, strconv.Itoa(i))}
	p.cmd.Env = append(os.Environ(), childEnv+"=stress", "GOMAXPROCS=1")
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	return p
}

// end tells it to finish, and gives what it says.
func (p *stressProcess) end(t *testing.T) string {
	t.Helper()
	p.stdin.Close()
	stop := context.AfterFunc(deadline(t), func() { p.cmd.Process.Kill() })
	defer stop()
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%s %d of %s: %v\n%.2000s", p.role, p.i, p.dir, err, &p.out)
	}
	return strings.TrimSpace(p.out.String())
}

// stressLine is line i of a writer: everything in it follows from the two.
func stressLine(writer, i int) []byte {
	head := fmt.Sprintf("%d %d ", writer, i)
	h := fnv.New64a()
	h.Write([]byte(head))
	sum := h.Sum64()
	line := []byte(head)
	for range sum % 40 {
		sum = sum*6364136223846793005 + 1442695040888963407
		line = strconv.AppendUint(line, sum, 36)
	}
	return append(line, '\n')
}

// parseStress checks a line with its newline.
func parseStress(line []byte) (writer, i int, err error) {
	if _, err := fmt.Sscanf(string(line), "%d %d ", &writer, &i); err != nil {
		return 0, 0, fmt.Errorf("line %.200q: %w", line, err)
	}
	if want := stressLine(writer, i); !bytes.Equal(line, want) {
		return 0, 0, fmt.Errorf("line %.200q, want %.200q", line, want)
	}
	return writer, i, nil
}

// childStress is one process of TestStress; it ends after its stdin has.
func childStress(role, dir, number string) error {
	i, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	over := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	switch role {
	case "writer":
		return stressWriter(dir, i, over)
	case "tailer":
		return stressTailer(dir, i, over)
	}
	return stressReader(dir, i, over)
}

// stressPace keeps the machine from being busy with one of them alone.
const stressPace = 10 * time.Millisecond

// stressWriter appends lines, some writers with a file held open, some opening it
// for each, some in pieces of a line.
func stressWriter(path string, writer int, over <-chan struct{}) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	pace := time.NewTicker(stressPace)
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-over:
			fmt.Print(i)
			return f.Sync()
		case <-pace.C:
		}
		line := stressLine(writer, i)
		switch writer % 4 {
		case 0:
			_, err = f.Write(line)
		case 1:
			_, err = f.Write(line[:len(line)/2])
			if err == nil {
				_, err = f.Write(line[len(line)/2:])
			}
		case 2:
			g, openErr := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0)
			if openErr != nil {
				return openErr
			}
			_, err = g.Write(line)
			err = errors.Join(err, g.Close())
		case 3:
			_, err = f.Write(line)
			if err == nil && i%8 == 0 {
				err = f.Sync()
			}
		}
		if err != nil {
			return fmt.Errorf("writing line %d: %w", i, err)
		}
	}
}

// stressTailer reads a log from its begin and checks that each writer's lines are
// there, all and in order.
func stressTailer(dir string, _ int, over <-chan struct{}) error {
	f, err := os.Open(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	next := make([]int, stressWriters+1)
	pace := time.NewTicker(stressPace)
	defer pace.Stop()
	var line []byte
	for last := false; ; {
		part, err := r.ReadBytes('\n')
		line = append(line, part...)
		switch {
		case err == io.EOF && last:
			if len(line) > 0 {
				return fmt.Errorf("the log ends with %.200q", line)
			}
			fmt.Print(strings.Trim(fmt.Sprint(next[:stressWriters]), "[]"))
			return nil
		case err == io.EOF:
			select {
			case <-over:
				last = true // what was written before is read in any case
			case <-pace.C:
			}
			continue
		case err != nil:
			return err
		}
		writer, i, err := parseStress(line)
		if err != nil {
			return err
		}
		if writer > stressWriters || i != next[writer] {
			return fmt.Errorf("line %d of writer %d, want line %d", i, writer, next[min(writer, stressWriters)])
		}
		next[writer]++
		line = line[:0]
	}
}

// stressReader reads a log and its blocks in no order and in many ways.
func stressReader(dir string, reader int, over <-chan struct{}) error {
	random := rand.New(rand.NewPCG(uint64(reader), 7))
	f, err := os.Open(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer f.Close()
	steps := []func() error{
		func() error { return stressPart(f, random) },
		func() error { return stressMap(f, random) },
		func() error { return stressBlock(dir, random) },
		func() error { return stressList(dir) },
	}
	pace := time.NewTicker(stressPace)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-over:
			fmt.Print(n)
			return nil
		case <-pace.C:
		}
		if err := steps[random.IntN(len(steps))](); err != nil {
			return err
		}
	}
}

// stressPart reads a stretch of a log.
func stressPart(f *os.File, random *rand.Rand) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	off := random.Int64N(info.Size())
	b := make([]byte, min(int64(1+random.IntN(64<<10)), info.Size()-off))
	if _, err := f.ReadAt(b, off); err != nil {
		return fmt.Errorf("%d bytes at %d of %d: %w", len(b), off, info.Size(), err)
	}
	return stressLines(b, off)
}

// stressMap reads a stretch of a log through a mapping of it. Where two programs
// ask for the size of a log that grows, the kernel may go on with the smaller
// answer, and a mapping made with the larger one faults at its end until somebody
// asks again.
func stressMap(f *os.File, random *rand.Rand) error {
	debug.SetPanicOnFault(true)
	faulted, err := stressMapped(f, random)
	for range 100 {
		if !faulted {
			return err
		}
		faulted, err = stressMapped(f, random)
	}
	return errors.New("a mapping of the log faults again and again")
}

func stressMapped(f *os.File, random *rand.Rand) (faulted bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	page := int64(os.Getpagesize())
	off := random.Int64N(info.Size()) / page * page
	b, err := unix.Mmap(int(f.Fd()), off, int(min(64<<10, info.Size()-off)), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return false, err
	}
	defer func() {
		if recover() != nil {
			faulted = true
		}
		err = errors.Join(err, unix.Munmap(b))
	}()
	return false, stressLines(b, off)
}

// stressLines checks the whole lines of what was read at an offset.
func stressLines(b []byte, off int64) error {
	if off > 0 {
		at := bytes.IndexByte(b, '\n')
		b = b[at+1:]
	}
	for line := range bytes.Lines(b) {
		if line[len(line)-1] != '\n' {
			break
		}
		if _, _, err := parseStress(line); err != nil {
			return fmt.Errorf("after byte %d: %w", off, err)
		}
	}
	return nil
}

// stressBlock reads one of the blocks there are, and none beyond.
func stressBlock(dir string, random *rand.Rand) error {
	text, err := os.ReadFile(filepath.Join(dir, "length"))
	if err != nil {
		return err
	}
	length, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	// Of the many blocks of a long run the kernel is to know some only.
	path := filepath.Join(dir, "blocks", strconv.Itoa(random.IntN(min(length, 1000))))
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	block, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if int64(len(block)) != info.Size() {
		return fmt.Errorf("%s has %d bytes, and size %d", path, len(block), info.Size())
	}
	if _, _, err := parseStress(block); err != nil {
		return err
	}
	_, err = os.Stat(filepath.Join(dir, "blocks", strconv.Itoa(1<<40+random.IntN(100))))
	if !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("a block far behind the end: %v", err)
	}
	return nil
}

// stressList looks at a directory.
func stressList(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := e.Info(); err != nil {
			return err
		}
	}
	var st unix.Statfs_t
	return unix.Statfs(dir, &st)
}
