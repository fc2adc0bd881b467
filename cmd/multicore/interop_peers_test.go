package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// connected waits until a store's process has n JavaScript peers.
func (l *lab) connected(store string, n int) {
	l.t.Helper()
	eventually(l.t, patience, fmt.Sprintf("%s has %d peers", store, n), func() bool {
		return len(l.status(store).Peers) == n
	})
}

// mountOf mounts a multicore of others at mnt, from store G.
func (l *lab) mountOf(key string, flags ...string) *process {
	l.t.Helper()
	args := append([]string{"--store", "G", "mount", "mnt", key, "--hypercore-listen", "127.0.0.1:0"}, l.net...)
	return l.mounting("mnt", append(args, flags...)...)
}

// block reads a block of core-3 from the mount.
func (l *lab) block(i int) (string, error) {
	b, err := os.ReadFile(l.path("mnt", "core-3", "blocks", strconv.Itoa(i)))
	return string(b), err
}

// quiet checks that a program had nothing to complain about.
func (s *script) quiet() {
	s.t.Helper()
	if said := s.errs.String(); said != "" {
		s.t.Errorf("%q said %s", s.args, said)
	}
}

// TestInteropLate: a peer is asked for a multicore before it has it, and gives
// it once it has: JavaScript that makes it, and ours that follows it.
func TestInteropLate(t *testing.T) {
	l := newInterop(t)
	primary := strings.Repeat("5e", 32)
	if err := os.WriteFile(l.path("primary"), []byte(primary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.must("multicore", "--store", "K", "init", "--primary-key", "primary")
	key := strings.Fields(l.must("multicore", "--store", "K", "key"))[0]

	l.mountOf(key, "--read-timeout", "1s")
	l.env = append(l.env, "PRIMARY_KEY="+primary, "LATE=1")
	writer := l.javascript("writer.js", "js", "connect", l.hypercoreTCP("G"))
	l.connected("G", 1)
	if _, err := os.ReadFile(l.path("mnt", "main", "log")); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("what nobody has: %v, want %v", err, syscall.EHOSTUNREACH)
	}

	l.serve("H", "--hypercore-listen", "127.0.0.1:0", "--hypercore-peer", l.hypercoreTCP("G"))
	reader := l.javascript("reader.js", "js2", key, "connect", l.hypercoreTCP("H"))
	l.connected("H", 2)

	writer.say("now")
	expect(t, "the key", writer.expect("main core key: "), "main core key: "+key)
	writer.say("hello, world")
	eventually(t, patience, "the mount shows it", func() bool {
		b, err := l.block(0)
		return err == nil && b == "hello, world\n"
	})

	l.must("multicore", "--store", "H", "follow", key, "--wait")
	reader.expect(`Block 0 in core-3: "hello, world\n"`)
	writer.say("live") // H takes it from G, which takes it only once it is read there
	eventually(t, patience, "the mount shows more", func() bool {
		b, err := l.block(1)
		return err == nil && b == "live\n"
	})
	reader.expect(`Block 1 in core-3: "live\n"`)
	writer.quiet()
	reader.quiet()
}

// TestInteropPassedOn: what JavaScript read from a writer of ours it gives to
// another reader of ours once the writer is gone.
func TestInteropPassedOn(t *testing.T) {
	l := newInterop(t)
	l.sh("printf 'hi\\nhello, world\\nyo\\n' | multicore --store W append")
	key := strings.Fields(l.must("multicore", "--store", "W", "key"))[0]
	random := l.randomFile("random", 15<<20+5)
	l.must("multicore", "--store", "W", "append", "--block-size", "15MiB", "random")
	writer := l.serve("W", "--hypercore-listen", "127.0.0.1:0")
	addr := l.hypercoreTCP("W")
	js := l.javascript("reader.js", "js", key, "connect", addr)
	whole := append([]byte("hello, world\n"), random...)
	js.expect("Block 2 in core-3: ")
	expect(t, "the whole core", js.ask("download 3"), fmt.Sprintf("3 %d %x", len(whole), sha256.Sum256(whole)))
	js.expect(`Block 1 in core-2: "yo\n"`)
	writer.stop()

	l.mountOf(key, "--hypercore-listen", addr) // where JavaScript comes back to
	for core, want := range map[string][]byte{"core-2": []byte("hi\nyo\n"), "core-3": whole} {
		got, err := os.ReadFile(l.path("mnt", core, "log"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d, %v", core, len(got), len(want), err)
		}
	}
}

// TestInteropLargeAtOnce: two hundred blocks of 1 MiB asked for at once, which is
// more than fits in frames, windows and buffers.
func TestInteropLargeAtOnce(t *testing.T) {
	const size, count = 1 << 20, 200
	t.Run("of JavaScript", func(t *testing.T) {
		l := newInterop(t)
		js := l.javascript("writer.js", "js", "listen", "127.0.0.1:0")
		addr := strings.TrimPrefix(js.expect("listening on "), "listening on ")
		key := strings.TrimPrefix(js.expect("main core key: "), "main core key: ")
		js.say("/blocks 3 %d %d", size, count)
		js.expect(fmt.Sprintf("appended 1 0 %d", count))
		l.mountOf(key, "--hypercore-peer", addr)
		var reads sync.WaitGroup
		for i := range count {
			reads.Go(func() {
				got, err := l.block(i)
				if err != nil || got != strings.Repeat(string([]byte{byte(i)}), size) {
					t.Errorf("block %d: %d bytes, %v", i, len(got), err)
				}
			})
		}
		reads.Wait()
		js.quiet()
	})
	t.Run("of ours", func(t *testing.T) {
		l := newInterop(t)
		random := l.randomFile("random", size*count)
		l.must("multicore", "--store", "G", "append", "--block-size", "1MiB", "random")
		key := strings.Fields(l.must("multicore", "--store", "G", "key"))[0]
		l.serve("G", "--hypercore-listen", "127.0.0.1:0")
		l.env = append(l.env, "SPARSE=1")
		js := l.javascript("reader.js", "js", key, "connect", l.hypercoreTCP("G"))
		js.expect("ready")
		expect(t, "all at once", js.ask(fmt.Sprintf("all 3 0 %d", count)), fmt.Sprintf("%d %x", len(random), sha256.Sum256(random)))
		js.quiet()
	})
}

// TestInteropClear: a writer in JavaScript drops blocks that we did not read yet.
// They time out, the others are read on, and another peer gives them.
func TestInteropClear(t *testing.T) {
	l := newInterop(t)
	text, starts := numberedLines(300)
	js := l.javascript("writer.js", "js", "listen", "127.0.0.1:0")
	addr := strings.TrimPrefix(js.expect("listening on "), "listening on ")
	key := strings.TrimPrefix(js.expect("main core key: "), "main core key: ")
	js.say("/lines 3 300")
	js.expect("appended 1 0 300")
	keeper := l.serve("F", "--hypercore-peer", addr)
	l.must("multicore", "--store", "F", "follow", key, "--wait")
	keeper.stop()

	l.mountOf(key, "--hypercore-peer", addr, "--read-timeout", "2s")
	read := func(i int) {
		t.Helper()
		got, err := l.block(i)
		if want := string(text[starts[i]:starts[i+1]]); err != nil || got != want {
			t.Errorf("block %d: got %q, want %q, %v", i, got, want, err)
		}
	}
	read(10)
	js.say("/clear 3 100 200")
	js.say("one more")
	js.expect("appended 1 0 301")
	eventually(t, patience, "the core grew", func() bool { return l.coreStatus("G", key+"/core-3").Length == 301 })
	if got, err := l.block(150); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("a block that its only peer dropped: got %q, %v, want %v", got, err, syscall.ETIMEDOUT)
	}
	read(99)
	read(200)
	if got, err := l.block(300); err != nil || got != "one more\n" {
		t.Errorf("block 300: got %q, %v", got, err)
	}

	l.serve("F", "--hypercore-peer", l.hypercoreTCP("G"))
	l.connected("G", 2)
	for i := range 300 {
		read(i)
	}
	js.quiet()
}

// TestInteropSparse: we hold some blocks and JavaScript asks for them, for a range
// of them, and for one that we get only later.
func TestInteropSparse(t *testing.T) {
	l := newInterop(t)
	text, starts := numberedLines(5000)
	digest := func(i int) string {
		b := text[starts[i]:starts[i+1]]
		return fmt.Sprintf("%d %x", len(b), sha256.Sum256(b))
	}
	writer := l.javascript("writer.js", "js", "listen", "127.0.0.1:0")
	addr := strings.TrimPrefix(writer.expect("listening on "), "listening on ")
	key := strings.TrimPrefix(writer.expect("main core key: "), "main core key: ")
	writer.say("/lines 3 5000")
	writer.expect("appended 1 0 5000")
	mount := l.mountOf(key, "--hypercore-peer", addr)
	for i := 1000; i < 1100; i++ {
		if got, err := l.block(i); err != nil || got != string(text[starts[i]:starts[i+1]]) {
			t.Fatalf("block %d: %q, %v", i, got, err)
		}
	}
	if _, err := l.block(0); err != nil {
		t.Fatal(err)
	}
	writer.kill()

	l.env = append(l.env, "SPARSE=1", "LINGER=50")
	js := l.javascript("reader.js", "js2", key, "connect", l.hypercoreTCP("G"))
	js.expect("ready")
	expect(t, "a block", js.ask("get 3 1050"), digest(1050))
	expect(t, "blocks here after a range", js.ask("fetch 3 1000 1100"), "100")
	js.say("get 3 4000")
	expect(t, "a block", js.ask("get 3 0"), digest(0))

	writer = l.javascript("writer.js", "js", "listen", addr)
	eventually(t, patience, "block 4000 is here", func() bool {
		_, err := l.block(4000)
		return err == nil
	})
	expect(t, "a block that came late", strings.TrimPrefix(js.expect("get 3 4000: "), "get 3 4000: "), digest(4000))

	expect(t, "blocks here after a clear", js.ask("clear 3 1000 1099"), "3") // 0, 1099, 4000
	expect(t, "a block again", js.ask("get 3 1051"), digest(1051))

	// A session ends and another begins; first we follow the core ourselves, then
	// we only have it, and the channel is closed in between.
	expect(t, "no session", js.ask("close 3"), "done")
	writer.say("while nobody listens")
	writer.expect("appended 1 0 5001")
	eventually(t, patience, "block 5000 is here", func() bool {
		got, err := l.block(5000)
		return err == nil && got == "while nobody listens\n"
	})
	js.ask("open 3")
	expect(t, "a block of a new session", js.ask("get 3 5000"), fmt.Sprintf("21 %x", sha256.Sum256([]byte("while nobody listens\n"))))

	addr = l.hypercoreTCP("G")
	mount.stop()
	l.serve("G", "--hypercore-listen", addr)
	expect(t, "a block", js.ask("get 3 1052"), digest(1052))
	expect(t, "no session and no channel", js.ask("leave 3"), "done")
	js.ask("open 3 again")
	expect(t, "a block of a new session", js.ask("get 3 1053"), digest(1053))
	writer.quiet()
	js.quiet()
}
