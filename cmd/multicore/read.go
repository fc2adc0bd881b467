package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
	"multicore/hypercore"
)

// readFlags are those of cat, tail and get.
func readFlags(own ...cli.Flag) []cli.Flag {
	return append(append(own, readTimeoutFlag()), networkFlags()...)
}

// read prints what r asks for. A read of another multicore, where no process
// runs, brings up a node for as long as it lasts.
func (p *program) read(c *cli.Context, r control.ReadRequest, out *printer) error {
	timeout, err := positive(c, "read-timeout")
	if err != nil {
		return err
	}
	r.Timeout = timeout
	var o node.Options
	if head, _ := node.SplitPath(r.Path); head != "" {
		if o.Network, err = network(c); err != nil {
			return err
		}
		// A name must have been given in a store, a key needs none before.
		_, err := hypercore.ParseKey(head)
		o.Create = err == nil
	}
	if !r.Follow {
		out.meter = p.meter(true)
		defer out.meter.end()
	}
	return p.with(c.Context, o, func(ctx context.Context, s *session) error {
		ctx, cancel := s.untilYielded(ctx)
		defer cancel()
		if r.Follow {
			var done func()
			ctx, done = untilBrokenPipe(ctx, p.out)
			defer done()
		}
		rest := out.rest(r)
		if len(r.Spans) > 0 && len(rest.Spans) == 0 {
			return nil // all was printed before the store moved
		}
		err := s.Read(ctx, rest, out.item)
		if cause := context.Cause(ctx); err != nil && (cause == errYielded || cause == syscall.EPIPE) {
			return cause
		}
		return err
	})
}

// printer writes the items of a read, and knows where it would go on.
type printer struct {
	*ui
	headers bool // `==> core-3 <==` before the blocks of a core
	labels  bool // `Block 7 in Core <hex>: …` in place of the bytes

	next    map[string]uint64 // by key of the core, the block to come
	printed uint64            // blocks
	current string            // core of the last header

	meter *meter // nil: none
	sofar progress
}

func (p *program) newPrinter(path string) *printer {
	_, core := node.SplitPath(path)
	return &printer{ui: &p.ui, headers: core == "" && !p.json, next: map[string]uint64{}}
}

// rest is what of r was not yet printed.
func (w *printer) rest(r control.ReadRequest) control.ReadRequest {
	if len(r.Spans) > 0 {
		r.Spans = after(r.Spans, w.printed)
	} else if len(w.next) > 0 {
		r.Start = maps.Clone(w.next)
	}
	return r
}

// after is spans without their first n blocks.
func after(spans []control.Span, n uint64) []control.Span {
	for len(spans) > 0 && n > spans[0].Last-spans[0].First {
		n -= spans[0].Last - spans[0].First + 1
		spans = spans[1:]
	}
	if n > 0 && len(spans) > 0 {
		spans = slices.Clone(spans)
		spans[0].First += n
	}
	return spans
}

func (w *printer) item(it control.Item) error {
	switch {
	case it.Note != "":
		w.note("%s", it.Note)
		return nil
	case it.Block == nil:
		if it.Core != w.sofar.what {
			w.sofar = progress{what: it.Core, ofBlock: it.Count}
		}
		if _, known := w.next[it.Key]; known {
			return nil // the next block says it, if there is one
		}
		w.next[it.Key] = it.Index
		return w.header(it.Core)
	}
	if err := w.header(it.Core); err != nil {
		return err
	}
	if err := w.block(it); err != nil {
		return err
	}
	w.next[it.Key] = it.Index + 1
	w.printed++
	w.sofar.blocks++
	w.sofar.bytes += uint64(len(it.Block))
	w.meter.set(w.sofar)
	return nil
}

// header starts a core as tail does a file.
func (w *printer) header(core string) error {
	if !w.headers || w.labels || core == w.current {
		return nil
	}
	gap := ""
	if w.current != "" {
		gap = "\n"
	}
	w.current = core
	return w.result("%s==> %s <==", gap, core)
}

func (w *printer) block(it control.Item) error {
	switch {
	case w.json:
		return w.object(jsonBlock(it))
	case w.labels:
		return w.result("Block %d in Core %s: %s", it.Index, it.Key, strings.TrimSuffix(string(it.Block), "\n"))
	}
	_, err := w.out.Write(it.Block)
	return err
}

// jsonBlock is a block as one object: text where it is UTF-8, else base64.
func jsonBlock(it control.Item) any {
	b := struct {
		Core   string  `json:"core"`
		Key    string  `json:"key"`
		Index  uint64  `json:"index"`
		Text   *string `json:"text,omitempty"`
		Base64 *string `json:"base64,omitempty"`
	}{Core: it.Core, Key: it.Key, Index: it.Index}
	if utf8.Valid(it.Block) {
		text := string(it.Block)
		b.Text = &text
	} else {
		coded := base64.StdEncoding.EncodeToString(it.Block)
		b.Base64 = &coded
	}
	return b
}

// pathUsage is the part of a help text that explains PATH.
const pathUsage = "PATH is a core (core-3), a multicore (KEY, or the name of a followed one) or both\n(KEY/core-3); without it the own multicore. A multicore is all its cores but main."

func example(lines ...string) string {
	var b strings.Builder
	b.WriteString("Example:")
	for _, l := range lines {
		fmt.Fprintf(&b, "\n   %s", l)
	}
	return b.String()
}
