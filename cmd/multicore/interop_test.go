package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"multicore/cmd/multicore/control"
)

// These tests run the JavaScript packages themselves, in Node, against this
// command: scripts/interop holds the programs, and npm ci installs the packages.

// alone are the network flags of a process that knows nobody.
var alone = []string{"--dht", "off", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0"}

// newInterop is a lab with Node. Such tests run side by side: each keeps one
// processor busy with JavaScript.
func newInterop(t *testing.T) *lab {
	t.Helper()
	t.Parallel()
	l := newLab(t)
	_, err := exec.LookPath("node")
	needs(t, err == nil, "node")
	_, err = os.Stat(filepath.Join(interopDir(t), "node_modules", "corestore"))
	needs(t, err == nil, "npm ci in scripts/interop")
	l.net = alone
	if err := os.Mkdir(l.path("tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.env = append(l.env, "TMPDIR="+l.path("tmp"))
	return l
}

func interopDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../scripts/interop")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// script is a running program of scripts/interop.
type script struct {
	*process
	stdin *os.File
}

func (l *lab) javascript(program string, args ...string) *script {
	l.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		l.t.Fatal(err)
	}
	defer r.Close()
	l.t.Cleanup(func() { w.Close() })
	return &script{l.startFrom(r, append([]string{"node", filepath.Join(interopDir(l.t), program)}, args...)...), w}
}

func (s *script) say(format string, args ...any) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.stdin, format+"\n", args...); err != nil {
		s.t.Fatal(err)
	}
}

// ask gives the answer of reader.js to a line, for which many blocks may have to
// be fetched.
func (s *script) ask(line string) string {
	s.t.Helper()
	s.say("%s", line)
	return strings.TrimPrefix(s.expectWithin(4*patience, line+": "), line+": ")
}

// hypercoreTCP is where JavaScript peers reach a store's process.
func (l *lab) hypercoreTCP(store string) string {
	l.t.Helper()
	st := l.status(store)
	if st.Node == nil || st.Node.HypercoreTCP == nil {
		l.t.Fatalf("%s listens for no JavaScript peers", store)
	}
	return *st.Node.HypercoreTCP
}

// inBothRoles runs a test with the JavaScript program as the one that connects,
// and as the one that listens.
func inBothRoles(t *testing.T, run func(t *testing.T, connects bool)) {
	t.Parallel()
	for _, connects := range []bool{true, false} {
		name := "it connects"
		if !connects {
			name = "it listens"
		}
		t.Run(name, func(t *testing.T) { run(t, connects) })
	}
}

// randomFile makes a file of random bytes and gives them.
func (l *lab) randomFile(name string, size int) []byte {
	l.t.Helper()
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	if err := os.WriteFile(l.path(name), b, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return b
}

// TestInteropReader: JavaScript reads a multicore of ours, given its main key:
// what is there, what is appended while it looks, after a reconnect, single
// blocks, offsets and whole cores, with blocks of the largest size.
func TestInteropReader(t *testing.T) {
	inBothRoles(t, func(t *testing.T, connects bool) {
		l := newInterop(t)
		l.must("multicore", "--store", "G", "init")
		key := strings.Fields(l.must("multicore", "--store", "G", "key"))[0]
		l.sh("printf 'hi\\nhello, world\\nyo\\n' | multicore --store G append")

		var node *process
		var js *script
		flags := []string{"--hypercore-listen", "127.0.0.1:0"}
		if connects {
			node = l.serve("G", flags...)
			addr := l.hypercoreTCP("G")
			flags[1] = addr
			js = l.javascript("reader.js", "js", key, "connect", addr)
		} else {
			js = l.javascript("reader.js", "js", key, "listen", "127.0.0.1:0")
			flags = []string{"--hypercore-peer", strings.TrimPrefix(js.expect("listening on "), "listening on ")}
			node = l.serve("G", flags...)
		}
		js.expect(`main: {"otherKeys":["`)
		js.expect(`Block 0 in core-2: "hi\n"`)
		js.expect(`Block 1 in core-2: "yo\n"`)
		js.expect(`Block 0 in core-3: "hello, world\n"`)

		l.sh("echo 'while it looks' | multicore --store G append")
		js.expect(`Block 1 in core-3: "while it looks\n"`)

		node.stop()
		l.sh("echo 'while away' | multicore --store G append")
		node = l.serve("G", flags...)
		js.expect(`Block 2 in core-3: "while away\n"`)

		const largest = 15 << 20
		before := len("hello, world\nwhile it looks\nwhile away\n")
		random := l.randomFile("random", 2*largest+5)
		l.must("multicore", "--store", "G", "append", "--block-size", "15MiB", "random")
		for i, block := range [][]byte{random[:largest], random[largest : 2*largest], random[2*largest:]} {
			expect(t, "block", js.ask(fmt.Sprintf("get 3 %d", 3+i)), fmt.Sprintf("%d %x", len(block), sha256.Sum256(block)))
		}
		expect(t, "seek", js.ask(fmt.Sprintf("seek 3 %d", before+largest+9)), "4 9")
		js.stdin.Close()
		whole := append([]byte("hello, world\nwhile it looks\nwhile away\n"), random...)
		again := l.javascript("reader.js", "js2", key, "connect", l.listening("G", node, flags))
		again.expect("ready")
		again.expect("Block 0 in core-3")
		expect(t, "the whole core", again.ask("download 3"), fmt.Sprintf("6 %d %x", len(whole), sha256.Sum256(whole)))
	})
}

// listening gives where a store's process listens, which is started anew where
// it did not so far.
func (l *lab) listening(store string, node *process, flags []string) string {
	l.t.Helper()
	if flags[0] != "--hypercore-listen" {
		node.stop()
		l.serve(store, "--hypercore-listen", "127.0.0.1:0")
	}
	return l.hypercoreTCP(store)
}

// TestInteropWriter: a mount of ours shows a multicore that JavaScript writes:
// what is there, what comes live and in bursts, empty blocks and many blocks of
// the largest size at once. Once the writer is gone we serve it to another
// JavaScript reader.
func TestInteropWriter(t *testing.T) {
	inBothRoles(t, func(t *testing.T, connects bool) {
		l := newInterop(t)
		var js *script
		var addr string // of the writer
		if connects {
			l.mount("G", "mnt", "--hypercore-listen", "127.0.0.1:0")
			js = l.javascript("writer.js", "js", "connect", l.hypercoreTCP("G"))
		} else {
			js = l.javascript("writer.js", "js", "listen", "127.0.0.1:0")
			addr = strings.TrimPrefix(js.expect("listening on "), "listening on ")
			l.mount("G", "mnt", "--hypercore-listen", "127.0.0.1:0", "--hypercore-peer", addr)
		}
		key := strings.TrimPrefix(js.expect("main core key: "), "main core key: ")
		js.say("hi")
		js.say("hello, world")
		js.expect("appended 1 1 1")
		path := func(elem ...string) string { return l.path(append([]string{"mnt", key}, elem...)...) }
		log := func(core string) string {
			t.Helper()
			b, err := os.ReadFile(path(core, "log"))
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		length := func(want int) {
			t.Helper()
			eventually(t, patience, fmt.Sprintf("core-3 has %d blocks", want), func() bool {
				b, err := os.ReadFile(path("core-3", "length"))
				return err == nil && strings.TrimSpace(string(b)) == strconv.Itoa(want)
			})
		}
		length(1)
		expect(t, "core-2/log", log("core-2"), "hi\n")
		expect(t, "core-3/log", log("core-3"), "hello, world\n")

		const burst = 10_000
		var lines bytes.Buffer
		for i := range burst {
			fmt.Fprintf(&lines, "message %d of a burst\n", i)
		}
		if _, err := js.stdin.Write(lines.Bytes()); err != nil {
			t.Fatal(err)
		}
		length(1 + burst)
		want := "hello, world\n" + lines.String()
		if got := log("core-3"); got != want {
			t.Fatalf("a burst of %d bytes arrived as %d others", len(want), len(got))
		}

		js.say("/blocks 3 0 3")
		js.say("/blocks 3 15728640 5")
		length(1 + burst + 3 + 5)
		var reads sync.WaitGroup // all at once
		for i := range 5 {
			block := bytes.Repeat([]byte{byte(i)}, 15<<20)
			want += string(block)
			reads.Go(func() {
				got, err := os.ReadFile(path("core-3", "blocks", strconv.Itoa(1+burst+3+i)))
				if err != nil || !bytes.Equal(got, block) {
					t.Errorf("large block %d: %d bytes, %v", i, len(got), err)
				}
			})
		}
		reads.Wait()
		if got := log("core-3"); got != want {
			t.Fatalf("blocks of %d bytes arrived as %d others", len(want), len(got))
		}
		if !connects { // a whole copy, hundreds of requests at a time
			l.serve("F", "--hypercore-peer", addr)
			l.must("multicore", "--store", "F", "follow", key, "--wait")
			if said := js.errs.String(); said != "" {
				t.Errorf("the writer said %s", said)
			}
		}
		js.kill()

		second := l.javascript("reader.js", "js2", key, "connect", l.hypercoreTCP("G"))
		second.expect(`Block 0 in core-2: "hi\n"`)
		second.expect(`Block 0 in core-3: "hello, world\n"`)
		expect(t, "the whole core", second.ask("download 3"),
			fmt.Sprintf("%d %d %x", 1+burst+3+5, len(want), sha256.Sum256([]byte(want))))
		peers := l.status("G").Peers
		if !slices.ContainsFunc(peers, func(p control.Peer) bool {
			return strings.HasPrefix(p.ID, "hypercore:") && p.Transport == "hypercore-tcp" && p.SentBytes > uint64(len(want))
		}) {
			t.Errorf("status shows no JavaScript peer that took it all: %+v", peers)
		}
	})
}

// TestInteropReadme: the lines that the README tells JavaScript users to type do
// what it says.
func TestInteropReadme(t *testing.T) {
	l := newInterop(t)
	l.sh("echo 'hello, world' | multicore --store G append")
	key := strings.Fields(l.must("multicore", "--store", "G", "key"))[0]
	l.serve("G", "--hypercore-listen", "127.0.0.1:0")
	_, port, _ := strings.Cut(l.hypercoreTCP("G"), ":")

	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "and in Node, with `npm install corestore`:\n")
	code, _, found := strings.Cut(after, "\nThe other way round")
	if !found || strings.Count(code, "4977") != 1 {
		t.Fatalf("the README has no such lines: %q", code)
	}
	if err := os.WriteFile(l.path("typed.js"), []byte(strings.Replace(code, "4977", port, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	l.env = append(l.env, "NODE_PATH="+filepath.Join(interopDir(t), "node_modules"))
	js := l.start("node", "typed.js", key)
	js.expect("hello, world")
	l.sh("echo live | multicore --store G append")
	js.expect("live")
}
