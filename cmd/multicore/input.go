package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"multicore/hypercore"
)

const (
	pieceSize = 256 << 10
	// chunkSize is how much input one append takes at most, where messages are
	// not longer: it bounds memory, and what one flush is paid for.
	chunkSize = 4 << 20
)

// input cuts a stream into chunks that end where a message ends, so that
// between two chunks the store may move to another process. It gives what is
// there without waiting for more, so lines that trickle in are appended at
// once, while a fast stream fills the chunks.
type input struct {
	size   int // of a message; 0 for lines
	pieces chan []byte
	err    error // why pieces was closed; nil at the end of the stream
	quit   chan struct{}
	stop   func() // ends the reading goroutine, once its read returns

	buf []byte // not yet given
	cut int    // buf[:cut] are whole messages
	eof bool
}

// newInput reads r for messages of size bytes, or lines if size is 0.
func newInput(r io.Reader, size int) *input {
	in := &input{size: size, pieces: make(chan []byte, 4), quit: make(chan struct{})}
	in.stop = sync.OnceFunc(func() { close(in.quit) })
	go in.pump(r)
	return in
}

func (in *input) pump(r io.Reader) {
	defer close(in.pieces)
	for {
		piece := make([]byte, pieceSize)
		n, err := r.Read(piece)
		if n > 0 {
			select {
			case in.pieces <- piece[:n]:
			case <-in.quit:
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				in.err = err
			}
			return
		}
	}
}

// next gives the next chunk, which stays valid until the next call, and io.EOF
// at the end. It ends with errYielded once yielded is closed, and loses nothing
// then.
func (in *input) next(ctx context.Context, yielded <-chan struct{}) ([]byte, error) {
	select {
	case <-yielded:
		return nil, errYielded
	default:
	}
	for {
		if in.ready() {
			if !in.more() {
				return in.take(), nil
			}
			continue
		}
		if in.eof {
			if in.err != nil {
				return nil, in.err
			}
			return nil, io.EOF
		}
		select {
		case piece, ok := <-in.pieces:
			in.add(piece, ok)
		case <-yielded:
			return nil, errYielded
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ready says whether there is a chunk to give. A message that is longer than
// any block is given in part: it is refused.
func (in *input) ready() bool {
	return in.cut > 0 || len(in.buf) > hypercore.MaxBlock || in.eof && in.err == nil && len(in.buf) > 0
}

// more takes input that is there already, and false where there is none, or
// the chunk is full.
func (in *input) more() bool {
	if in.eof || len(in.buf) >= chunkSize {
		return false
	}
	select {
	case piece, ok := <-in.pieces:
		in.add(piece, ok)
		return true
	default:
		return false
	}
}

func (in *input) add(piece []byte, ok bool) {
	if !ok {
		in.eof = true
		return
	}
	before := len(in.buf)
	in.buf = append(in.buf, piece...)
	if in.size > 0 {
		in.cut = len(in.buf) / in.size * in.size
	} else if i := bytes.LastIndexByte(piece, '\n'); i >= 0 {
		in.cut = before + i + 1
	}
}

// take gives the whole messages, and at the end of the stream, or where there
// is none, all.
func (in *input) take() []byte {
	n := in.cut
	if n == 0 || in.eof && in.err == nil {
		n = len(in.buf)
	}
	chunk := in.buf[:n]
	in.buf, in.cut = append([]byte(nil), in.buf[n:]...), 0
	return chunk
}
