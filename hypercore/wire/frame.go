package wire

import (
	"fmt"

	"multicore/hypercore/compact"
)

// FrameHeader is the number of bytes of the length before a frame.
const FrameHeader = 3

// PutFrameLength writes the length of a frame, at most MaxFrame, into the first
// FrameHeader bytes of b.
func PutFrameLength(b []byte, n int) {
	if n < 0 || n > MaxFrame {
		panic(fmt.Sprintf("wire: frame of %d bytes", n))
	}
	b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16)
}

// FrameLength reads what PutFrameLength wrote.
func FrameLength(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// AppendMessage adds a frame, without its length, that holds one message.
func AppendMessage(buf []byte, channel uint64, m Message) []byte {
	buf = compact.AppendUint(buf, channel)
	buf = compact.AppendUint(buf, m.Type())
	return m.Append(buf)
}

// maxNesting is how deep batches may lie in each other: JavaScript understands
// a batch in a batch and never sends one.
const maxNesting = 2

// EachMessage takes a frame, without its length, apart and calls fn for each
// message in it, in order. Payloads alias the frame. Batches are taken apart
// too: fn never sees TypeBatch of the control channel. An empty frame has no
// messages. The error is that of fn, which ends the walk, or ErrMalformed, with
// which messages may have come before.
func EachMessage(frame []byte, fn func(channel, typ uint64, payload []byte) error) error {
	if len(frame) == 0 {
		return nil
	}
	d := compact.NewDecoder(frame)
	channel := d.Uint()
	return eachMessage(d, channel, 0, fn)
}

// eachMessage reads the type and the payload of a message, which may be a batch.
func eachMessage(d *compact.Decoder, channel uint64, depth int, fn func(channel, typ uint64, payload []byte) error) error {
	typ := d.Uint()
	if err := d.Err(); err != nil {
		return fmt.Errorf("%w: frame: %w", ErrMalformed, err)
	}
	if channel != ControlChannel || typ != TypeBatch {
		return fn(channel, typ, d.Raw())
	}
	if depth == maxNesting {
		return fmt.Errorf("%w: batches within batches", ErrMalformed)
	}
	for channel = d.Uint(); d.Len() > 0; {
		n := d.Uint()
		if n == 0 {
			channel = d.Uint()
			continue
		}
		message := d.Bytes(n)
		if d.Err() != nil {
			break
		}
		if err := eachMessage(compact.NewDecoder(message), channel, depth+1, fn); err != nil {
			return err
		}
	}
	if err := d.Err(); err != nil {
		return fmt.Errorf("%w: batch: %w", ErrMalformed, err)
	}
	return nil
}
