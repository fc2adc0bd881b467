package wire

import (
	"fmt"
	"slices"

	"multicore/hypercore/compact"
)

// Batch gathers messages into frames as large as they may be. It is for one
// goroutine. A frame with one message is no batch on the wire.
type Batch struct {
	send func(frame []byte) error

	// buf has room for the frame's length, then the frame as a batch.
	buf     []byte
	count   int    // messages in buf
	channel uint64 // of the last one
	first   int    // where the type of the first one is in buf
}

// keptBuffer is the largest buffer that a Batch keeps after its frame was sent.
const keptBuffer = 1 << 20

// NewBatch calls send for each frame. The frame starts with its length, and is
// good until send returns.
func NewBatch(send func(frame []byte) error) *Batch {
	return &Batch{send: send}
}

// Len is the number of bytes gathered and not sent.
func (b *Batch) Len() int {
	if b.count == 0 {
		return 0
	}
	return len(b.buf)
}

// Add adds a message. Where it does not fit into the frame, what was gathered
// before is sent first. It fails with ErrTooLarge for a message that fits no
// frame, which is dropped, and with the error of send.
func (b *Batch) Add(channel uint64, m Message) error {
	before := *b
	b.encode(channel, m)
	if len(b.buf)-FrameHeader <= MaxPlaintext {
		return nil
	}
	if b.count > 1 {
		b.buf, b.count, b.channel = b.buf[:len(before.buf)], before.count, before.channel
		if err := b.Flush(); err != nil {
			return err
		}
		b.encode(channel, m)
		if len(b.buf)-FrameHeader <= MaxPlaintext {
			return nil
		}
	}
	if b.single() <= MaxPlaintext {
		return b.Flush()
	}
	n := b.single()
	b.reset()
	return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, n, MaxPlaintext)
}

// encode adds a message to buf, whatever its size.
func (b *Batch) encode(channel uint64, m Message) {
	switch {
	case b.count == 0:
		b.buf = append(b.buf[:0], make([]byte, FrameHeader)...)
		b.buf = append(b.buf, ControlChannel, TypeBatch)
		b.buf = compact.AppendUint(b.buf, channel)
	case channel != b.channel:
		b.buf = append(b.buf, 0)
		b.buf = compact.AppendUint(b.buf, channel)
	}
	b.channel = channel
	b.count++

	start := len(b.buf)
	b.buf = compact.AppendUint(b.buf, m.Type())
	b.buf = m.Append(b.buf)
	size := uint64(len(b.buf) - start)
	var prefix [9]byte
	b.buf = slices.Insert(b.buf, start, compact.AppendUint(prefix[:0], size)...)
	if b.count == 1 {
		b.first = start + compact.UintSize(size)
	}
}

// single is the size of the frame where its only message is sent without a
// batch.
func (b *Batch) single() int { return compact.UintSize(b.channel) + len(b.buf) - b.first }

// Flush sends what was gathered.
func (b *Batch) Flush() error {
	if b.count == 0 {
		return nil
	}
	frame := b.buf
	if b.count == 1 {
		// The channel fits before the message, where the batch's head was.
		start := len(b.buf) - b.single()
		compact.AppendUint(b.buf[:start], b.channel)
		frame = b.buf[start-FrameHeader:]
	}
	PutFrameLength(frame, len(frame)-FrameHeader)
	err := b.send(frame)
	b.reset()
	return err
}

func (b *Batch) reset() {
	b.count = 0
	b.buf = b.buf[:0]
	if cap(b.buf) > keptBuffer {
		b.buf = nil
	}
}
