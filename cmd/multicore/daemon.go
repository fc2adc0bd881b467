package main

import (
	"context"
	"errors"
	"fmt"
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
	cmd.Args[0] = os.Args[0] // the name says how it is called
	cmd.Env = append(os.Environ(), daemonEnv+"=1")
	for to, from := range map[*io.Writer]io.Writer{&cmd.Stdout: p.out, &cmd.Stderr: p.err} {
		if file, ok := from.(*os.File); ok { // else nobody would copy it once we are gone
			*to = file
		}
	}
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
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
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

// daemonLog opens the file of --log-file. Without a name it is the journal where
// stderr goes there, as of a mount that systemd makes, else nothing.
func daemonLog(name string) (*os.File, error) {
	switch {
	case name == "" && isJournal(os.Stderr):
		fd, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewFile(uintptr(fd), "journal"), err
	case name == "":
		return os.OpenFile(os.DevNull, os.O_RDWR, 0)
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// isJournal says whether f is the stream to the journal that systemd made for the
// process (JOURNAL_STREAM in systemd.exec(5)).
func isJournal(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
