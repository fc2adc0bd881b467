package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// mountFollow measures how long what is written to the mount of a writer takes to
// a program that waits in a read of follow: in the same mount, from the write on,
// and in one of a connected reader, from when it is on the writer's disk.
func (b *bench) mountFollow(_ *kind, _ string, l load) (out sample, err error) {
	scratch, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(scratch)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	ports, err := freePorts(1)
	if err != nil {
		return out, err
	}
	writer, w, err := b.mount(ctx, filepath.Join(scratch, "writer"), ports[0])
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	key, _, err := writer.client.Init(ctx)
	if err != nil {
		return out, err
	}
	reader, r, err := b.mount(ctx, filepath.Join(scratch, "reader"), 0, "--peer", multiaddr(ports[0]))
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	if _, err := reader.connected(ctx, 1); err != nil {
		return out, err
	}
	err = r.used(&out, func() (map[string]float64, error) {
		return followed(w.path, filepath.Join(r.path, key), l)
	})
	return out, err
}

// followed writes lines, one after the other, and reads each from both follows.
func followed(own, remote string, l load) (map[string]float64, error) {
	var fds [2]int
	for i, name := range []string{filepath.Join(own, followName), filepath.Join(remote, followName)} {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	to, err := unix.Open(filepath.Join(own, "append"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(to)
	line := bytes.Repeat([]byte{'x'}, l.size)
	line[l.size-1] = '\n'
	var times [2][]time.Duration
	for n := range l.warmSamples + l.samples {
		copy(line, fmt.Sprintf("%08d", n))
		var seen [2]chan seenLine
		for i := range seen {
			seen[i] = make(chan seenLine, 1)
			go func() { seen[i] <- seeLine(fds[i], line) }()
		}
		time.Sleep(pace) // until both wait in their reads, and nothing is to be flushed
		written := time.Now()
		if err := writeLine(to, line); err != nil {
			return nil, err
		}
		if err := unix.Fsync(to); err != nil {
			return nil, err
		}
		from := [2]time.Time{written, time.Now()}
		for i := range seen {
			s := <-seen[i]
			if s.err != nil {
				return nil, s.err
			}
			if n >= l.warmSamples {
				times[i] = append(times[i], max(s.at.Sub(from[i]), time.Microsecond)) // it may have been faster than fsync
			}
		}
	}
	return map[string]float64{"own": latencies(times[0])["p50"], "remote": latencies(times[1])["p50"]}, nil
}

const followName = "core-3/follow"

type seenLine struct {
	at  time.Time
	err error
}

// seeLine waits for a line.
func seeLine(fd int, want []byte) seenLine {
	got := make([]byte, 2*len(want))
	for {
		n, err := unix.Read(fd, got)
		at := time.Now()
		switch {
		case err == unix.EINTR:
		case err != nil:
			return seenLine{err: err}
		case !bytes.Equal(got[:n], want):
			return seenLine{err: fmt.Errorf("follow gave %q, want %q", got[:n], want)}
		default:
			return seenLine{at: at}
		}
	}
}
