package fs

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// With 1,000,000 it takes a minute, most of it to make the native directories.
var listed = flag.Int("listed", 50_000, "blocks that BenchmarkListBlocks lists")

// BenchmarkListBlocks has ls list the blocks of a core, and native directories
// with as many files beside it. The ratios are of the best of all rounds: more is
// faster than native.
func BenchmarkListBlocks(b *testing.B) {
	a := newMachine(b, true)
	m := mount(b, "", a.options())
	for left := *listed; left > 0; left -= 10_000 {
		a.append("core-3", make([]string, min(left, 10_000))...)
	}
	dirs := map[string]string{"ours": m.path("core-3/blocks"), "tmpfs": nativeDir(b, "/dev/shm"), "disk": nativeDir(b, "")}
	for _, how := range []struct {
		name string
		args []string
	}{{"names", []string{"-U"}}, {"inodes", []string{"-iU"}}} {
		b.Run(how.name, func(b *testing.B) {
			times := make(map[string][]time.Duration)
			for b.Loop() {
				for name, dir := range dirs {
					began := time.Now()
					out, err := exec.Command("ls", append(how.args, dir)...).Output()
					times[name] = append(times[name], time.Since(began))
					if n := bytes.Count(out, []byte("\n")); err != nil || n != *listed {
						b.Fatalf("%s: %d names, %v", name, n, err)
					}
				}
			}
			best := func(name string) float64 { return slices.Min(times[name]).Seconds() }
			b.ReportMetric(best("ours")*1e9/float64(*listed), "ns/name")
			b.ReportMetric(best("tmpfs")/best("ours"), "x-tmpfs")
			b.ReportMetric(best("disk")/best("ours"), "x-disk")
		})
	}
}

// nativeDir makes a directory with as many empty files; in is where, "" for the
// directory of temporary files.
func nativeDir(b *testing.B, in string) string {
	b.Helper()
	dir, err := os.MkdirTemp(in, "multicore-list-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	for i := range *listed {
		if err := syscall.Mknod(filepath.Join(dir, strconv.Itoa(i)), syscall.S_IFREG|0o444, 0); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}
