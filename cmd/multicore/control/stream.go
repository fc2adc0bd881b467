package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// line is one line of an answer that comes bit by bit: a value, or the last one,
// which says that all is said or what went wrong.
type line[T any] struct {
	Value *T         `json:"value,omitempty"`
	End   bool       `json:"end,omitempty"`
	Error *wireError `json:"error,omitempty"`
}

// streamed answers a method that takes one JSON value and gives many, each of
// which leaves at once.
func streamed[In, Out any](s *Server, do func(context.Context, In, func(Out) error) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if !decode(w, r, &in) {
			return
		}
		ctx, done := s.call(r)
		defer done()
		w.Header().Set("Content-Type", "application/x-ndjson")
		out, rc := json.NewEncoder(w), http.NewResponseController(w)
		send := func(l line[Out]) error {
			if err := out.Encode(l); err != nil {
				return err
			}
			return rc.Flush()
		}
		err := do(ctx, in, func(v Out) error { return send(line[Out]{Value: &v}) })
		if err = s.gone(r, err); err != nil {
			e := toWire(err)
			send(line[Out]{Error: &e}) // fails only where the client has left
			return
		}
		send(line[Out]{End: true})
	}
}

// stream calls a method that gives many values. An error of emit ends the call
// and is its error.
func stream[Out any](ctx context.Context, c *Client, method string, in any, emit func(Out) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the body is closed, which would else read it to its end
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := c.post(ctx, method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	for {
		var l line[Out]
		switch err := lines.Decode(&l); {
		case errors.Is(err, io.EOF):
			return c.failed(ctx, io.ErrUnexpectedEOF)
		case err != nil:
			return c.failed(ctx, err)
		case l.Error != nil:
			return l.Error.err()
		case l.End:
			return nil
		case l.Value != nil:
			if err := emit(*l.Value); err != nil {
				return err
			}
		}
	}
}
