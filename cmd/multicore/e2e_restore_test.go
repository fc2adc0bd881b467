package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestE2ERestored makes the writer's store again from its primary key. It must
// not sign other blocks in place of those that a reader has: it goes on behind
// them.
func TestE2ERestored(t *testing.T) {
	p := newPair(t)
	p.sh("for i in {1..50}; do echo message $i; done > w/append; echo hi > w/append")
	p.durable("writer")
	p.must("multicore", "--store", "reader", "follow", p.key, "--wait")
	before := p.must("cat", "w/core-3/log")
	p.writer.stop()
	p.sh("cp writer/primary-key key; rm -r writer")

	out := p.must("multicore", "--store", "writer", "init", "--primary-key", "key")
	if !strings.Contains(out, p.key) {
		t.Fatalf("init from the primary key says %q, want key %s", out, p.key)
	}
	// Without a peer, messages are taken, and signed later.
	p.must("bash", "-c", "echo while offline | multicore --store writer append")
	if core := p.coreStatus("writer", "core-3"); core.Length != 1 || core.DurableLength != 0 {
		t.Fatalf("a restored store without a peer signed something: %+v", core)
	}
	p.writer = p.mount("writer", "w")
	p.sh("echo back again > w/append")
	want := before + "while offline\nback again\n"
	for _, log := range []string{p.remote("core-3", "log"), p.path("w", "core-3", "log")} {
		eventually(t, patience, log+" has all", func() bool { return p.must("cat", log) == want })
	}
	if core := p.coreStatus("reader", p.key+"/core-3"); core.Length != 52 || core.Fork != 0 {
		t.Fatalf("the reader has %+v, want 52 blocks of fork 0", core)
	}
	expect(t, "the restored core-2", p.must("cat", "w/core-2/log"), "hi\n")
}

// TestE2EOldBackup puts an old copy of the writer's store back in place of one
// that a reader took more from. It must go on behind what the reader has, though
// it takes messages before it meets the reader.
func TestE2EOldBackup(t *testing.T) {
	p := newPair(t)
	p.sh("for i in {1..5}; do echo before $i; done > w/append")
	p.durable("writer")
	p.must("multicore", "--store", "reader", "follow", p.key, "--wait")
	p.writer.stop()
	p.sh("cp -a writer backup")

	p.writer = p.mount("writer", "w")
	p.sh("for i in {1..50}; do echo message $i; done > w/append")
	p.durable("writer")
	p.must("multicore", "--store", "reader", "follow", p.key, "--wait")
	before := p.must("cat", "w/core-3/log")
	p.reader.stop()
	p.writer.stop()

	p.sh("rm -r writer; mv backup writer")
	p.writer = p.mount("writer", "w")
	p.sh("for i in 1 2 3; do echo late $i >> w/append; done")
	if core := p.coreStatus("writer", "core-3"); core.Length != 8 || core.DurableLength != 5 {
		t.Fatalf("an old copy without a peer: %+v", core)
	}
	p.reader = p.mount("reader", "r")
	want := before + "late 1\nlate 2\nlate 3\n"
	for _, log := range []string{p.remote("core-3", "log"), p.path("w", "core-3", "log")} {
		eventually(t, patience, log+" has all", func() bool { return p.must("cat", log) == want })
	}
	if core := p.coreStatus("reader", p.key+"/core-3"); core.Length != 58 || core.Fork != 0 {
		t.Fatalf("the reader has %+v, want 58 blocks of fork 0", core)
	}

	// The same store again, neither copied nor moved, is heard after a moment
	// though nobody is there to ask.
	p.reader.stop()
	p.writer.stop()
	p.writer = p.mount("writer", "w")
	p.sh("echo alone >> w/append")
	p.durable("writer")
}

// TestE2EDamage truncates files of a store. What is shown afterwards is what
// was written, or an error.
func TestE2EDamage(t *testing.T) {
	l := newLab(t)
	l.net = []string{"--dht", "off", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0"}
	for _, name := range []string{"blocks", "tree"} {
		store := filepath.Join(name, "store")
		l.must("bash", "-c", "for i in {1..100}; do echo message $i; done | multicore --store "+store+" append")
		core := l.coreStatus(store, "core-3")
		file := l.path(store, "cores", core.DiscoveryKey, name)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, info.Size()/2); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"cat", "core-3"}, {"get", "core-3", "99"}, {"status", "--json"}, {"mount", "mnt", "--dht", "off", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0"}} {
			out, errs, code := l.run(append([]string{"multicore", "--store", store}, args...)...)
			if code == 0 || out != "" || !strings.HasPrefix(errs, "multicore: ") || strings.Count(errs, "\n") != 1 {
				t.Errorf("%s with half of %s: exit code %d, %q\n%s", args[0], name, code, out, errs)
			}
		}
	}
}
