package fs

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"multicore/corestore/multicore"
)

var fioSize = flag.Int("fio-size", 1, "MiB that each thread of TestFio reads")

// TestFio has fio write a file, appends that as blocks, and has fio verify each
// block of it in the own log and in the remote one: read at random by several
// threads, in all the ways that programs read.
func TestFio(t *testing.T) {
	needTools(t, "fio")
	const threads = 4
	a, b := newMachine(t, true), newMachine(t, true)
	o := a.options()
	o.Framing = multicore.Framing{Mode: multicore.BySize, Size: 64 << 10}
	own := mount(t, "", o)
	connect(t, a, b)
	remote := remoteMount(t, b, patience)
	dir := t.TempDir()
	// A thread reads in the order in which it wrote, so that it knows what to expect.
	fio := func(file string, args ...string) error {
		c := exec.CommandContext(t.Context(), "fio", append([]string{
			"--name=job", "--thread", "--randrepeat=1", "--group_reporting", "--output-format=terse",
			fmt.Sprintf("--numjobs=%d", threads), fmt.Sprintf("--size=%dm", *fioSize), fmt.Sprintf("--offset_increment=%dm", *fioSize),
			"--bs=4k", "--verify=crc32c", "--verify_fatal=1", "--filename=" + file}, args...)...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%.2000s", err, out)
		}
		return nil
	}
	plain := filepath.Join(dir, "plain")
	if err := fio(plain, "--rw=randwrite", "--do_verify=0", "--ioengine=psync"); err != nil {
		t.Fatal(err)
	}
	own.sh("cat " + plain + " > $M/core-3/append")
	if err := a.own.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	ownLog, remoteLog := own.path("core-3/log"), remote.path(a.own.Key().String()+"/core-3/log")
	for _, job := range []struct{ log, how string }{
		{remoteLog, "--ioengine=psync"}, // nothing is here yet
		{remoteLog, "--ioengine=libaio --iodepth=16 --direct=1"},
		{ownLog, "--ioengine=psync"},
		{ownLog, "--ioengine=mmap --numjobs=1"}, // of several jobs fio maps one place
	} {
		if err := fio(job.log, append(strings.Fields(job.how), "--rw=randread", "--readonly")...); err != nil {
			t.Errorf("%s, %s: %v", job.log, job.how, err)
		}
	}
	// It would have seen a wrong byte.
	f, err := os.OpenFile(plain, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, 1<<20+777); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	one[0]++
	if _, err := f.WriteAt(one, 1<<20+777); err != nil {
		t.Fatal(err)
	}
	if err := fio(plain, "--rw=randread", "--readonly", "--ioengine=psync"); err == nil {
		t.Error("fio does not see a wrong byte")
	}
}
