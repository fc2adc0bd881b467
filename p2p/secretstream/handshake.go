package secretstream

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/blake2b"
)

// HandshakeTimeout bounds a handshake, from the first byte to the peer's header.
const HandshakeTimeout = 15 * time.Second

const (
	idSize        = 32
	greetingSize  = idSize + headerSize // the frame after the handshake
	writeTimeout  = 5 * time.Minute     // default of Options.WriteTimeout
	readBuffer    = 64 << 10
	frameHeadSize = 3
)

// The constants of spec 2 that tell the directions of a stream apart.
var (
	streamInitiator = constant("a931a0155b5c09e6d28628236af83c4b8a6af9af60986edeede9dc5d63192bf7")
	streamResponder = constant("742c9d833d430af4c48a8705e91631eecf295442bbca18996e597097723b1061")
)

func constant(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic("secretstream: " + err.Error())
	}
	return b
}

// Options of a handshake.
type Options struct {
	// Initiator speaks first. The ends must differ; usually it is the TCP client.
	Initiator bool
	// Static is shown to the peer; nil makes one for this stream.
	Static *KeyPair
	// Rand gives the seed of Static where that is nil, the ephemeral seed and
	// the header, in this order, 32, 32 and 24 bytes. nil is crypto/rand.
	Rand io.Reader
	// WriteTimeout ends the stream of a peer that takes no bytes for so long;
	// 0 is five minutes: one that reads slowly is not gone.
	WriteTimeout time.Duration
	// Through, where given, puts what counts or limits bytes between the stream
	// and its connection. It may take its time over a Read or a Write.
	Through func(io.ReadWriter) io.ReadWriter
}

// Handshake makes c a secret stream (spec 10.1 and 10.2). It takes c over, also
// where it fails: c is closed then. The error is ErrHandshake where the peer is
// to blame, the error of ctx where that ended, else that of c.
func Handshake(ctx context.Context, c net.Conn, o Options) (*Conn, error) {
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = writeTimeout
	}
	s, err := handshake(ctx, c, o)
	if err != nil {
		c.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return s, nil
}

func handshake(ctx context.Context, c net.Conn, o Options) (*Conn, error) {
	if err := c.SetDeadline(time.Now().Add(HandshakeTimeout)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	bytes := &patient{Conn: c}
	s := &Conn{raw: c, wire: bytes, initiator: o.Initiator}
	if o.Through != nil {
		s.wire = o.Through(bytes)
	}
	s.in = bufio.NewReaderSize(s.wire, readBuffer)
	if err := s.shake(o); err != nil {
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err()
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	bytes.time = o.WriteTimeout
	s.out = bufio.NewWriterSize(s.wire, readBuffer)
	return s, nil
}

// shake exchanges the three messages and the greetings.
func (s *Conn) shake(o Options) (err error) {
	static := o.Static
	if static == nil {
		if static, err = GenerateKeyPair(o.Rand); err != nil {
			return err
		}
	}
	ephemeral, err := GenerateKeyPair(o.Rand)
	if err != nil {
		return err
	}
	var header [headerSize]byte
	if _, err := io.ReadFull(o.Rand, header[:]); err != nil {
		return err
	}
	n := newNoise(static, ephemeral)
	var tx, rx [32]byte
	var last []byte // of ours, to go out together with the greeting
	if o.Initiator {
		last, err = s.initiate(n)
		tx, rx = n.split()
	} else {
		err = s.respond(n)
		rx, tx = n.split()
	}
	if err != nil {
		return err
	}
	s.hash, s.remote = n.hash, n.remoteStatic

	id, remoteID := streamIDs(s.hash, o.Initiator)
	if _, err := s.wire.Write(appendFrame(last, append(id[:], header[:]...))); err != nil {
		return err
	}
	greeting, err := s.expect("header", greetingSize)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(greeting[:idSize], remoteID[:]) != 1 {
		return fmt.Errorf("%w: header has another stream id", ErrHandshake)
	}
	s.tx = newDirection(tx, header)
	s.rx = newDirection(rx, [headerSize]byte(greeting[idSize:]))
	return nil
}

// initiate leaves message 3, as a frame, to be sent.
func (s *Conn) initiate(n *noise) (last []byte, err error) {
	if _, err := s.wire.Write(appendFrame(nil, n.write1())); err != nil {
		return nil, err
	}
	m, err := s.expect("message 2", message2Size)
	if err != nil {
		return nil, err
	}
	if err := n.read2(m); err != nil {
		return nil, fmt.Errorf("%w: message 2: %w", ErrHandshake, err)
	}
	if m, err = n.write3(); err != nil {
		return nil, fmt.Errorf("%w: message 2: %w", ErrHandshake, err)
	}
	return appendFrame(nil, m), nil
}

func (s *Conn) respond(n *noise) error {
	m, err := s.expect("message 1", message1Size)
	if err != nil {
		return err
	}
	n.read1(m)
	if m, err = n.write2(); err != nil {
		return fmt.Errorf("%w: message 1: %w", ErrHandshake, err)
	}
	if _, err := s.wire.Write(appendFrame(nil, m)); err != nil {
		return err
	}
	if m, err = s.expect("message 3", message3Size); err != nil {
		return err
	}
	if err := n.read3(m); err != nil {
		return fmt.Errorf("%w: message 3: %w", ErrHandshake, err)
	}
	return nil
}

// expect reads a frame whose size is known.
func (s *Conn) expect(what string, size int) ([]byte, error) {
	var head [frameHeadSize]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return nil, fmt.Errorf("%s: %w", what, noEOF(err))
	}
	if n := frameLength(head); n != size {
		return nil, fmt.Errorf("%w: %s of %d bytes, want %d", ErrHandshake, what, n, size)
	}
	m := make([]byte, size)
	if _, err := io.ReadFull(s.in, m); err != nil {
		return nil, fmt.Errorf("%s: %w", what, noEOF(err))
	}
	return m, nil
}

// noEOF says that a stream ended where more had to come.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// streamIDs are those that open the header of each side (spec 10.2).
func streamIDs(hash [64]byte, initiator bool) (ours, theirs [idSize]byte) {
	ours, theirs = keyed(hash, streamInitiator), keyed(hash, streamResponder)
	if !initiator {
		ours, theirs = theirs, ours
	}
	return ours, theirs
}

func keyed(hash [64]byte, data []byte) (sum [idSize]byte) {
	h, err := blake2b.New256(hash[:])
	if err != nil {
		panic("secretstream: " + err.Error()) // only for a longer key
	}
	h.Write(data)
	h.Sum(sum[:0])
	return sum
}
