package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// e2eKills is 200 in the long run:
//
//	go test ./cmd/multicore -run 'TestE2EKill$' -timeout 0 -kills 200
var e2eKills = flag.Int("kills", 20, "times that TestE2EKill kills the writer")

// TestE2EKill kills the writer again and again in the middle of a burst. Each
// message that was acknowledged is there after the restart, in order, and a
// reader goes on by itself, and finds no conflict.
func TestE2EKill(t *testing.T) {
	rounds := *e2eKills
	p := newPair(t)
	p.sh("echo 'before the first round' > w/append")
	p.durable("writer")
	tail := p.start("tail", "-n", "+1", "-f", p.remote("core-3", "log"))
	eventually(t, patience, "tail shows the first line", func() bool { return tail.out.String() != "" })
	acked := make([]int, 0, rounds)
	for round := range rounds {
		acked = append(acked, p.burst(round, 20+rand.IntN(2500)))
		began := time.Now()
		p.writer = p.mount("writer", "w") // clears the stale mount
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("restart %d took %v", round, took)
		}
		for _, core := range []string{"core-2", "core-3"} {
			checkBursts(t, core, p.must("cat", p.path("w", core, "log")), acked)
		}
	}
	log := p.must("cat", p.path("w", "core-3", "log"))
	eventually(t, patience, "tail shows all of it", func() bool { return len(tail.out.String()) >= len(log) })
	if got := tail.out.String(); got != log {
		t.Fatalf("the reader's tail shows what the log is not; %s", firstDifference(got, log))
	}
	for _, store := range []string{"writer", "reader"} {
		for _, c := range p.status(store).Cores {
			if c.Conflict {
				t.Errorf("%s: %s is in conflict", store, c.Path)
			}
		}
	}
	t.Logf("acknowledged in each round: %d", acked)
}

// burst writes until the writer is killed, which happens after some number of
// writes, and gives how many were acknowledged. Each write is a message for
// core-2 and one for core-3.
func (p *pair) burst(round, after int) (acked int) {
	p.t.Helper()
	f, err := os.OpenFile(p.path("w", "append"), os.O_WRONLY, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	reached, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := fmt.Fprintf(f, "%c%c%c\nround %d message %d\n", '0'+round%64, '0'+acked/64%64, '0'+acked%64, round, acked); err != nil {
				return
			}
			if acked++; acked == after {
				close(reached)
			}
		}
	}()
	select {
	case <-reached:
	case <-ended:
		p.t.Fatalf("round %d: writing failed after %d messages while the writer ran", round, acked)
	}
	p.writer.kill()
	select {
	case <-ended:
	case <-time.After(patience):
		p.t.Fatalf("round %d: a write hangs after the writer was killed", round)
	}
	return acked
}

// checkBursts checks that a log has of each round all messages that were
// acknowledged, and at most the one more that was under way.
func checkBursts(t *testing.T, core, log string, acked []int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
	if core == "core-3" {
		lines = lines[1:]
	}
	for round, n := range acked {
		for i := 0; ; i++ {
			want := fmt.Sprintf("round %d message %d", round, i)
			if core == "core-2" {
				want = fmt.Sprintf("%c%c%c", '0'+round%64, '0'+i/64%64, '0'+i%64)
			}
			if len(lines) > 0 && lines[0] == want && i <= n {
				lines = lines[1:]
				continue
			}
			if i < n {
				t.Fatalf("%s after round %d: message %d of the %d acknowledged in round %d is missing", core, len(acked)-1, i, n, round)
			}
			break
		}
	}
	if len(lines) > 0 {
		t.Fatalf("%s has %d lines that nobody wrote, such as %q", core, len(lines), lines[0])
	}
}

// TestE2EKillReader kills a reader in the middle of its download, again and
// again: what it recorded it has verified, and in the end it has all.
func TestE2EKillReader(t *testing.T) {
	const blocks = 4000
	p := newPair(t)
	p.sh(fmt.Sprintf("seq -f '%%0999.0f' %d >> w/append", blocks))
	p.durable("writer")
	p.must("multicore", "--store", "reader", "follow", p.key)
	path := p.key + "/core-3"
	held := func() (n uint64) {
		for _, c := range p.status("reader").Cores {
			if c.Path == path {
				n = c.ContiguousLength
			}
		}
		return n
	}
	var at []uint64
	for last := uint64(0); last < blocks && len(at) < 8; {
		eventually(t, patience, "the download goes on", func() bool { return held() > last || held() == blocks })
		p.reader.kill()
		p.reader = p.mount("reader", "r")
		last = held()
		at = append(at, last)
	}
	p.must("multicore", "--store", "reader", "follow", p.key, "--wait")
	p.writer.stop()
	out, _, code := p.run("bash", "-c", fmt.Sprintf("cmp <(seq -f '%%0999.0f' %d) %s", blocks, p.remote("core-3", "log")))
	if code != 0 {
		t.Fatalf("the copy is not what was written: %s", out)
	}
	t.Logf("killed when it held %d of %d blocks", at, blocks)
}
