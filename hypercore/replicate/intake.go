package replicate

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"multicore/hypercore/wire"
)

// Frames are read, taken apart and their blocks hashed by one goroutine, while
// another one takes what came before: the machine's turn, the rest of the
// verification and the disk. What lies between the two is bounded by the
// buffers and lists that go round; of large frames there is one at a time.
const (
	intakeParts = 3
	intakeList  = 1024    // messages that are taken at once, at most
	firstChunk  = 1 << 20 // how much of a frame is allocated before bytes of it came
)

// incoming is a message of the peer. It lies in the buffer of its frame.
type incoming struct {
	channel uint64
	message wire.Message // nil on the control channel, where it is
	typ     uint64
	payload []byte
}

// part is some messages of a frame, in order.
type part struct {
	list []incoming
	buf  []byte // of the frame, with its last part; else nil
	last bool
}

// intake is what goes round between the two goroutines.
type intake struct {
	full  chan part
	lists chan []incoming
	bufs  chan []byte
}

func newIntake() *intake {
	in := &intake{
		full:  make(chan part, intakeParts),
		lists: make(chan []incoming, intakeParts),
		bufs:  make(chan []byte, intakeParts),
	}
	for range intakeParts {
		in.lists <- nil
		in.bufs <- nil
	}
	return in
}

// buffer gives one for a frame of n bytes. It waits for all frames before a
// large one.
func (in *intake) buffer(n int) []byte {
	buf := <-in.bufs
	if n > firstChunk {
		for range intakeParts - 1 {
			buf = <-in.bufs
		}
		for range intakeParts - 1 {
			in.bufs <- nil
		}
	}
	return buf[:0]
}

// back takes the memory of a part that was dealt with.
func (in *intake) back(p part) {
	clear(p.list)
	in.lists <- p.list[:0]
	if !p.last {
		return
	}
	if cap(p.buf) > firstChunk {
		p.buf = nil
	}
	in.bufs <- p.buf
}

// read takes frames until the stream ends. It returns when all that was read
// has been dealt with, and prefers the error of that.
func (c *conn) read() error {
	in := newIntake()
	dealt := make(chan error, 1)
	go func() { dealt <- c.deal(in) }()
	err := c.readInto(in)
	close(in.full)
	if fault := <-dealt; fault != nil {
		return fault
	}
	return err
}

// deal takes parts until there are no more; after an error it only lets them
// pass.
func (c *conn) deal(in *intake) (err error) {
	for p := range in.full {
		if err == nil {
			c.dealt.Add(1)
			if err = c.takeAll(p.list); err != nil {
				c.fail(err) // ends the reading
			}
			c.dealt.Add(1)
		}
		in.back(p)
	}
	return err
}

// readInto reads frames and takes them apart.
func (c *conn) readInto(in *intake) error {
	r := bufio.NewReaderSize(c.wire, 64<<10)
	for {
		var head [wire.FrameHeader]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		n := wire.FrameLength(head[:])
		if n > wire.MaxPlaintext {
			return blame("frame of %d bytes, at most %d", n, wire.MaxPlaintext)
		}
		buf := in.buffer(n)
		for len(buf) < n {
			at := len(buf)
			more := min(n-at, max(at, firstChunk))
			if cap(buf)-at >= more {
				buf = buf[:at+more]
			} else {
				buf = append(buf, make([]byte, more)...)
			}
			if _, err := io.ReadFull(r, buf[at:]); err != nil {
				return fmt.Errorf("in a frame of %d bytes: %w", n, err)
			}
		}
		c.whole.Store(c.meter.received.Load())
		list, err := takeApart(buf, <-in.lists, func(list []incoming) ([]incoming, error) {
			in.full <- part{list: list}
			return <-in.lists, nil
		})
		in.full <- part{list, buf, true}
		if err != nil {
			return err
		}
	}
}

// frame takes one frame as read and deal do, on the goroutine of its caller.
func (c *conn) frame(b []byte) error {
	c.whole.Store(c.meter.received.Load())
	list, err := takeApart(b, nil, func(list []incoming) ([]incoming, error) {
		return list[:0], c.takeAll(list)
	})
	if fault := c.takeAll(list); fault != nil { // what came before err
		return fault
	}
	return err
}

// takeApart adds the messages of a frame to list and gives what is left of them
// when the list has overflown to full a few times. Blocks are hashed here. With
// an error the messages before it are good.
func takeApart(frame []byte, list []incoming, full func([]incoming) ([]incoming, error)) ([]incoming, error) {
	err := wire.EachMessage(frame, func(channel, typ uint64, payload []byte) error {
		in := incoming{channel: channel, typ: typ, payload: payload}
		if channel != wire.ControlChannel {
			m, err := wire.Parse(typ, payload)
			if err != nil || m == nil {
				return err
			}
			if d, ok := m.(wire.Data); ok && d.Block != nil {
				d.Block.HashValue()
			}
			in.message = m
		}
		list = append(list, in)
		if len(list) < intakeList {
			return nil
		}
		var err error
		list, err = full(list)
		return err
	})
	return list, blamed(err)
}

// blamed blames the peer for what is malformed.
func blamed(err error) error {
	if errors.Is(err, wire.ErrMalformed) && !isMisbehaved(err) {
		return blame("%w", err)
	}
	return err
}
