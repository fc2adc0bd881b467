package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// parent is the other end of a child's standard input and output.
type parent struct {
	words   chan string
	out     *json.Encoder
	profile *os.File // of the processor, while it is measured; nil: none
}

// child does what the first line of standard input says, until that ends.
func child() error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no spec: %w", err)
	}
	var s spec
	if err := json.Unmarshal(line, &s); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := &parent{words: make(chan string, 16), out: json.NewEncoder(os.Stdout)}
	if s.Profile != "" {
		if p.profile, err = os.Create(s.Profile); err != nil {
			return err
		}
		defer p.profile.Close()
		defer pprof.StopCPUProfile()
	}
	go p.listen(in, cancel)
	roles := map[string]func(context.Context, *parent, spec) error{
		"fill": fill, "writer": write, "reader": read, "local": local,
		"bare-writer": bareWrite, "bare-reader": bareRead, "bare-local": bareLocal,
		"bare-mount": bareMount,
	}
	role, ok := roles[s.Role]
	if !ok {
		return fmt.Errorf("no role %q", s.Role)
	}
	err = role(ctx, p, s)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

func (p *parent) listen(in *bufio.Reader, end func()) {
	defer end()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		p.words <- line[:len(line)-1]
	}
}

// say answers. The work of a writer begins when it is ready, that of others ends
// when it is done.
func (p *parent) say(r reply) error {
	switch {
	case p.profile == nil:
	case r.Event == "ready" && r.Addr != "":
		if err := pprof.StartCPUProfile(p.profile); err != nil {
			return err
		}
	case r.Event == "done":
		pprof.StopCPUProfile()
	}
	return p.out.Encode(r)
}

// await waits for a word.
func (p *parent) await(ctx context.Context, want string) error {
	select {
	case got := <-p.words:
		if got != want {
			return fmt.Errorf("told %q, want %q", got, want)
		}
		if want == wordGo && p.profile != nil {
			return pprof.StartCPUProfile(p.profile)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// monotonic is the clock that all processes of a machine share, in nanoseconds.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // there is no Linux without it
	}
	return t.Nano()
}

// latencies gives percentiles of times in milliseconds.
func latencies(times []time.Duration) map[string]float64 {
	slices.Sort(times)
	at := func(p float64) float64 {
		return float64(times[int(p*float64(len(times)-1))]) / float64(time.Millisecond)
	}
	return map[string]float64{"p50": at(0.5), "p99": at(0.99)}
}

// fail prints why a child ends, for its parent.
func fail(err error) {
	json.NewEncoder(os.Stdout).Encode(reply{Error: err.Error()})
	io.WriteString(os.Stderr, err.Error()+"\n")
	os.Exit(1)
}
