package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

const socketName = "control.sock"

// longestAddress is what fits into the sun_path of a socket address, with its
// final zero byte left out.
const longestAddress = 107

// inAddress calls fn with an address of the socket in dir. Where the path is
// too long for a socket address it goes through an open directory.
func inAddress(dir string, fn func(address string) error) error {
	if path := filepath.Join(dir, socketName); len(path) <= longestAddress {
		return fn(path)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return fn(fmt.Sprintf("/proc/self/fd/%d/%s", fd, socketName))
}

// listen makes the socket of dir. The caller holds the store's lock, so a
// socket file that is there already was left by a process that died.
func listen(ctx context.Context, dir string) (*net.UnixListener, error) {
	if err := os.Remove(filepath.Join(dir, socketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// On Linux a bound socket file takes over the mode of the socket, so it is
	// never there with a wider one; a umask would be one of the whole process.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmod error
		if err := c.Control(func(fd uintptr) { chmod = unix.Fchmod(int(fd), 0o600) }); err != nil {
			return err
		}
		return chmod
	}}
	var l *net.UnixListener
	err := inAddress(dir, func(address string) error {
		made, err := lc.Listen(ctx, "unix", address)
		if err != nil {
			return err
		}
		l = made.(*net.UnixListener)
		// The address may name a descriptor that is closed by then; Server
		// removes the file by its path.
		l.SetUnlinkOnClose(false)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	return l, nil
}

// connect gives ErrNoServer where nobody listens.
func connect(ctx context.Context, dir string) (net.Conn, error) {
	var conn net.Conn
	err := inAddress(dir, func(address string) (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "unix", address)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, ErrNoServer
	case err != nil:
		return nil, fmt.Errorf("reach the process that holds %s: %w", dir, err)
	}
	return conn, nil
}

// peerPID is the process at the other end, which for a client is the one that
// listens; 0 if unknown.
func peerPID(conn net.Conn) int {
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
