package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child, ours or in Node, that answers in lines of JSON.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
	said  *tail // standard error
}

// start runs a command until ctx ends and gives it its spec.
func start(ctx context.Context, name string, argv []string, s spec) (*process, error) {
	p := &process{name: name, cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), said: &tail{}}
	p.cmd.Stderr = p.said
	p.cmd.WaitDelay = stopTime
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := json.Marshal(s)
	if err == nil {
		_, err = p.stdin.Write(append(line, '\n'))
	}
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

func (p *process) say(word string) error {
	_, err := io.WriteString(p.stdin, word+"\n")
	return err
}

// expect reads the next line, which has to be that event.
func (p *process) expect(event string) (reply, error) {
	line, err := p.lines.ReadBytes('\n')
	var r reply
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	switch {
	case err != nil:
		return r, fmt.Errorf("%s ended without an answer: %w\n%s", p.name, err, p.said)
	case r.Error != "":
		return r, fmt.Errorf("%s: %s", p.name, r.Error)
	case r.Event != event:
		return r, fmt.Errorf("%s says %q, want %q", p.name, r.Event, event)
	}
	return r, nil
}

const stopTime = 30 * time.Second

// stop ends the child's input and waits for its end.
func (p *process) stop() error {
	p.stdin.Close()
	late := time.AfterFunc(stopTime, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	io.Copy(io.Discard, p.lines)
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, err, p.said)
	}
	return nil
}

func (p *process) kill() {
	p.stdin.Close()
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// cpu is the processor time that the process took so far.
func (p *process) cpu() (time.Duration, error) { return cpuOf(p.cmd.Process.Pid) }

// peak is the most memory that it had resident so far, in bytes.
func (p *process) peak() (uint64, error) { return peakOf(p.cmd.Process.Pid) }

// cpuOf reads the clock of a process's processor time (clock_getcpuclockid(3)).
func cpuOf(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, fmt.Errorf("processor time of %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// peakOf reads VmHWM of a process.
func peakOf(pid int) (uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.ParseUint(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmHWM of process " + strconv.Itoa(pid))
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = bytes.Clone(t.buf[over:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// datasync is fdatasync(2).
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
