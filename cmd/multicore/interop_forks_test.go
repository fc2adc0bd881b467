package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"multicore/corestore"
	"multicore/corestore/multicore"
	"multicore/hypercore/replicate"
	"multicore/p2p/secretstream"
)

// TestInteropTruncatedByJavaScript: a mount and a follower of ours show what a
// JavaScript writer has, which truncates and then appends, over and over, and
// who tails it is told.
func TestInteropTruncatedByJavaScript(t *testing.T) {
	l := newInterop(t)
	js := l.javascript("writer.js", "js", "listen", "127.0.0.1:0")
	addr := strings.TrimPrefix(js.expect("listening on "), "listening on ")
	key := strings.TrimPrefix(js.expect("main core key: "), "main core key: ")
	lines := func(text string) {
		t.Helper()
		for line := range strings.Lines(text) {
			js.say("%s", strings.TrimSpace(line))
			js.expect("appended")
		}
	}
	lines("message 0\nmessage 1\nmessage 2\nmessage 3\nmessage 4\nmessage 5\nmessage 6\nmessage 7\n")
	l.mount("G", "mnt", "--hypercore-peer", addr)
	l.serve("F", "--hypercore-peer", addr)
	l.must("multicore", "--store", "F", "follow", key, "--wait")
	tail := l.start("multicore", "--store", "F", "tail", "-f", "-n", "2", key+"/core-3")
	tail.expect("message 6")
	tail.expect("message 7")
	shows := func(want string) {
		t.Helper()
		eventually(t, patience, "the writer's log", func() bool {
			return l.sh("cat mnt/"+key+"/core-3/log") == want && l.sh("multicore --store F cat "+key+"/core-3") == want
		})
	}
	shows("message 0\nmessage 1\nmessage 2\nmessage 3\nmessage 4\nmessage 5\nmessage 6\nmessage 7\n")

	js.say("/truncate 3 7")
	js.expect("appended")
	lines("another 7\nanother 8\n")
	shows("message 0\nmessage 1\nmessage 2\nmessage 3\nmessage 4\nmessage 5\nmessage 6\nanother 7\nanother 8\n")
	tail.expect("another 7")
	tail.expect("another 8")
	if said := tail.errs.String(); !strings.Contains(said, "core-3 was truncated by its writer") {
		t.Errorf("tail said %q", said)
	}
	expect(t, "a block that was another", l.sh("cat mnt/"+key+"/core-3/blocks/7"), "another 7\n")

	js.say("/truncate 3 2")
	js.expect("appended")
	lines("a third 2\n")
	shows("message 0\nmessage 1\na third 2\n")
	js.say("/truncate 3 0")
	js.expect("appended")
	lines("a fourth 0\na fourth 1\n")
	shows("a fourth 0\na fourth 1\n")
	for _, core := range l.status("F").Followed[0].Cores {
		if strings.HasSuffix(core.Path, "core-3") && (core.Fork != 3 || core.Length != 2 || core.ContiguousLength != 2 || core.Conflict) {
			t.Errorf("%+v", core)
		}
	}
	if said := js.errs.String(); said != "" {
		t.Errorf("the writer said %s", said)
	}
}

// TestInteropTruncatedByUs: a JavaScript reader follows a core of ours that is
// truncated, live, with few and with many blocks in common.
func TestInteropTruncatedByUs(t *testing.T) {
	l := newInterop(t)
	quiet := slog.New(slog.DiscardHandler)
	st, err := corestore.Open(l.path("G"), corestore.Options{Create: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	swarm := replicate.New(replicate.Options{Log: quiet})
	defer swarm.Close()
	own, err := multicore.OpenOwn(t.Context(), st, swarm, true)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	addr := listenFor(t, swarm)
	cores, _ := own.Known()
	core := cores[2].Core
	add := func(blocks ...string) {
		t.Helper()
		for _, b := range blocks {
			if _, err := core.Append(t.Context(), []byte(b)); err != nil {
				t.Fatal(err)
			}
		}
		if err := core.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	add("block 0", "block 1", "block 2", "block 3", "block 4", "block 5", "block 6", "block 7", "block 8")
	js := l.javascript("reader.js", "js", own.Key().String(), "connect", addr)
	for i := range 9 {
		js.expect(fmt.Sprintf(`Block %d in core-3: "block %d"`, i, i))
	}
	for round, length := range []uint64{8, 3, 1} {
		if err := core.Truncate(t.Context(), length); err != nil {
			t.Fatal(err)
		}
		var blocks []string
		for i := range 3 {
			blocks = append(blocks, fmt.Sprintf("round %d, %d", round, i))
		}
		add(blocks...)
		for i, b := range blocks {
			js.expect(fmt.Sprintf(`Block %d in core-3: %q`, length+uint64(i), b))
		}
	}
	expect(t, "a block that stayed", js.ask("get 3 0"), fmt.Sprintf("7 %x", sha256.Sum256([]byte("block 0"))))
	if said := js.errs.String(); said != "" {
		t.Errorf("the reader said %s", said)
	}
	if peers, _ := swarm.CorePeers(core.DiscoveryKey()); peers != 1 {
		t.Errorf("%d peers", peers)
	}
}

// listenFor serves JavaScript peers on 127.0.0.1 and gives the address.
func listenFor(t *testing.T, swarm *replicate.Swarm) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	static, err := secretstream.GenerateKeyPair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				s, err := secretstream.Handshake(t.Context(), c, secretstream.Options{Static: static})
				if err != nil {
					c.Close()
					return
				}
				swarm.Serve(t.Context(), replicate.Conn{Stream: s, HandshakeHash: s.HandshakeHash(), Peer: "javascript", Single: true})
			})
		}
	})
	return ln.Addr().String()
}

// TestInteropConflict: a follower of a JavaScript writer meets a copy of that
// writer which wrote other blocks. The core is frozen, stays readable, and says so.
func TestInteropConflict(t *testing.T) {
	l := newInterop(t)
	l.env = append(l.env, "PRIMARY_KEY="+strings.Repeat("17", 32))
	l.serve("F", "--hypercore-listen", "127.0.0.1:0")
	first := l.javascript("writer.js", "js", "connect", l.hypercoreTCP("F"))
	key := strings.TrimPrefix(first.expect("main core key: "), "main core key: ")
	for i := range 3 {
		first.say("message %d", i)
		first.expect("appended")
	}
	l.must("multicore", "--store", "F", "follow", key, "--wait")
	first.kill()
	// Apart from the others at first: it would take over what they have.
	second := l.javascript("writer.js", "copy", "listen", "127.0.0.1:0")
	second.expect("main core key: " + key)
	for i := range 5 {
		second.say("something else %d", i)
		second.expect(fmt.Sprintf("appended 1 0 %d", i+1))
	}
	second.kill()
	second = l.javascript("writer.js", "copy", "connect", l.hypercoreTCP("F"))
	second.expect("main core key: " + key)
	path := key + "/core-3"
	eventually(t, 2*patience, "the conflict shows", func() bool { return l.coreStatus("F", path).Conflict })
	if l.coreStatus("F", key+"/main").Conflict {
		t.Error("the other cores are in conflict too")
	}
	out, errs, code := l.run("multicore", "--store", "F", "cat", path)
	expect(t, "what the store had", out, "message 0\nmessage 1\nmessage 2\n")
	if code != 0 || !strings.Contains(errs, "conflict") {
		t.Errorf("exit code %d, said %q", code, errs)
	}
}
