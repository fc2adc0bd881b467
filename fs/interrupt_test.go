package fs

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInterrupt ends what waits for a network by SIGINT, long before the read
// timeout, also where several wait for the same.
func TestInterrupt(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	var list []string
	for i := range 64 {
		list = append(list, fmt.Sprintf("message %d\n", i))
	}
	a.append("core-3", list...)
	cut := connect(t, a, b)
	m := remoteMount(t, b, time.Hour)
	key := a.own.Key().String()
	m.want(key+"/core-3/0", list[0])
	cut()
	unknown := strings.Repeat("ab", 32)
	for _, script := range []string{
		`cat $M/` + key + `/core-3/blocks/40`,
		`cat $M/` + key + `/core-3/log > /dev/null`,
		`cat $M/` + unknown + `/core-3/log`,
		`stat $M/` + unknown + `/core-3`,
		`ls $M/` + unknown,
		`cd $M/` + unknown + `/core-3 && sleep 3600`,
	} {
		t.Run(script, func(t *testing.T) {
			var waiting []*exec.Cmd
			for range 2 {
				c := m.command(`echo ready; exec 2>/dev/null; ` + script)
				out, err := c.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				waiting = append(waiting, c)
			}
			inRequest(t, waiting)
			for _, c := range waiting {
				if err := syscall.Kill(-c.Process.Pid, syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				ended := make(chan error, 1)
				go func() { ended <- c.Wait() }()
				select {
				case err := <-ended:
					if err == nil {
						t.Error("it succeeded")
					}
					if took := time.Since(began); took > 2*time.Second {
						t.Errorf("took %v", took)
					}
				case <-time.After(patience):
					syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
					t.Fatal("not interrupted")
				}
			}
		})
	}
}

// inRequest waits until some process in the group of each command waits for an
// answer of the mount.
func inRequest(t *testing.T, commands []*exec.Cmd) {
	t.Helper()
	end := time.Now().Add(patience)
	for _, c := range commands {
		for !groupWaits(c.Process.Pid) {
			if time.Now().After(end) {
				t.Fatalf("%v does not wait in the mount", c)
			}
			// Reading /proc tells of no change to wait for.
			exec.Command("true").Run()
		}
	}
}

// groupWaits says whether a process of the group is blocked in FUSE.
func groupWaits(group int) bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		if g, err := syscall.Getpgid(pid); err != nil || g != group {
			continue
		}
		wchan, err := os.ReadFile("/proc/" + e.Name() + "/wchan")
		if err == nil && (strings.Contains(string(wchan), "fuse") || strings.Contains(string(wchan), "request_wait_answer")) {
			return true
		}
	}
	return false
}

// TestUnmountEndsWaiting unmounts while a program waits for a network.
func TestUnmountEndsWaiting(t *testing.T) {
	b := newMachine(t, true)
	m := remoteMount(t, b, time.Hour)
	failed := make(chan error, 1)
	waiter := m.command(`cat $M/` + strings.Repeat("ab", 32) + `/main/log`)
	if err := waiter.Start(); err != nil {
		t.Fatal(err)
	}
	inRequest(t, []*exec.Cmd{waiter})
	go func() { failed <- waiter.Wait() }()
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if err == nil {
			t.Error("it succeeded")
		}
	case <-time.After(patience):
		waiter.Process.Kill()
		t.Fatal("still waits")
	}
}
