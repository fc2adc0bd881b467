package node

import (
	"context"
	"errors"
	"fmt"
	"io"

	"multicore/cmd/multicore/control"
	"multicore/corestore/multicore"
)

// Init implements control.Service.
func (n *Node) Init(ctx context.Context) (string, bool, error) {
	if own := n.current(); own != nil {
		return own.Key().String(), false, nil
	}
	own, err := n.ownMulticore(ctx, true)
	if err != nil {
		return "", false, coded(err)
	}
	return own.Key().String(), true, coded(own.Flush(ctx))
}

// Key implements control.Service.
func (n *Node) Key(ctx context.Context) (string, error) {
	if own := n.current(); own != nil {
		return own.Key().String(), nil
	}
	return "", n.noOwn()
}

// Append implements control.Service. On an error what was counted in the
// result is appended, and durable, all the same.
func (n *Node) Append(ctx context.Context, r control.AppendRequest, in io.Reader) (*control.AppendResult, error) {
	framing := multicore.Framing{Mode: multicore.ByLine}
	if r.Framing != "" {
		var err error
		if framing, err = multicore.ParseFraming(r.Framing); err != nil {
			return nil, &control.Error{Code: control.Usage, Text: err.Error(), Err: err}
		}
	}
	core := r.Core
	if core == "core-1" {
		core = "main"
	}
	switch core {
	case "", "main", "core-2", "core-3":
	default:
		return nil, &control.Error{Code: control.NotFound,
			Text: fmt.Sprintf("no core %q here; want main, core-2 or core-3", r.Core)}
	}
	own, err := n.ownMulticore(ctx, true)
	if err != nil {
		return nil, coded(err)
	}
	limit := r.MaxMessage
	if limit == 0 {
		limit = n.opts.MaxMessage
	}
	f := own.NewFramer(multicore.FramerOptions{Framing: framing, MaxMessage: limit, Core: core})
	err = frame(ctx, f, in)
	if err != nil {
		err = fmt.Errorf("after %d messages that were appended: %w", f.Messages(), err)
	}
	if ferr := own.Flush(context.WithoutCancel(ctx)); err == nil {
		err = ferr
	}
	return &control.AppendResult{Messages: f.Messages(), Bytes: f.Bytes(), Reachable: n.net != nil}, coded(err)
}

// frame gives all of in to f.
func frame(ctx context.Context, f *multicore.Framer, in io.Reader) error {
	buf := make([]byte, 1<<20)
	for {
		got, err := in.Read(buf)
		if got > 0 {
			if _, err := f.Write(ctx, buf[:got]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return f.End(ctx)
		}
		if err != nil {
			return fmt.Errorf("read input: %w", err)
		}
	}
}
