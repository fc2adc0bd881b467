package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) appendCommand() *cli.Command {
	return &cli.Command{
		Name:      "append",
		Usage:     "append lines from stdin, or from files, to the own multicore",
		ArgsUsage: "[FILE...]",
		Description: "Each line is a message, its newline kept: shorter than 5 bytes it goes to core-2,\n" +
			"else to core-3. What was appended is on the disk when the command returns, and is\n" +
			"fetched by others while mount or serve runs.\n\n" +
			example("echo hello | multicore append", "tail -f /var/log/syslog | multicore append", "multicore append --block-size 64KiB --core core-3 photo.jpg"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "core", Usage: "append all to the core `NAME`", EnvVars: env("core")},
			&cli.StringFlag{Name: "block-size", Usage: "cut into blocks of `SIZE` in place of lines, for binary data", EnvVars: env("block-size")},
			maxMessageFlag(),
		},
		Action: p.append,
	}
}

func (p *program) append(c *cli.Context) error {
	r := control.AppendRequest{Core: c.String("core"), Framing: c.String("block-size")}
	var err error
	if r.MaxMessage, err = maxMessage(c); err != nil {
		return err
	}
	size := 0
	if r.Framing != "" {
		if size, err = parseSize(r.Framing); err != nil {
			return usage("--block-size %s: %v", r.Framing, err)
		}
	}
	inputs, closeAll, err := p.openInputs(c.Args().Slice())
	if err != nil {
		return err
	}
	defer closeAll()
	a := &appending{p: p, request: r, sofar: progress{ofBytes: totalSize(inputs)}}
	if !slices.ContainsFunc(inputs, isTerminalInput) { // who types sees how far that is
		a.meter = p.meter(false)
		defer a.meter.end()
	}
	for _, in := range inputs {
		a.inputs = append(a.inputs, newInput(in, size))
	}
	defer a.stop()
	if err := p.with(c.Context, node.Options{Create: true}, a.do); err != nil {
		return err
	}
	a.meter.end()
	if !a.total.Reachable {
		p.note(notReachable)
	}
	if p.json {
		return p.object(a.total)
	}
	return nil
}

// openInputs opens every file before anything is appended.
func (p *program) openInputs(files []string) (inputs []io.Reader, closeAll func(), err error) {
	var open []*os.File
	closeAll = func() {
		for _, f := range open {
			f.Close()
		}
	}
	if len(files) == 0 {
		files = []string{"-"}
	}
	for _, file := range files {
		if file == "-" {
			inputs = append(inputs, p.stdin)
			continue
		}
		f, err := os.Open(file)
		if err == nil {
			open = append(open, f)
			var info os.FileInfo
			if info, err = f.Stat(); err == nil && info.IsDir() {
				err = &control.Error{Code: control.Other, Text: file + " is a directory"}
			}
		}
		if err != nil {
			closeAll()
			if errors.Is(err, os.ErrNotExist) {
				err = &control.Error{Code: control.NotFound, Text: fmt.Sprintf("%s: no such file; to append text: echo %[1]s | multicore append", file)}
			}
			return nil, nil, err
		}
		inputs = append(inputs, f)
	}
	return inputs, closeAll, nil
}

// appending is one append, over all the sessions that it takes.
type appending struct {
	p       *program
	request control.AppendRequest
	inputs  []*input // the first one is under way
	chunk   []byte   // of that one, taken and not yet appended
	total   control.AppendResult

	meter *meter // nil: none
	sofar progress
}

func (a *appending) stop() {
	for _, in := range a.inputs {
		in.stop()
	}
}

func (a *appending) do(ctx context.Context, s *session) error {
	if _, _, err := a.p.makeOwn(ctx, s); err != nil {
		return err
	}
	a.total.Reachable = !s.held() // with no input there is no result that says so
	for ; len(a.inputs) > 0; a.inputs = a.inputs[1:] {
		for {
			if a.chunk == nil {
				chunk, err := a.inputs[0].next(ctx, s.yielded())
				if err == io.EOF {
					break
				}
				if err != nil {
					return err
				}
				a.chunk = chunk
			}
			if err := a.append(ctx, s); err != nil {
				return err
			}
			a.chunk = nil
		}
		a.inputs[0].stop()
	}
	return nil
}

// append appends the chunk. It may be called again where it gives ErrNoServer.
func (a *appending) append(ctx context.Context, s *session) error {
	res, err := s.Append(ctx, a.request, bytes.NewReader(a.chunk))
	switch {
	case errors.Is(err, control.ErrNoServer):
		return err
	case errors.Is(err, control.ErrGone):
		// Not to be taken for a session that can be gone on with: whether the
		// chunk was appended is not known.
		return &control.Error{Code: control.Other, Text: fmt.Sprintf("%v; %d messages are appended, the next %d bytes may or may not be", err, a.total.Messages, len(a.chunk))}
	case err != nil && a.total.Messages > 0:
		return &control.Error{Code: control.CodeOf(err), Text: fmt.Sprintf("%d messages are appended; then: %v", a.total.Messages, err), Err: err}
	case err != nil:
		return err
	}
	a.total.Messages += res.Messages
	a.total.Bytes += res.Bytes
	a.total.Reachable = res.Reachable
	a.sofar.bytes = a.total.Bytes
	a.meter.set(a.sofar)
	return nil
}

// totalSize is how much there is to read of files; 0 where one is no plain file.
func totalSize(inputs []io.Reader) (n uint64) {
	for _, in := range inputs {
		f, ok := in.(*os.File)
		if !ok {
			return 0
		}
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return 0
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return 0
		}
		n += uint64(max(0, info.Size()-at))
	}
	return n
}

func isTerminalInput(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && isTerminal(f)
}
