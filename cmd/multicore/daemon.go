package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// A daemon is this program started again, in a session of its own and with a
// pipe as descriptor 3. It prints and fails like any mount until it is usable;
// then it lets the terminal go and writes one byte to the pipe.
const (
	daemonEnv = "MULTICORE_DAEMON_PIPE"
	daemonFD  = 3
)

func isDaemon() bool { return os.Getenv(daemonEnv) != "" }

// daemonFailed is how the daemon ended before it was usable; it has said why.
type daemonFailed struct{ code int }

func (daemonFailed) Error() string { return "the daemon failed" }

// startDaemon starts the daemon and returns once it is usable.
func (p *program) startDaemon(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), daemonEnv+"=1")
	cmd.Stdout, cmd.Stderr = p.out, p.err
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return err
	}
	forward := context.AfterFunc(ctx, func() { cmd.Process.Signal(syscall.SIGTERM) })
	defer forward()
	if _, err := io.ReadFull(ready, make([]byte, 1)); err == nil {
		return cmd.Process.Release()
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return daemonFailed{exit.ExitCode()}
	}
	if err == nil {
		err = ctx.Err() // told to stop before it was usable
	}
	return err
}

// detach lets go of what the daemon got from whoever started it. What it says
// from now on goes to log, which is closed.
func detach(log *os.File) error {
	defer log.Close()
	null, err := workingFile("")
	if err != nil {
		return err
	}
	defer null.Close()
	for fd, file := range []*os.File{null, log, log} {
		if err := unix.Dup3(int(file.Fd()), fd, 0); err != nil {
			return err
		}
	}
	if err := os.Chdir("/"); err != nil { // hold no directory busy
		return err
	}
	pipe := os.NewFile(daemonFD, "daemon pipe")
	defer pipe.Close()
	_, err = pipe.Write([]byte{1})
	return err
}
