package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const someKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestE2ESparse reads one block, and one stretch of the log, of a core of
// 10,000 blocks: just these cross and are kept.
func TestE2ESparse(t *testing.T) {
	const blocks, size = 10000, 1000
	p := newPair(t)
	p.sh(fmt.Sprintf("seq -f '%%0%d.0f' %d >> w/append", size-1, blocks))
	p.durable("writer") // each head that the reader sees on the way leaves nodes
	length := p.remote("core-3", "length")
	eventually(t, patience, "the reader sees the length", func() bool {
		return p.must("cat", length) == fmt.Sprintf("%d\n", blocks)
	})
	line := func(i int) string { return fmt.Sprintf("%0*d\n", size-1, i+1) }

	before := p.received("reader")
	expect(t, "blocks/7", p.must("cat", p.remote("core-3", "blocks", "7")), line(7))
	if crossed := p.received("reader") - before; crossed < size || crossed > 16<<10 {
		t.Errorf("%d bytes crossed for one block of %d, want at most %d", crossed, size, 16<<10)
	} else {
		t.Logf("%d bytes crossed for one block of %d", crossed, size)
	}
	core := p.coreStatus("reader", p.key+"/core-3")
	if core.Length != blocks || core.ByteLength != blocks*size || core.ContiguousLength != 0 {
		t.Fatalf("the reader has %+v, want contiguous_length 0", core)
	}
	// The block and each node of its proof take a page of a sparse file.
	if got := p.diskUse("reader", core.DiscoveryKey); got > 128<<10 {
		t.Errorf("%d bytes on the disk for one block of %d", got, size)
	}

	before = p.received("reader")
	middle := p.must("dd", "if="+p.remote("core-3", "log"), fmt.Sprintf("bs=%d", 3*size),
		"iflag=skip_bytes", fmt.Sprintf("skip=%d", 5000*size), "count=1", "status=none")
	expect(t, "the middle of the log", middle, line(5000)+line(5001)+line(5002))
	if crossed := p.received("reader") - before; crossed < 3*size || crossed > 16<<10 {
		t.Errorf("%d bytes crossed for three blocks of %d", crossed, size)
	} else {
		t.Logf("%d bytes crossed for three blocks of %d in the middle of the log", crossed, size)
	}
	if core := p.coreStatus("reader", p.key+"/core-3"); core.ContiguousLength != 0 {
		t.Fatalf("the reader has %+v, want contiguous_length 0", core)
	}
	before = p.received("reader")
	expect(t, "blocks/7 again", p.must("cat", p.remote("core-3", "blocks", "7")), line(7))
	if crossed := p.received("reader") - before; crossed > size/2 {
		t.Errorf("%d bytes crossed for a block that is held", crossed)
	}
}

// diskUse is the room that a core's files take in a store.
func (l *lab) diskUse(store, discoveryKey string) (n int64) {
	l.t.Helper()
	for _, name := range []string{"blocks", "tree"} {
		var st syscall.Stat_t
		if err := syscall.Stat(l.path(store, "cores", discoveryKey, name), &st); err != nil {
			l.t.Fatal(err)
		}
		n += st.Blocks * 512
	}
	return n
}

// TestE2EReadersServe stops the writer: a third store reads everything from
// one that followed it, and what nobody has ends with an error.
func TestE2EReadersServe(t *testing.T) {
	p := newPair(t)
	p.sh("for i in {1..200}; do echo message $i; done > w/append; printf 'a\nb\n' > w/append")
	p.durable("writer")
	p.must("multicore", "--store", "reader", "follow", p.key, "--name", "friend", "--wait")
	st := p.status("reader")
	if len(st.Followed) != 1 || st.Followed[0].Name != "friend" || len(st.Followed[0].Cores) != 3 {
		t.Fatalf("followed is %+v", st.Followed)
	}
	for _, c := range st.Followed[0].Cores {
		if c.ContiguousLength != c.Length {
			t.Fatalf("followed core is not whole: %+v", c)
		}
	}
	log := p.must("cat", "w/core-3/log")
	p.writer.stop()

	p.mount("third", "m", "--read-timeout", "20s")
	expect(t, "core-3/log from the second", p.must("cat", filepath.Join("m", p.key, "core-3", "log")), log)
	expect(t, "core-2/log from the second", p.must("cat", filepath.Join("m", p.key, "core-2", "log")), "a\nb\n")
	expect(t, "get of the third", p.must("multicore", "--store", "third", "get", p.key+"/core-3", "17"), "message 18\n")
}

// TestE2ENobodyHasIt reads what no peer can give.
func TestE2ENobodyHasIt(t *testing.T) {
	p := newPair(t, "--read-timeout", "2s")
	p.sh("for i in {1..20}; do echo message $i; done > w/append")
	p.durable("writer")
	expect(t, "blocks/3", p.must("cat", p.remote("core-3", "blocks", "3")), "message 4\n")
	p.writer.stop()

	began := time.Now()
	out, errs, code := p.run("cat", p.remote("core-3", "blocks", "9"))
	if took := time.Since(began); code == 0 || out != "" || took < time.Second || took > 10*time.Second {
		t.Fatalf("cat of a block nobody has: %q, exit code %d after %v", out, code, took)
	}
	if !strings.Contains(errs, "timed out") && !strings.Contains(errs, "No route to host") {
		t.Fatalf("cat of a block nobody has says %q", errs)
	}
	expect(t, "blocks/3, which is held", p.must("cat", p.remote("core-3", "blocks", "3")), "message 4\n")

	out, errs, code = p.run("cat", filepath.Join("r", someKey, "core-3", "log"))
	if code == 0 || out != "" || errs == "" {
		t.Fatalf("cat of the log of a key nobody has: %q, %q, exit code %d", out, errs, code)
	}
	_, errs, code = p.run("multicore", "--store", "reader", "cat", someKey, "--read-timeout", "2s")
	if code != 4 || !strings.Contains(errs, "no peer has "+someKey) {
		t.Fatalf("multicore cat of a key nobody has: %q, exit code %d, want 4", errs, code)
	}
}

// TestE2EInterrupt interrupts a read that waits.
func TestE2EInterrupt(t *testing.T) {
	p := newPair(t)
	p.sh("for i in {1..20}; do echo message $i; done > w/append")
	p.durable("writer")
	expect(t, "blocks/3", p.must("cat", p.remote("core-3", "blocks", "3")), "message 4\n")
	p.writer.stop()
	for _, path := range []string{p.remote("core-3", "blocks", "9"), p.remote("core-3", "log"), p.path("r", someKey, "core-3", "log")} {
		cat := p.start("cat", path)
		eventually(t, patience, "cat waits in the kernel for "+path, func() bool {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cat.cmd.Process.Pid))
			_, rest, _ := strings.Cut(string(stat), ") ")
			open, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", cat.cmd.Process.Pid))
			return strings.HasPrefix(rest, "S") && (strings.HasPrefix(string(open), "0 ") || strings.HasPrefix(string(open), "257 ") || strings.HasPrefix(string(open), "262 "))
		})
		select {
		case <-cat.done:
			t.Fatalf("cat %s did not wait: %q", path, cat.errs.String())
		default:
		}
		began := time.Now()
		cat.signal(syscall.SIGINT)
		cat.wait(patience)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("cat %s went on for %v after Ctrl-C", path, took)
		}
		if out := cat.out.String(); out != "" {
			t.Errorf("cat %s showed %q", path, out)
		}
	}
}

// TestE2EReadOnly tries to change what is not for changing.
func TestE2EReadOnly(t *testing.T) {
	p := newPair(t)
	p.sh("for i in {1..20}; do echo message $i; done > w/append")
	p.durable("writer")
	want := p.must("cat", p.remote("core-3", "log"))
	for _, root := range []string{p.path("w"), p.remote()} {
		for _, script := range []string{
			"rm core-3/log", "rm core-3/blocks/3", "rm -r core-3", "rmdir core-3", "rm key", "rmdir core-3/blocks",
			"mv core-3 core-9", "mv core-3/log core-3/lag", "mv key /tmp/key.$$",
			"mkdir new", "mkdir core-3/new", "touch new", "touch core-3/blocks/100", "ln -s key link", "ln key link",
			"echo x > core-3/log", "echo x >> core-3/log", "echo x > core-3/blocks/3", "echo x > new", "echo x > key",
			"truncate -s 0 core-3/log", "chmod 777 core-3/log", "chown 1:1 core-3/log", "touch core-3/log", "mkfifo core-3/pipe",
		} {
			p.refused(root, script)
		}
	}
	p.refused(p.remote(), "echo x > append")
	p.refused(p.remote(), "echo x > core-3/append")
	p.refused(p.path("w"), "rm append")
	for _, root := range []string{"w", p.remote()} {
		expect(t, root+"/core-3/log", p.must("cat", filepath.Join(root, "core-3", "log")), want)
	}
	if got := p.coreStatus("writer", "core-3"); got.Length != 20 {
		t.Fatalf("core-3 has %d blocks, want 20", got.Length)
	}
}

// refused runs a command in a directory that must fail for what it may not do.
func (l *lab) refused(dir, script string) {
	l.t.Helper()
	out, errs, code := l.run("bash", "-c", "cd "+dir+" && "+script)
	refusal := strings.Contains(errs, "Read-only file system") || strings.Contains(errs, "Permission denied")
	if code == 0 || !refusal {
		l.t.Errorf("in %s %q: exit code %d, %q %q; want EROFS or EACCES", dir, script, code, out, errs)
	}
}
