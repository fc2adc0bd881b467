package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"
)

// testnet starts a Hyperswarm DHT on 127.0.0.1 and gives a node to enter by.
func (l *lab) testnet() (bootstrap string) {
	l.t.Helper()
	p := l.javascript("testnet.js", "10")
	return strings.TrimPrefix(p.expect("bootstrap "), "bootstrap ")
}

// bridge starts the bridge of a multicore to where it listens.
func (l *lab) bridge(bootstrap, key, addr string, flags ...string) *script {
	l.t.Helper()
	flags = append(flags, "--bootstrap", bootstrap, "--host", "127.0.0.1", key, addr)
	p := l.javascript("bridge.js", flags...)
	p.expect("joined ")
	return p
}

// TestInteropBridgeReaders: JavaScript peers on Hyperswarm read a multicore of
// ours through the bridge: what is there, what is appended while they look, by
// several at once, single large blocks, and on when the multicore was away.
func TestInteropBridgeReaders(t *testing.T) {
	l := newInterop(t)
	bootstrap := l.testnet()
	l.must("multicore", "--store", "G", "init")
	key := strings.Fields(l.must("multicore", "--store", "G", "key"))[0]
	l.sh("printf 'hi\\nhello, world\\nyo\\n' | multicore --store G append")
	node := l.serve("G", "--hypercore-listen", "127.0.0.1:0")
	addr := l.hypercoreTCP("G")
	bridge := l.bridge(bootstrap, key, addr)

	var readers []*script
	for i := range 3 {
		readers = append(readers, l.javascript("reader.js", fmt.Sprint("js", i), key, "swarm", bootstrap))
	}
	for _, js := range readers {
		js.expect(`main: {"otherKeys":["`)
		js.expect(`Block 0 in core-2: "hi\n"`)
		js.expect(`Block 1 in core-2: "yo\n"`)
		js.expect(`Block 0 in core-3: "hello, world\n"`)
	}
	l.sh("echo 'while they look' | multicore --store G append")
	for _, js := range readers {
		js.expect(`Block 1 in core-3: "while they look\n"`)
	}

	node.stop()
	l.sh("echo 'while away' | multicore --store G append")
	l.serve("G", "--hypercore-listen", addr)
	for _, js := range readers {
		js.expect(`Block 2 in core-3: "while away\n"`)
	}

	const largest = 15 << 20
	random := l.randomFile("random", largest+5)
	l.must("multicore", "--store", "G", "append", "--block-size", "15MiB", "random")
	for _, js := range readers[:2] {
		expect(t, "block", js.ask("get 3 3"), fmt.Sprintf("%d %x", largest, sha256.Sum256(random[:largest])))
		expect(t, "block", js.ask("get 3 4"), fmt.Sprintf("5 %x", sha256.Sum256(random[largest:])))
	}
	bridge.stop()
	if left, _ := os.ReadDir(l.path("tmp")); len(left) > 0 {
		t.Errorf("the bridge left %v behind", left)
	}
}

// TestInteropBridgeWriter: a mount of ours shows a multicore that a JavaScript
// peer on Hyperswarm writes, through a bridge that was there before anybody had
// block 0 of it, and serves it to another peer there once the writer is gone.
func TestInteropBridgeWriter(t *testing.T) {
	l := newInterop(t)
	bootstrap := l.testnet()
	writer := l.javascript("writer.js", "js", "swarm", bootstrap)
	key := strings.TrimPrefix(writer.expect("main core key: "), "main core key: ")
	writer.say("hello, world")
	writer.expect("appended 1 0 1")

	mount := l.mounting("mnt", append([]string{"--store", "G", "mount", "mnt", key, "--hypercore-listen", "127.0.0.1:0"}, l.net...)...)
	bridge := l.bridge(bootstrap, key, l.hypercoreTCP("G"))
	if said := bridge.errs.String(); !strings.Contains(said, "no block 0") {
		t.Errorf("the bridge has keys from nowhere: %s", said)
	}
	content := func(core string) string {
		b, _ := os.ReadFile(l.path("mnt", core, "log"))
		return string(b)
	}
	eventually(t, patience, "the mount shows what is there", func() bool { return content("core-3") == "hello, world\n" })
	writer.say("hi")
	writer.say("live")
	eventually(t, patience, "the mount shows what comes", func() bool { return content("core-2") == "hi\n" })
	eventually(t, patience, "the mount shows what comes", func() bool { return content("core-3") == "hello, world\nlive\n" })

	writer.kill()
	reader := l.javascript("reader.js", "js2", key, "swarm", bootstrap)
	reader.expect(`Block 0 in core-2: "hi\n"`)
	reader.expect(`Block 1 in core-3: "live\n"`)
	bridge.stop()
	mount.stop()
}

// TestInteropBridgeStranger: a peer that knows topic and discovery key, and not
// the key, is sent away with nothing, and others are not disturbed.
func TestInteropBridgeStranger(t *testing.T) {
	l := newInterop(t)
	bootstrap := l.testnet()
	l.sh("echo 'hello, world' | multicore --store G append")
	key := strings.Fields(l.must("multicore", "--store", "G", "key"))[0]
	l.serve("G", "--hypercore-listen", "127.0.0.1:0")
	id := l.coreStatus("G", "main").DiscoveryKey
	topic := strings.Repeat("70", 32)
	l.bridge(bootstrap, key, l.hypercoreTCP("G"), "--topic", topic).expect("joined " + topic)
	l.bridge(bootstrap, key, l.hypercoreTCP("G")).expect("joined " + id)
	reader := l.javascript("reader.js", "js", key, "swarm", bootstrap)
	reader.expect(`Block 0 in core-3: "hello, world\n"`)

	stranger := l.javascript("stranger.js", topic, id, bootstrap)
	said := stranger.expect("sent away after ")
	var bytes int
	if _, err := fmt.Sscanf(said, "sent away after %d bytes", &bytes); err != nil || bytes > 512 {
		t.Errorf("the stranger was %s", said) // our own opens may have come
	}
	l.sh("echo more | multicore --store G append")
	reader.expect(`Block 1 in core-3: "more\n"`)
}

// TestInteropBridgeFrames runs the tests of what the bridge changes in frames.
func TestInteropBridgeFrames(t *testing.T) {
	l := newInterop(t)
	l.must("node", "--test", interopDir(t)+"/frames.test.js")
}
