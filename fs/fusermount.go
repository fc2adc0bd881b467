package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// fusermount finds the program that mounts for those who are not root.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", exec.ErrNotFound
}

// mountAsUser has fusermount3 mount, which may do what we may not, and gives the
// descriptor to serve it on. go-fuse could do this too, but what the program says
// would go past us to the user.
func mountAsUser(path string, t table) (fd int, err error) {
	program, err := fusermount()
	if err != nil {
		return 0, &unavailableError{reason: errors.New("not root, and fusermount3 is not installed")}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("%w %s: %w", ErrMount, path, err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "fusermount3"), os.NewFile(uintptr(pair[1]), "fusermount3")
	defer ours.Close()
	source := strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(t.source)
	options := "fsname=" + source + ",subtype=" + typeName + ",noexec," + t.options()
	if t.readOnly {
		options += ",ro"
	}
	cmd := exec.Command(program, "-o", options, "--", path)
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3") // the first of ExtraFiles
	cmd.ExtraFiles = []*os.File{theirs}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run()
	theirs.Close()
	if err == nil {
		if fd, err = receive(pair[0]); err == nil {
			return fd, nil
		}
	}
	text := strings.TrimSpace(said.String())
	if strings.Contains(text, "user_allow_other") {
		return 0, fmt.Errorf("%w %s: %w", ErrMount, path, ErrAllowOther)
	}
	text = strings.TrimPrefix(text, program+": ")
	if text == "" {
		text = err.Error()
	}
	return 0, fmt.Errorf("%w %s: fusermount3: %s", ErrMount, path, text)
}

// receive takes the descriptor that a program sent through a socket.
func receive(socket int) (int, error) {
	control := make([]byte, unix.CmsgSpace(4)) // a descriptor is an int32
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return 0, err
	}
	if len(messages) != 1 {
		return 0, errors.New("gave no descriptor")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	if len(fds) != 1 {
		return 0, fmt.Errorf("gave %d descriptors", len(fds))
	}
	return fds[0], nil
}
