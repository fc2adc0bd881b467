package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// many is how many blocks a core has where that matters.
const many = 100_000

// numberedLines gives the lines that writer.js appends for /lines, one after
// the other, and where each begins, the end included.
func numberedLines(n int) (text []byte, starts []int) {
	var b bytes.Buffer
	for i := range n {
		starts = append(starts, b.Len())
		fmt.Fprintf(&b, "line %d %s\n", i, strings.Repeat("x", i%50))
	}
	return b.Bytes(), append(starts, b.Len())
}

// TestInteropManyRead: JavaScript reads a core of 100,000 blocks of ours: one in
// the middle, the block of a byte, a range, and all.
func TestInteropManyRead(t *testing.T) {
	l := newInterop(t)
	text, starts := numberedLines(many)
	if err := os.WriteFile(l.path("lines"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	l.must("multicore", "--store", "G", "append", "lines")
	key := strings.Fields(l.must("multicore", "--store", "G", "key"))[0]
	l.serve("G", "--hypercore-listen", "127.0.0.1:0")
	l.env = append(l.env, "SPARSE=1")
	js := l.javascript("reader.js", "js", key, "connect", l.hypercoreTCP("G"))
	js.expect("ready")
	digest := func(from, to int) string {
		b := text[starts[from]:starts[to]]
		return fmt.Sprintf("%d %x", len(b), sha256.Sum256(b))
	}
	expect(t, "a block in the middle", js.ask("get 3 50000"), digest(50_000, 50_001))
	for _, i := range []int{0, 1, 12_345, 65_535, 65_536, 99_999} {
		expect(t, "seek", js.ask(fmt.Sprintf("seek 3 %d", starts[i]+3)), fmt.Sprintf("%d 3", i))
	}
	expect(t, "blocks here after a range", js.ask("fetch 3 70000 70500"), "501")
	expect(t, "blocks asked at once", js.ask("all 3 69900 70600"), digest(69_900, 70_600))
	expect(t, "all of it", js.ask("download 3"), fmt.Sprintf("%d %s", many, digest(0, many)))
	if said := js.errs.String(); said != "" {
		t.Errorf("the reader said %s", said)
	}
}

// TestInteropManyWritten: we read a core of 100,000 blocks that JavaScript wrote:
// one in the middle, the bytes at an offset, and all.
func TestInteropManyWritten(t *testing.T) {
	l := newInterop(t)
	text, starts := numberedLines(many)
	js := l.javascript("writer.js", "js", "listen", "127.0.0.1:0")
	addr := strings.TrimPrefix(js.expect("listening on "), "listening on ")
	key := strings.TrimPrefix(js.expect("main core key: "), "main core key: ")
	js.say("/lines 3 %d", many)
	js.expect(fmt.Sprintf("appended 1 0 %d", many))

	l.mounting("mnt", append([]string{"--store", "G", "mount", "mnt", key, "--hypercore-peer", addr}, l.net...)...)
	block, err := os.ReadFile(l.path("mnt", "core-3", "blocks", "50000"))
	if want := text[starts[50_000]:starts[50_001]]; err != nil || !bytes.Equal(block, want) {
		t.Fatalf("a block in the middle: got %q, want %q, %v", block, want, err)
	}
	f, err := os.Open(l.path("mnt", "core-3", "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, i := range []int{0, 1, 12_345, 65_535, 65_536, 99_999} {
		got := make([]byte, 5)
		if _, err := f.ReadAt(got, int64(starts[i]+1)); err != nil {
			t.Fatal(err)
		}
		expect(t, "bytes at an offset", string(got), string(text[starts[i]+1:starts[i]+6]))
	}
	expect(t, "the core's length", l.coreStatus("G", key+"/core-3").Length, uint64(many))
	all, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(all, text) {
		t.Fatalf("the log: %d bytes of %d, %v", len(all), len(text), err)
	}
	if said := js.errs.String(); said != "" {
		t.Errorf("the writer said %s", said)
	}
}
