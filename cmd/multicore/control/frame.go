package control

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A frame of an answer to read:
//
//	1 byte   kind
//	4 bytes  size of the header, big-endian
//	4 bytes  size of the block, big-endian
//	header   JSON: an Item without its block, or a wireError
//	block    the bytes of the block
type frameKind byte

const (
	frameItem  frameKind = 'i' // Item without a block
	frameBlock frameKind = 'b' // Item with its block, which may be empty
	frameError frameKind = 'e' // last: the call failed
	frameGone  frameKind = 'g' // last: the server stops
	frameEnd   frameKind = '.' // last: the call is complete
)

const (
	frameHead      = 9
	maxFrameHeader = 64 << 10
	maxFrameBlock  = 16 << 20 // above the largest block of a core
)

// wireError is an *Error as it crosses the socket.
type wireError struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
	Gone bool   `json:"gone,omitempty"`
}

func toWire(err error) wireError {
	return wireError{Code: CodeOf(err), Text: err.Error(), Gone: errors.Is(err, ErrGone)}
}

func (w wireError) err() error {
	if w.Gone {
		return ErrGone
	}
	return &Error{Code: w.Code, Text: w.Text}
}

// appendFrame encodes a frame of header, which is nil where it has none.
func appendFrame(buf []byte, kind frameKind, header any, block []byte) ([]byte, error) {
	var h []byte
	if header != nil {
		var err error
		if h, err = json.Marshal(header); err != nil {
			return nil, err
		}
	}
	if len(h) > maxFrameHeader || len(block) > maxFrameBlock {
		return nil, fmt.Errorf("frame of %d and %d bytes is too large", len(h), len(block))
	}
	buf = append(buf, byte(kind))
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(h)))
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(block)))
	buf = append(buf, h...)
	return append(buf, block...), nil
}

// readFrame reads one frame; io.EOF only before its first byte. Sizes are
// checked before anything is allocated.
func readFrame(r io.Reader) (kind frameKind, header, block []byte, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, nil, err
	}
	h, b := binary.BigEndian.Uint32(head[1:]), binary.BigEndian.Uint32(head[5:])
	if h > maxFrameHeader || b > maxFrameBlock {
		return 0, nil, nil, fmt.Errorf("frame of %d and %d bytes, at most %d and %d fit", h, b, maxFrameHeader, maxFrameBlock)
	}
	body := make([]byte, h+b)
	if _, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, nil, err
	}
	return frameKind(head[0]), body[:h:h], body[h:], nil
}

// appendItem encodes an Item.
func appendItem(buf []byte, it Item) ([]byte, error) {
	if it.Block == nil {
		return appendFrame(buf, frameItem, it, nil)
	}
	return appendFrame(buf, frameBlock, it, it.Block)
}

// readItem reads the next Item, or how the stream ended: io.EOF where it is
// complete, an *Error, or ErrGone.
func readItem(r io.Reader) (Item, error) {
	kind, header, block, err := readFrame(r)
	if err != nil {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return Item{}, ErrGone
		}
		return Item{}, err
	}
	var it Item
	switch kind {
	case frameItem, frameBlock:
		if err := json.Unmarshal(header, &it); err != nil {
			return Item{}, fmt.Errorf("bad item: %w", err)
		}
		if kind == frameBlock {
			it.Block = block
		}
		return it, nil
	case frameEnd:
		return Item{}, io.EOF
	case frameGone:
		return Item{}, ErrGone
	case frameError:
		var w wireError
		if err := json.Unmarshal(header, &w); err != nil {
			return Item{}, fmt.Errorf("bad error: %w", err)
		}
		return Item{}, w.err()
	}
	return Item{}, fmt.Errorf("unknown frame %q", byte(kind))
}
