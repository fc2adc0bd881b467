package multicore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"multicore/hypercore"
)

const (
	// DefaultMaxMessage is the longest message in bytes where FramerOptions say nothing.
	DefaultMaxMessage = 8 << 20
	// DefaultMaxWrite is the size at which the kernel cuts write(2) into requests.
	DefaultMaxWrite = 1 << 20
)

// FramerOptions say how a handle cuts messages and where they go.
type FramerOptions struct {
	Framing    Framing
	MaxMessage int    // bytes; 0: DefaultMaxMessage; at most hypercore.MaxBlock; not for BySize
	MaxWrite   int    // a write of this many bytes or more may be cut out of a larger one; 0: DefaultMaxWrite
	Core       string // takes all messages: "main", "core-2", "core-3"; "" routes by length, but for BySize
}

// Framer is one open handle: bytes in, whole messages appended. Not for
// concurrent use.
type Framer struct {
	append   func(ctx context.Context, messages [][]byte) error
	framing  Framing
	max      int
	maxWrite int

	pending  []byte // a message without its end, at most max bytes
	torn     error  // of the write that would have ended pending, until it is written again
	refusing bool   // what comes now is the rest of a message that was too long

	// A program is not told of an error in a later piece of its write(2), which
	// the kernel cut: it sees a short count, and writes the rest again.
	full    bool   // the last write was taken, and may be followed by a piece of the same write(2)
	refused []byte // such a piece, which ended with its message: refused once more if it comes again

	messages, bytes uint64 // appended
}

// NewFramer opens a handle on the own multicore. The pieces of BySize are one
// stream and stay together: where no core is named core-3 takes them all.
func (o *Own) NewFramer(fo FramerOptions) *Framer {
	if fo.Framing.Mode == BySize && fo.Core == "" {
		fo.Core = CoreName(placeLong)
	}
	return newFramer(fo, func(ctx context.Context, messages [][]byte) error {
		return o.Append(ctx, fo.Core, messages)
	})
}

func newFramer(fo FramerOptions, append func(context.Context, [][]byte) error) *Framer {
	f := &Framer{append: append, framing: fo.Framing, max: fo.MaxMessage, maxWrite: fo.MaxWrite}
	if f.max <= 0 {
		f.max = DefaultMaxMessage
	}
	f.max = min(f.max, hypercore.MaxBlock)
	if f.maxWrite <= 0 {
		f.maxWrite = DefaultMaxWrite
	}
	return f
}

// Write takes all of p or nothing: the whole messages in it are one batch,
// appended before it returns; the rest waits. p is not kept.
//
// ErrTooLong: nothing of p is stored, what waited is dropped, and further
// writes are refused until one that ends with the end of a message, or End. A
// refused write that followed one of MaxWrite bytes is refused twice.
// ErrNotSynced: the messages are appended, what follows them in p is dropped.
// After any other error what waited still waits, and p may be written again.
func (f *Framer) Write(ctx context.Context, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f.refusing {
		f.refusing = !f.ends(p)
		return 0, fmt.Errorf("%w: the rest of a message over %d bytes is refused", ErrTooLong, f.max)
	}
	again := len(f.refused) > 0 && (bytes.HasPrefix(p, f.refused) || len(p) >= f.maxWrite && bytes.HasPrefix(f.refused, p))
	f.refused = nil
	if again {
		f.refusing, f.full = !f.ends(p), false
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLong, f.max)
	}
	messages, rest, err := f.cut(p)
	if err != nil {
		f.pending, f.torn, f.refusing = nil, nil, !f.ends(p)
		if f.full && !f.refusing {
			f.refused = bytes.Clone(p)
		}
		f.full = false
		return 0, err
	}
	if len(messages) > 0 {
		err := f.commit(ctx, messages)
		if errors.Is(err, ErrNotSynced) {
			f.pending, f.torn, f.full = nil, nil, false
			return 0, err
		}
		if err != nil {
			if len(f.pending) > 0 && f.framing.Mode != BySize {
				f.torn = err
			}
			return 0, err
		}
		f.pending, f.torn = nil, nil
	}
	f.pending = append(f.pending, rest...)
	f.full = len(p) >= f.maxWrite
	return len(p), nil
}

// End ends the message that waits, if there is one, and appends it. On an error
// it still waits. But where the write failed that had the end of it, it is
// dropped, as a part is not the message, and the error comes again. Of a message that was refused nothing is left, and what is
// written next is a new one.
func (f *Framer) End(ctx context.Context) error {
	f.refusing, f.full, f.refused = false, false, nil
	if len(f.pending) == 0 {
		return nil
	}
	if err := f.torn; err != nil {
		f.pending, f.torn = nil, nil
		return fmt.Errorf("the message that waited is dropped: %w", err)
	}
	err := f.commit(ctx, [][]byte{f.pending})
	if err == nil || errors.Is(err, ErrNotSynced) {
		f.pending = nil
	}
	return err
}

// Pending is the number of bytes that wait for the end of their message.
func (f *Framer) Pending() int { return len(f.pending) }

// Messages and Bytes count what this handle appended.
func (f *Framer) Messages() uint64 { return f.messages }
func (f *Framer) Bytes() uint64    { return f.bytes }

func (f *Framer) commit(ctx context.Context, messages [][]byte) error {
	err := f.append(ctx, messages)
	if err != nil && !errors.Is(err, ErrNotSynced) {
		return err
	}
	f.messages += uint64(len(messages))
	for _, m := range messages {
		f.bytes += uint64(len(m))
	}
	return err
}

// ends says whether a message ends where p ends, whatever came before it.
func (f *Framer) ends(p []byte) bool {
	switch f.framing.Mode {
	case ByLine:
		return p[len(p)-1] == '\n'
	case ByClose:
		return false
	}
	return true
}

// cut gives the messages that are whole with p, as a copy, and the rest of p.
// It changes nothing.
func (f *Framer) cut(p []byte) (messages [][]byte, rest []byte, err error) {
	whole := f.whole(p) // bytes of p in whole messages
	rest = p[whole:]
	if whole > 0 {
		// A message outlives the call where the core keeps it in memory.
		data := make([]byte, 0, len(f.pending)+whole)
		data = append(append(data, f.pending...), p[:whole]...)
		if messages, err = f.split(data); err != nil {
			return nil, nil, err
		}
	}
	waits := len(rest)
	if whole == 0 {
		waits += len(f.pending)
	}
	if f.framing.Mode != BySize && waits > f.max {
		return nil, nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, f.max)
	}
	return messages, rest, nil
}

// whole gives the number of leading bytes of p that are in whole messages.
func (f *Framer) whole(p []byte) int {
	switch f.framing.Mode {
	case ByLine:
		return bytes.LastIndexByte(p, '\n') + 1
	case ByWrite:
		return len(p)
	case BySize:
		n := len(f.pending) + len(p)
		return max(0, n-n%f.framing.Size-len(f.pending))
	}
	return 0
}

// split cuts data, which ends with the end of a message, into its messages.
func (f *Framer) split(data []byte) ([][]byte, error) {
	var messages [][]byte
	switch f.framing.Mode {
	case BySize:
		messages = make([][]byte, 0, len(data)/f.framing.Size)
		for len(data) > 0 {
			messages = append(messages, data[:f.framing.Size:f.framing.Size])
			data = data[f.framing.Size:]
		}
		return messages, nil
	case ByWrite:
		if len(data) >= f.maxWrite {
			return nil, fmt.Errorf("%w: %d bytes, want less than %d in one write", ErrTooLong, len(data), f.maxWrite)
		}
		messages = [][]byte{data}
	default:
		messages = make([][]byte, 0, bytes.Count(data, []byte{'\n'}))
		for len(data) > 0 {
			n := bytes.IndexByte(data, '\n') + 1
			messages = append(messages, data[:n:n])
			data = data[n:]
		}
	}
	for _, m := range messages {
		if len(m) > f.max {
			return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrTooLong, len(m), f.max)
		}
	}
	return messages, nil
}
