package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"multicore/cmd/multicore/control"
)

// The end-to-end tests run this command as its users do: many processes, each
// with a store of its own, real mounts and real networks, loopback only. The
// command is this test binary (see TestMain), found in PATH.

// patience is how long an end-to-end test waits for what ought to come.
const patience = 30 * time.Second

// needs skips the test where the machine lacks something, which is a failure
// in continuous integration.
func needs(t *testing.T, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true":
		t.Fatalf("needs %s", what)
	default:
		t.Skipf("needs %s", what)
	}
}

func needsMount(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts many processes")
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	needs(t, err == nil, "/dev/fuse")
	_, err = exec.LookPath("fusermount3")
	needs(t, os.Geteuid() == 0 || err == nil, "root or fusermount3")
}

// lab is a place for the processes of one test.
type lab struct {
	t   *testing.T
	dir string   // stores and mountpoints
	env []string // of every process
	net []string // network flags of mount and serve
	ns  []string // prefix of every command: the network namespace
}

func newLab(t *testing.T) *lab {
	t.Helper()
	needsMount(t)
	l := &lab{t: t, dir: t.TempDir()}
	for _, dir := range []string{"run", "home"} {
		if err := os.Mkdir(filepath.Join(l.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MULTICORE_") && !strings.HasPrefix(v, "XDG_") && !strings.HasPrefix(v, "HOME=") {
			l.env = append(l.env, v)
		}
	}
	l.env = append(l.env, "LC_ALL=C.UTF-8", "HOME="+l.path("home"), "XDG_RUNTIME_DIR="+l.path("run"))
	return l
}

// path is a path in the lab.
func (l *lab) path(elem ...string) string { return filepath.Join(append([]string{l.dir}, elem...)...) }

// bootstrap starts a node of a private DHT; mounts and serves of this lab enter
// through it and find each other by nothing else.
func (l *lab) bootstrap() {
	l.t.Helper()
	l.net = []string{"--dht", "private", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0"}
	p := l.serve("bootstrap")
	line := p.expect("listening on ")
	l.net = append(l.net, "--bootstrap", strings.TrimPrefix(line, "listening on "))
}

// command is a program that runs in the lab.
func (l *lab) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append(l.ns[:len(l.ns):len(l.ns)], args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = l.dir, l.env
	// SIGTERM where this process ends without its cleanups, as go test -timeout does.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs a program to its end and gives what it printed and its exit code.
func (l *lab) run(args ...string) (stdout, stderr string, code int) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := l.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		l.t.Fatalf("%q: %v %v\n%s%s", args, err, ctx.Err(), &out, &errs)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must runs a program that must succeed and gives its standard output.
func (l *lab) must(args ...string) string {
	l.t.Helper()
	out, errs, code := l.run(args...)
	if code != 0 {
		l.t.Fatalf("%q: exit code %d\n%s%s", args, code, out, errs)
	}
	return out
}

// sh runs a shell script, which must succeed, in the directory of the lab.
func (l *lab) sh(script string) string {
	l.t.Helper()
	return l.must("bash", "-c", script)
}

// status is what `status --json` says of a store.
func (l *lab) status(store string) *control.Status {
	l.t.Helper()
	var st control.Status
	if err := json.Unmarshal([]byte(l.must("multicore", "--store", store, "status", "--json")), &st); err != nil {
		l.t.Fatal(err)
	}
	return &st
}

// coreStatus is what `status --json` says of one core of a store.
func (l *lab) coreStatus(store, path string) control.Core {
	l.t.Helper()
	for _, c := range l.status(store).Cores {
		if c.Path == path {
			return c
		}
	}
	l.t.Fatalf("status of %s names no core %s", store, path)
	return control.Core{}
}

// durable waits until peers may see all that was appended to a store.
func (l *lab) durable(store string) {
	l.t.Helper()
	eventually(l.t, patience, "all of "+store+" is durable", func() bool {
		for _, c := range l.status(store).Cores {
			if c.Writable && c.DurableLength != c.Length {
				return false
			}
		}
		return true
	})
}

// received is how many bytes a store's process took in on replication streams.
func (l *lab) received(store string) (n uint64) {
	for _, p := range l.status(store).Peers {
		n += p.ReceivedBytes
	}
	return n
}

// start starts a program that goes on until it is stopped or the test ends.
func (l *lab) start(args ...string) *process {
	l.t.Helper()
	return l.startFrom(nil, args...)
}

// startFrom is start with a standard input, nil for an empty one.
func (l *lab) startFrom(stdin *os.File, args ...string) *process {
	l.t.Helper()
	p := &process{t: l.t, args: args, done: make(chan struct{})}
	p.cmd = l.command(context.Background(), args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	if stdin != nil {
		p.cmd.Stdin = stdin
	}
	if err := p.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	l.t.Cleanup(func() {
		p.end()
		for _, sign := range []string{"DATA RACE", "panic: ", "fatal error: "} {
			if strings.Contains(p.errs.String(), sign) {
				l.t.Errorf("%q had a %s\n%s", args, sign, &p.errs)
			}
		}
		if l.t.Failed() {
			l.t.Logf("%q said\n%s%s", args, p.errs.tail(), p.out.tail())
		}
	})
	return p
}

// serve starts a node without a mount.
func (l *lab) serve(store string, flags ...string) *process {
	l.t.Helper()
	args := append([]string{"multicore", "--store", store, "serve"}, l.net...)
	p := l.start(append(args, flags...)...)
	p.expect("listening on ")
	return p
}

// mount starts a mount and returns once it is usable.
func (l *lab) mount(store, mnt string, flags ...string) *process {
	l.t.Helper()
	args := append([]string{"--store", store, "mount", mnt}, l.net...)
	return l.mounting(mnt, append(args, flags...)...)
}

// mounting starts a mount at mnt with these arguments and no others.
func (l *lab) mounting(mnt string, args ...string) *process {
	l.t.Helper()
	p := l.start(append([]string{"multicore"}, args...)...)
	l.t.Cleanup(func() { // runs before the process is stopped by start
		p.end()
		syscall.Unmount(l.path(mnt), syscall.MNT_DETACH)
	})
	p.expect("mounted on ")
	return p
}

// process is a running program.
type process struct {
	t         *testing.T
	args      []string
	cmd       *exec.Cmd
	out, errs output
	done      chan struct{} // closed once it ended
}

// expect waits for a line of standard output with that prefix and gives it.
func (p *process) expect(prefix string) string {
	p.t.Helper()
	return p.expectWithin(patience, prefix)
}

// expectWithin is expect with a patience of its own.
func (p *process) expectWithin(d time.Duration, prefix string) string {
	p.t.Helper()
	var found string
	eventually(p.t, d, strings.Join(p.args, " ")+" says "+prefix, func() bool {
		for line := range strings.Lines(p.out.String()) {
			if strings.HasPrefix(line, prefix) && strings.HasSuffix(line, "\n") {
				found = strings.TrimSpace(line)
				return true
			}
		}
		select {
		case <-p.done:
			p.t.Fatalf("%q ended with %v", p.args, p.cmd.ProcessState)
		default:
		}
		return false
	})
	return found
}

func (p *process) signal(s syscall.Signal) { syscall.Kill(-p.cmd.Process.Pid, s) }

// wait waits for the end of the process and gives its exit code.
func (p *process) wait(d time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(d):
		p.t.Fatalf("%q does not end", p.args)
		return -1
	}
}

// stop ends it as a service manager does; it must end well.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.wait(patience); code != 0 {
		p.t.Fatalf("%q ended with exit code %d", p.args, code)
	}
}

// kill ends it as a crash does.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait(patience)
}

// end stops it in a cleanup.
func (p *process) end() {
	select {
	case <-p.done:
		return
	default:
		p.signal(syscall.SIGTERM)
	}
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.t.Errorf("%q does not end when asked to", p.args)
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// output is what a process printed so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) tail() string {
	s := o.String()
	return s[max(0, len(s)-2000):]
}

// eventually waits until cond holds.
func eventually(t *testing.T, d time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("after %v still not: %s", d, what)
		}
	}
}
