package corestore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// holdStore names a directory whose store the test binary, run again, makes and
// holds until its standard input ends.
const holdStore = "CORESTORE_TEST_HOLD"

func TestMain(m *testing.M) {
	if role := os.Getenv(manyRole); role != "" {
		if err := playMany(role); err != nil {
			fmt.Fprintln(os.Stderr, role, "failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(holdStore); dir != "" {
		s, err := Open(dir, Options{Create: true})
		fmt.Println(err)
		if err != nil {
			os.Exit(1)
		}
		io.Copy(io.Discard, os.Stdin)
		if err := s.Close(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// hold starts a process that has the store open.
func hold(t *testing.T, dir string) (cmd *exec.Cmd, end io.Closer) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdStore+"="+dir)
	stdin, err := cmd.StdinPipe()
	check(t, err)
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "<nil>\n" {
		t.Fatalf("the other process: %q, %v", line, err)
	}
	return cmd, stdin
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	other, end := hold(t, dir)
	pid := "pid " + strconv.Itoa(other.Process.Pid)
	refused(t, dir, Options{}, ErrInUse, dir, pid)
	refused(t, dir, Options{Create: true}, ErrInUse, dir, pid)
	check(t, end.Close())
	check(t, other.Wait())
	check(t, openStore(t, dir, Options{}).Close())

	// A process that is killed holds nothing.
	other, _ = hold(t, dir)
	refused(t, dir, Options{}, ErrInUse, strconv.Itoa(other.Process.Pid))
	check(t, other.Process.Kill())
	other.Wait()
	s := openStore(t, dir, Options{})
	refused(t, dir, Options{}, ErrInUse, strconv.Itoa(os.Getpid()))
	check(t, s.Close())
}

// TestLockFirst: nothing of a store in use is read, so its damage is not reported.
func TestLockFirst(t *testing.T) {
	dir := t.TempDir()
	hold(t, dir)
	check(t, os.WriteFile(filepath.Join(dir, primaryKeyFile), []byte("damaged"), 0o600))
	refused(t, dir, Options{}, ErrInUse)
}

// TestStalePid: what a killed process left in the lock is not taken for a holder.
func TestStalePid(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, lockFile), []byte("999999\n"), 0o600))
	check(t, openStore(t, dir, Options{Create: true}).Close())
	text, err := os.ReadFile(filepath.Join(dir, lockFile))
	check(t, err)
	if len(text) != 0 {
		t.Errorf("the lock of a closed store names %q", text)
	}
	f, err := lock(dir)
	check(t, err)
	check(t, f.Truncate(0)) // the holder has not written its pid yet
	_, err = lock(dir)
	if !errors.Is(err, ErrInUse) || strings.Contains(err.Error(), "pid") {
		t.Errorf("got %v, want ErrInUse without a pid", err)
	}
	check(t, unlock(f))
}
