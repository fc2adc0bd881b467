package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
	"multicore/hypercore"
)

func TestLogLines(t *testing.T) {
	var b bytes.Buffer
	log := newLog(&b, slog.LevelInfo, new(atomic.Bool))
	log.Debug("not shown")
	log.With("peer", "12D").WithGroup("dial").Info("not reached", "err", "no route\nto host", slog.Group("at", "n", 3))
	log.Warn("plain")
	want := "multicore: not reached peer=12D dial.err=\"no route\\nto host\" dial.at.n=3\nmulticore: plain\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
}

// What stands in a line moves no cursor and rings no bell.
func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb\r\n": "a; b", "\x1b]0;title\a\x9b\u009b2J 812–999 é": `\x1b]0;title\x07�\x9b2J 812–999 é`, "": "",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// A log that moves from a terminal to a file becomes JSON, with what was bound to
// it before; a core key in it names the core and gives no right to read it.
func TestLogJSON(t *testing.T) {
	var b bytes.Buffer
	var asJSON atomic.Bool
	key := hypercore.Key{7}
	log := newLog(&b, slog.LevelInfo, &asJSON).With("core", key).WithGroup("at")
	asJSON.Store(true)
	log.Debug("not shown")
	log.Warn("not <reached>", "err", errors.New("no\nroute"), "after", 1500*time.Millisecond, "of", key.Discovery())
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || strings.Count(b.String(), "\n") != 1 {
		t.Fatalf("%v in %q", err, b.String())
	}
	if _, err := time.Parse(time.RFC3339, fmt.Sprint(got["time"])); err != nil {
		t.Error(err)
	}
	delete(got, "time")
	d := key.Discovery().String()
	want := map[string]any{"level": "WARN", "msg": "not <reached>", "core": "of core " + d,
		"at": map[string]any{"err": "no\nroute", "after": "1.5s", "of": d}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	asJSON.Store(false)
	b.Reset()
	log.Info("back")
	if want := "multicore: back core=\"of core " + d + "\"\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestExitCodes(t *testing.T) {
	interrupted, cancel := context.WithCancel(context.Background())
	cancel()
	running := context.Background()
	for _, tt := range []struct {
		ctx  context.Context
		err  error
		code int
		says string
	}{
		{running, nil, 0, ""},
		{running, errors.New("odd\nthing"), 1, "multicore: odd; thing\n"},
		{running, fmt.Errorf("in: %w", &control.Error{Code: control.Verify, Text: "bad proof"}), 5, "multicore: in: bad proof\n"},
		{running, fmt.Errorf("write: %w", syscall.ENOSPC), 8, "multicore: write: no space left on device\n"},
		{running, &control.Error{Code: control.Interrupted, Text: "stopped"}, 130, "multicore: stopped\n"},
		{interrupted, context.Canceled, 130, ""},
		{interrupted, &control.Error{Code: control.FUSE, Text: "still busy"}, 9, "multicore: still busy\n"},
		{running, fmt.Errorf("write: %w", syscall.EPIPE), 141, ""},
		{running, daemonFailed{7}, 7, ""},
	} {
		var b bytes.Buffer
		p := &program{ui: ui{err: &b, quiet: true}}
		if code := p.exit(tt.ctx, tt.err); code != tt.code || b.String() != tt.says {
			t.Errorf("%v: exit code %d, %q; want %d, %q", tt.err, code, b.String(), tt.code, tt.says)
		}
	}
}

func TestIsMulticore(t *testing.T) {
	const mountinfo = `36 35 0:50 / /a\040b rw,nosuid shared:1 - fuse.multicore multicore rw
37 35 0:51 / /proc rw - proc proc rw
38 35 0:52 / /other rw - fuse.sshfs multicore rw
`
	for path, want := range map[string]bool{"/a b": true, "/a": false, "/proc": false, "/other": false} {
		if got := isMulticore(mountinfo, path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}

func TestParsePath(t *testing.T) {
	for path, want := range map[string][2]string{
		"":             {"", ""},
		"main":         {"", "main"},
		"core-3":       {"", "core-3"},
		"friend":       {"friend", ""},
		"core-":        {"core-", ""},
		"core-x":       {"core-x", ""},
		"KEY/core-12":  {"KEY", "core-12"},
		"KEY/core-12/": {"KEY", "core-12"},
	} {
		if m, c := node.SplitPath(path); [2]string{m, c} != want {
			t.Errorf("%q: %q, %q", path, m, c)
		}
	}
}

// A read that moves to another process prints each block and header once.
func TestPrinterGoesOn(t *testing.T) {
	var b strings.Builder
	p := &program{ui: ui{out: &b}}
	w := p.newPrinter("")
	last := uint64(1)
	request := control.ReadRequest{Last: &last}
	if r := w.rest(request); r.Start != nil {
		t.Errorf("nothing was printed, but it starts at %v", r.Start)
	}
	give := func(items ...control.Item) {
		for _, it := range items {
			if err := w.item(it); err != nil {
				t.Fatal(err)
			}
		}
	}
	give(control.Item{Core: "core-2", Key: "k2", Index: 7}, control.Item{Core: "core-2", Key: "k2", Index: 7, Block: []byte("a\n")},
		control.Item{Core: "core-3", Key: "k3", Index: 4})
	if r := w.rest(request); r.Start["k2"] != 8 || r.Start["k3"] != 4 || len(r.Start) != 2 {
		t.Errorf("it goes on at %v", r.Start)
	}
	give(control.Item{Core: "core-2", Key: "k2", Index: 8}, control.Item{Core: "core-3", Key: "k3", Index: 4},
		control.Item{Core: "core-3", Key: "k3", Index: 4, Block: []byte("line\n")},
		control.Item{Core: "core-2", Key: "k2", Index: 8, Block: []byte{0xff}})
	if want := "==> core-2 <==\na\n\n==> core-3 <==\nline\n\n==> core-2 <==\n\xff"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	if r := w.rest(control.ReadRequest{Spans: []control.Span{{First: 9, Last: 9}, {First: 5, Last: 7}}}); len(r.Spans) != 1 || r.Spans[0].First != 7 {
		t.Errorf("spans go on with %v", r.Spans)
	}

	b.Reset()
	p.json = true
	w = p.newPrinter("")
	give(control.Item{Core: "core-2", Key: "k2", Index: 1, Block: []byte("<é>\n")}, control.Item{Core: "core-2", Key: "k2", Index: 2, Block: []byte{0xff}})
	want := `{"core":"core-2","key":"k2","index":1,"text":"<é>\n"}` + "\n" + `{"core":"core-2","key":"k2","index":2,"base64":"/w=="}` + "\n"
	if b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

func TestSpans(t *testing.T) {
	for line, want := range map[string]string{
		"": "", "5": "5", "5-9": "5-9", "5..9": "5-9", "0..0": "0-0", "9007199254740991": "9007199254740991",
	} {
		if span, err := parseSpan(line); line != "" && (err != nil || span.First > span.Last || !strings.HasPrefix(want, fmt.Sprint(span.First)) || !strings.HasSuffix(want, fmt.Sprint(span.Last))) {
			t.Errorf("%s: %v, %v", line, span, err)
		}
	}
	for _, line := range []string{"", "-", "..", "1-", "..2", "3-2", "1-2-3", "1...2", "a", "-1", "1..-1", "0x1", "9007199254740992", "1.5"} {
		if span, err := parseSpan(line); err == nil || control.CodeOf(err) != control.Usage {
			t.Errorf("%q: %v, %v", line, span, err)
		}
	}
	list := func(spans []control.Span) (all []uint64) {
		for _, s := range spans {
			for i := s.First; i <= s.Last; i++ {
				all = append(all, i)
			}
		}
		return all
	}
	spans := []control.Span{{First: 5, Last: 7}, {First: 5, Last: 5}, {First: 0, Last: 3}, {First: 9, Last: 9}}
	whole := list(spans)
	for n := range len(whole) + 2 {
		if got, want := list(after(spans, uint64(n))), whole[min(n, len(whole)):]; !slices.Equal(got, want) {
			t.Errorf("without %d: %v, want %v", n, got, want)
		}
	}
	if got := list(spans); !slices.Equal(got, whole) {
		t.Error("the spans were changed")
	}
}

func TestAmount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 1234: "1.23 kB", 999_499: "999 kB", 999_500: "1 MB", 10_500_000: "10.5 MB", 1 << 62: "4.61e+03 PB"} {
		if got := amount(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
