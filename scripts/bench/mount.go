package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"multicore/cmd/multicore/control"
)

// fuseMissing says why nothing can be mounted here; nil: it can be.
func fuseMissing() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("no mounts: %w", err)
	}
	f.Close()
	if os.Geteuid() != 0 {
		return errors.New("no mounts: not root, for whom the kernel reads logs by itself")
	}
	return nil
}

// mounted is a mount and the process that serves it.
type mounted struct {
	path string // of the mount
	cpu  func() (time.Duration, error)
	peak func() (uint64, error)
	end  func() error
}

// mount starts a `multicore mount` of a store, with the mountpoint beside it,
// which listens on a port (0: any).
func (b *bench) mount(ctx context.Context, store string, port int, flags ...string) (*server, *mounted, error) {
	path := store + "-mnt"
	s, err := b.launch(ctx, store, append([]string{"mount", "--listen", multiaddr(port), path}, flags...)...)
	if err != nil {
		return nil, nil, err
	}
	err = s.poll(ctx, func() (bool, error) {
		st, err := s.client.Status(ctx)
		return err == nil && len(st.Mounts) > 0, err
	})
	if err != nil {
		s.kill()
		return nil, nil, fmt.Errorf("multicore mount: %w\n%s", err, s.said)
	}
	pid := s.cmd.Process.Pid
	return s, &mounted{
		path: path,
		cpu:  func() (time.Duration, error) { return cpuOf(pid) },
		peak: func() (uint64, error) { return peakOf(pid) },
		end:  func() error { s.kill(); return nil },
	}, nil
}

// bareMount starts the FUSE server that is the ceiling, which shows a file.
func (b *bench) bareMount(ctx context.Context, scratch, file string) (*mounted, error) {
	path := filepath.Join(scratch, "bare-mnt")
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	p, err := start(ctx, "bare mount", b.child(ceiling, ""), spec{Role: "bare-mount", Dir: path, File: file})
	if err != nil {
		return nil, err
	}
	if _, err := p.expect("ready"); err != nil {
		p.kill()
		return nil, err
	}
	return &mounted{path: path, cpu: p.cpu, peak: p.peak, end: p.stop}, nil
}

// used adds what a mount took while do ran to a sample.
func (m *mounted) used(s *sample, do func() (map[string]float64, error)) (err error) {
	before, err := m.cpu()
	if err != nil {
		return err
	}
	if s.Values, err = do(); err != nil {
		return err
	}
	after, err := m.cpu()
	if err != nil {
		return err
	}
	s.Reader.CPU = (after - before).Seconds()
	s.Reader.Peak, err = m.peak()
	return err
}

// mountAppend measures writes of lines to an append file, held open or opened for
// each line, against a FUSE server that does nothing with them.
func (b *bench) mountAppend(k *kind, way string, l load) (out sample, err error) {
	scratch, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(scratch)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	var m *mounted
	if way == ceiling {
		m, err = b.bareMount(ctx, scratch, b.pool)
	} else {
		_, m, err = b.mount(ctx, filepath.Join(scratch, "store"), 0)
	}
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, m.end()) }()
	if err := b.settle(); err != nil {
		return out, err
	}
	line := []byte(strings.Repeat("x", l.size-1) + "\n")
	write := appendHeld
	if k.task == taskEcho {
		write = appendEach
	}
	if _, err := write(filepath.Join(m.path, "append"), line, l.warmSamples); err != nil {
		return out, err
	}
	err = m.used(&out, func() (map[string]float64, error) {
		took, err := write(filepath.Join(m.path, "append"), line, l.samples)
		return map[string]float64{"seconds": took.Seconds()}, err
	})
	out.derive(l)
	return out, err
}

// appendHeld writes a line so often to a file that it holds open.
func appendHeld(path string, line []byte, n int) (time.Duration, error) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	began := time.Now()
	for range n {
		if err := writeLine(fd, line); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// appendEach opens, writes and closes for each line, as echo >> does.
func appendEach(path string, line []byte, n int) (time.Duration, error) {
	began := time.Now()
	for range n {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		err = writeLine(fd, line)
		if closeErr := unix.Close(fd); err == nil {
			err = closeErr
		}
		if err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

func writeLine(fd int, line []byte) error {
	for {
		n, err := unix.Write(fd, line)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n != len(line):
			return io.ErrShortWrite
		default:
			return nil
		}
	}
}

// payloadLog is the log that holds the payload, in a mount of its writer; others
// have it below the key.
const payloadLog = "core-3/log"

// writerStore makes the store of a writer with blocks in core-3, once.
func (b *bench) writerStore(ctx context.Context, l load) (*store, error) {
	name := fmt.Sprintf("writer-%dx%d", l.count, l.size)
	if st := b.filled[name]; st != nil {
		return st, nil
	}
	st := &store{dir: filepath.Join(b.dir, name)}
	s, err := b.launch(ctx, st.dir, "serve", "--listen", multiaddr(0))
	if err != nil {
		return nil, err
	}
	defer s.kill()
	key, _, err := s.client.Init(ctx)
	if err != nil {
		return nil, err
	}
	blocks, err := newBlocks(b.pool, l.size)
	if err != nil {
		return nil, err
	}
	_, err = s.client.Append(ctx, control.AppendRequest{Framing: bytesSize(l.size)}, &payload{blocks: blocks, count: l.count})
	if err != nil {
		return nil, err
	}
	status, err := s.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range status.Cores {
		if c.Path == "core-3" {
			st.keys = []string{key, c.DiscoveryKey}
		}
	}
	if len(st.keys) == 0 {
		return nil, errors.New("the writer's status has no core-3")
	}
	b.filled[name] = st
	return st, nil
}

// blocksFile is the file of a store that has the bytes of core-3.
func (st *store) blocksFile() string { return filepath.Join(st.dir, "cores", st.keys[1], "blocks") }

// payload reads as blocks one after the other.
type payload struct {
	blocks *blocks
	count  int
	next   int
	rest   []byte
}

func (p *payload) Read(to []byte) (int, error) {
	if len(p.rest) == 0 {
		if p.next == p.count {
			return 0, io.EOF
		}
		p.rest = p.blocks.make(p.next, p.next+1)[0]
		p.next++
	}
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// readPiece is what cat reads at a time.
const readPiece = 128 << 10

// readAll reads a file as cat does, from open to its end, and checks where each
// block begins.
func (b *bench) readAll(path string, l load) (map[string]float64, error) {
	blocks, err := newBlocks(b.pool, l.size)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, readPiece)
	began := time.Now()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	var first time.Duration
	total := 0
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s at %d: %w", path, total, err)
		}
		if n == 0 {
			break
		}
		if first == 0 {
			first = time.Since(began)
		}
		for at := (l.size - total%l.size) % l.size; at+l.size <= n; at += l.size {
			if err := blocks.check(buf[at:at+l.size], (total+at)/l.size); err != nil {
				return nil, err
			}
		}
		total += n
	}
	took := time.Since(began)
	if total != l.count*l.size {
		return nil, fmt.Errorf("%s has %d bytes, want %d", path, total, l.count*l.size)
	}
	return map[string]float64{"seconds": took.Seconds(), "first": ms(first)}, nil
}

// readOften reads a file that is in memory so often that one that was disturbed
// does not count, and gives the median.
func (b *bench) readOften(path string, l load) (map[string]float64, error) {
	var took []float64
	for range 1 + l.samples {
		values, err := b.readAll(path, l)
		if err != nil {
			return nil, err
		}
		took = append(took, values["seconds"])
	}
	return map[string]float64{"seconds": median(took[1:])}, nil
}

// mountCat reads an own log, which the kernel does by itself, against the same
// bytes in a plain file.
func (b *bench) mountCat(_ *kind, way string, l load) (out sample, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	st, err := b.writerStore(ctx, l)
	if err != nil {
		return out, err
	}
	path := st.blocksFile()
	if way == ceiling {
		out.Values, err = b.readOften(path, l)
		out.derive(l)
		return out, err
	}
	writer, m, err := b.mount(ctx, st.dir, 0)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, m.end()) }()
	// A store that had peers asks them first how long its cores are; until then
	// more than appends may change them, and the kernel is not let in.
	if err := writer.poll(ctx, func() (bool, error) {
		status, err := writer.client.Status(ctx)
		return err == nil && !slices.ContainsFunc(status.Cores, func(c control.Core) bool { return c.Held }), err
	}); err != nil {
		return out, err
	}
	path = filepath.Join(m.path, payloadLog)
	err = m.used(&out, func() (map[string]float64, error) { return b.readOften(path, l) })
	out.derive(l)
	return out, err
}

// mountCopy reads the log of another multicore, all of which is here, against a
// FUSE server that hands the pages of a file to the kernel.
func (b *bench) mountCopy(_ *kind, way string, l load) (out sample, err error) {
	scratch, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(scratch)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	st, err := b.writerStore(ctx, l)
	if err != nil {
		return out, err
	}
	var m *mounted
	var path string
	if way == ceiling {
		if m, err = b.bareMount(ctx, scratch, st.blocksFile()); err == nil {
			path = filepath.Join(m.path, "log")
		}
	} else {
		var reader *server
		if reader, m, err = b.reader(ctx, st, scratch); err == nil {
			path = filepath.Join(m.path, st.keys[0], payloadLog)
			if err = reader.client.Follow(ctx, control.FollowRequest{Key: st.keys[0], Wait: true}, quietly); err != nil {
				err = errors.Join(err, m.end())
			}
		}
	}
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, m.end()) }()
	err = m.used(&out, func() (map[string]float64, error) { return b.readOften(path, l) })
	out.derive(l)
	return out, err
}

// reader serves the store of a writer and mounts a new one, connected to it. Both
// end with the mount.
func (b *bench) reader(ctx context.Context, st *store, scratch string) (*server, *mounted, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, nil, err
	}
	writer, err := b.launch(ctx, st.dir, "serve", "--listen", multiaddr(ports[0]))
	if err != nil {
		return nil, nil, err
	}
	reader, m, err := b.mount(ctx, filepath.Join(scratch, "reader"), 0, "--peer", multiaddr(ports[0]))
	if err != nil {
		writer.kill()
		return nil, nil, err
	}
	end := m.end
	m.end = func() error { writer.kill(); return end() }
	if _, err := reader.connected(ctx, 1); err != nil {
		return nil, nil, errors.Join(err, m.end())
	}
	return reader, m, nil
}

// quietly takes what a long command says of how far it is.
func quietly(control.Following) error { return nil }

// mountRemote reads the log of another multicore, none of which is here, against
// the time that a whole copy takes without a mount.
func (b *bench) mountRemote(_ *kind, way string, l load) (out sample, err error) {
	scratch, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(scratch)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	st, err := b.writerStore(ctx, l)
	if err != nil {
		return out, err
	}
	reader, m, err := b.reader(ctx, st, scratch)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, m.end()) }()
	if err := b.settle(); err != nil {
		return out, err
	}
	err = m.used(&out, func() (map[string]float64, error) {
		if way != ceiling {
			return b.readAll(filepath.Join(m.path, st.keys[0], payloadLog), l)
		}
		began := time.Now()
		err := reader.client.Follow(ctx, control.FollowRequest{Key: st.keys[0], Wait: true}, quietly)
		return map[string]float64{"seconds": time.Since(began).Seconds()}, err
	})
	out.derive(l)
	return out, err
}
