package main

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"multicore/cmd/multicore/control"
)

// noticed is how long what happens to a download may stay unnoticed.
const noticed = 5 * time.Second

// TestE2EStall cuts the only peer in the middle of a download: the reader says
// within seconds that it stalled and what is missing, also who waits for the copy.
// Once the peer is back and the copy complete, the writer knows within seconds.
func TestE2EStall(t *testing.T) {
	l := newLab(t)
	l.bootstrap()
	const blocks, size = 800, 32 << 10
	l.sh(fmt.Sprintf("head -c %d /dev/urandom | multicore --store writer append --block-size 32KiB; echo hi | multicore --store writer append", blocks*size))
	key := strings.TrimSpace(l.must("multicore", "--store", "writer", "key"))
	writer := l.serve("writer", "--upload-limit", "400KB")
	reader := l.serve("reader")
	l.must("multicore", "--store", "reader", "follow", key, "--name", "friend")
	waits := l.start("multicore", "--store", "reader", "follow", key, "--wait")

	long := func() control.Core { // the reader's copy of core-3
		for _, c := range l.status("reader").Followed[0].Cores {
			if strings.HasSuffix(c.Path, "/core-3") {
				return c
			}
		}
		return control.Core{}
	}
	stalled := func() bool { c := long(); return c.Missing != nil && c.Missing.Stalled }
	eventually(t, patience, "a part is here", func() bool { return long().HeldBlocks > 20 })
	if c := long(); c.Missing == nil || c.Missing.Stalled || c.Missing.Sources != 1 || c.Missing.Blocks+c.HeldBlocks > blocks+32 {
		t.Errorf("in the middle: %+v, missing %+v", c, c.Missing)
	}
	if n := l.status("writer").FullReplicas; n != 0 {
		t.Errorf("the writer counts %d full replicas in the middle", n)
	}

	// A peer that is there and says nothing, then goes on.
	writer.signal(syscall.SIGSTOP)
	eventually(t, noticed, "the reader has stalled", stalled)
	if c := long(); c.Peers != 1 || c.Missing.Sources != 1 {
		t.Errorf("a silent peer: %+v, missing %+v", c, c.Missing)
	}
	writer.signal(syscall.SIGCONT)
	eventually(t, patience, "it goes on", func() bool { return !stalled() })

	writer.kill()
	eventually(t, noticed, "the reader has stalled again", func() bool { return stalled() && long().Peers == 0 })
	c := long()
	if c.HeldBlocks >= blocks || c.Missing.Blocks != c.Length-c.HeldBlocks || c.Missing.Sources != 0 || len(c.Missing.Ranges) == 0 {
		t.Errorf("cut: %+v, missing %+v", c, c.Missing)
	}
	held := uint64(0) // the ranges name nothing that is here
	for _, r := range c.Missing.Ranges {
		held += r.Last - r.First + 1
	}
	if len(c.Missing.Ranges) < 16 && held != c.Missing.Blocks {
		t.Errorf("%d blocks in %v, want %d", held, c.Missing.Ranges, c.Missing.Blocks)
	}
	said := regexp.MustCompile(`core-3: stalled, missing \d+(–\d+)?(, \d+(–\d+)?)*( and \d+ more blocks?)?, 0 peers`)
	for _, command := range []string{"status", "ls"} {
		if out := l.must("multicore", "--store", "reader", command); !said.MatchString(out) {
			t.Errorf("%s does not say that it stalled:\n%s", command, out)
		}
	}
	eventually(t, noticed, "who waits is told", func() bool { return said.MatchString(waits.errs.String()) })
	out, errs, code := l.run("multicore", "--store", "reader", "follow", key, "--wait", "--timeout", "300ms")
	if code != int(control.Timeout) || out != "" || !strings.Contains(errs, "multicore: the copy is not complete: ") || !said.MatchString(errs) {
		t.Errorf("follow --wait --timeout: exit code %d, %s%s", code, out, errs)
	}

	// It comes back, and the copy becomes whole.
	l.serve("writer")
	if code := waits.wait(patience); code != 0 || waits.out.String() != "" {
		t.Errorf("follow --wait: exit code %d, %q", code, waits.out.String())
	}
	full := func() bool {
		st := l.status("writer")
		for _, c := range st.Cores {
			if c.Length > 0 && c.FullReplicas != 1 {
				return false
			}
		}
		return st.FullReplicas == 1
	}
	eventually(t, noticed, "the writer shows one full replica", full)
	if out := l.must("multicore", "--store", "writer", "status"); !regexp.MustCompile(`(?m)^replicas +1 peer holds all of the own multicore$`).MatchString(out) {
		t.Errorf("status of the writer:\n%s", out)
	}
	if c := long(); c.Missing != nil || c.HeldBlocks != c.Length || c.FullReplicas != 1 {
		t.Errorf("complete: %+v, missing %+v", c, c.Missing)
	}
	l.sh("echo more and more | multicore --store writer append")
	eventually(t, noticed, "the writer shows it again", full)
	reader.stop()
	eventually(t, noticed, "nobody holds it any more", func() bool { return l.status("writer").FullReplicas == 0 })
}
