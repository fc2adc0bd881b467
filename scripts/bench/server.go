package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"multicore/cmd/multicore/control"
)

// serverPoll is how often processes are asked whether they are connected.
const serverPoll = 20 * time.Millisecond

// server is a running `multicore serve` or `multicore mount`.
type server struct {
	cmd    *exec.Cmd
	said   *tail
	client *control.Client
}

// launch starts a command that holds a store, in a network of its own, and waits
// until it answers. What is below store goes with the directory that it is in.
func (b *bench) launch(ctx context.Context, store string, command ...string) (*server, error) {
	args := append([]string{"--store", store}, command...)
	args = append(args, "--dht", "off", "--mdns=false")
	s := &server{said: &tail{}, cmd: exec.CommandContext(ctx, filepath.Join(filepath.Dir(b.self), "multicore"), args...)}
	s.cmd.Stderr = s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it has no input that ends
	home := filepath.Dir(store)
	s.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MULTICORE_") || strings.HasPrefix(v, "XDG_")
	}), "HOME="+home, "XDG_RUNTIME_DIR="+home)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	err := s.poll(ctx, func() (ok bool, err error) {
		if s.client, err = control.Dial(ctx, store); err != nil {
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		s.kill()
		return nil, fmt.Errorf("multicore %s does not answer: %w\n%s", command[0], err, s.said)
	}
	return s, nil
}

// connected waits until the process has so many peers.
func (s *server) connected(ctx context.Context, peers int) (st *control.Status, err error) {
	err = s.poll(ctx, func() (bool, error) {
		st, err = s.client.Status(ctx)
		return err == nil && len(st.Peers) >= peers, err
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for %d peers: %w\n%s", peers, err, s.said)
	}
	return st, nil
}

// poll asks until it is so, the process has ended or ctx has.
func (s *server) poll(ctx context.Context, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(serverPoll)
	defer tick.Stop()
	for {
		if ok, err := so(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *server) kill() {
	if s.client != nil {
		s.client.Close()
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(stopTime, func() { s.cmd.Process.Kill() })
	defer late.Stop()
	s.cmd.Wait()
}

func multiaddr(port int) string { return fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port) }

// freePorts finds ports of loopback that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
