package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/urfave/cli/v2"
)

// What a command tells its user is ui's. The log is what happens inside: lines
// like those of the ui, and of mount and serve, which run unattended, JSON where
// nobody reads along at a terminal. It never has what is in a block, a key that
// signs or decrypts, or a core key, which is the right to read: a discovery key
// names a core as well.

func logFormatFlag() cli.Flag {
	return &cli.StringFlag{Name: "log-format", Usage: "`FORMAT` of the log on stderr: text, json, or auto, which is text on a terminal and JSON elsewhere", Value: "auto", EnvVars: env("log-format")}
}

// setLogFormat takes logFormatFlag.
func (p *program) setLogFormat(c *cli.Context) error {
	switch f := c.String("log-format"); f {
	case "text", "json", "auto":
		p.logFormat = f
		p.chooseLogFormat()
		return nil
	default:
		return usage("--log-format %s: want text, json or auto", f)
	}
}

// chooseLogFormat looks again where the log goes.
func (p *program) chooseLogFormat() {
	p.logJSON.Store(p.logFormat == "json" || p.logFormat == "auto" && !isTerminal(p.err))
}

func logLevel(quiet, verbose bool) slog.Level {
	switch {
	case verbose:
		return slog.LevelDebug
	case quiet:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// newLog writes records as lines like `multicore: message key=value`, or as JSON
// while asJSON is set.
func newLog(w io.Writer, level slog.Level, asJSON *atomic.Bool) *slog.Logger {
	return slog.New(logHandler{
		text:   &lineHandler{w: w, level: level, mu: new(sync.Mutex)},
		json:   slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: plainValue}),
		asJSON: asJSON,
	})
}

// logHandler gives records to one of two handlers.
type logHandler struct {
	text, json slog.Handler
	asJSON     *atomic.Bool // shared by all that derive from one
}

func (h logHandler) current() slog.Handler {
	if h.asJSON.Load() {
		return h.json
	}
	return h.text
}

func (h logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.current().Enabled(ctx, level)
}

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.current().Handle(ctx, r)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.text.WithAttrs(attrs), h.json.WithAttrs(attrs), h.asJSON}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.text.WithGroup(name), h.json.WithGroup(name), h.asJSON}
}

// plainValue has JSON show what the lines show: a duration as 1.5s, and what
// has a text as that.
func plainValue(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case error: // as the handler has it
	case fmt.Stringer:
		if a.Value.Kind() == slog.KindDuration || a.Value.Kind() == slog.KindAny && a.Key != slog.LevelKey {
			a.Value = slog.StringValue(v.String())
		}
	}
	return a
}

type lineHandler struct {
	w      io.Writer
	level  slog.Level
	mu     *sync.Mutex // over w, shared by all that derive from one
	prefix string      // of the names of attributes, from groups
	attrs  string      // already written out
}

func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		writeAttr(&b, h.prefix, a)
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintf(h.w, "multicore: %s\n", oneLine(b.String()))
	return err
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	for _, a := range attrs {
		writeAttr(&b, h.prefix, a)
	}
	with := *h
	with.attrs += b.String()
	return &with
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	with := *h
	with.prefix += name + "."
	return &with
}

func writeAttr(b *strings.Builder, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, inner := range v.Group() {
			writeAttr(b, prefix+a.Key+".", inner)
		}
		return
	}
	text := v.String()
	if text == "" || strings.ContainsAny(text, " \t\n\r\"=") {
		text = strconv.Quote(text)
	}
	fmt.Fprintf(b, " %s%s=%s", prefix, a.Key, text)
}
