package main

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var e2eLogSize = flag.Int("log-size", 64, "MiB of the file that TestE2EWholeLog appends and reads elsewhere")

// TestE2EWholeLog appends a random file in blocks, and reads it in the mount of
// another process: the same bytes come out, also at the writer.
func TestE2EWholeLog(t *testing.T) {
	p := newPair(t)
	long := patience + time.Duration(*e2eLogSize)*time.Second/4
	size := *e2eLogSize<<20 + 12345 // not a whole number of blocks
	finish := func(args ...string) string {
		t.Helper()
		c := p.start(args...)
		if code := c.wait(long); code != 0 {
			t.Fatalf("%q: exit code %d", args, code)
		}
		return c.out.String()
	}
	finish("bash", "-c", fmt.Sprintf("head -c %d /dev/urandom > random", size))
	want, _, _ := strings.Cut(finish("sha256sum", "random"), " ")
	finish("multicore", "--store", "writer", "append", "--block-size", "64KiB", "random")
	eventually(t, patience, "the reader knows its length", func() bool {
		return strings.TrimSpace(p.must("cat", p.remote("core-3", "byte-length"))) == fmt.Sprint(size)
	})
	for _, log := range []string{p.path("w", "core-3", "log"), p.remote("core-3", "log")} {
		began := time.Now()
		got, _, _ := strings.Cut(finish("sha256sum", log), " ")
		expect(t, "sha256 of "+log, got, want)
		t.Logf("%s: %.0f MB/s", log, float64(size)/1e6/time.Since(began).Seconds())
	}
	last := size/(64<<10) + 1
	expect(t, "number of blocks", strings.TrimSpace(p.must("cat", p.remote("core-3", "length"))), fmt.Sprint(last))
	if out := finish("bash", "-c", "cmp "+p.remote("core-3", "log")+" random && tail -c 12345 random | cmp - "+p.remote("core-3", "blocks", fmt.Sprint(last-1))); out != "" {
		t.Errorf("cmp says %s", out)
	}
}
