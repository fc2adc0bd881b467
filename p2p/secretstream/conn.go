package secretstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	// MaxFrame is the largest content of a frame on the wire, in bytes.
	MaxFrame = 1<<24 - 1

	// Overhead is what encryption adds to a frame.
	Overhead = 1 + macSize

	// MaxPlaintext is the largest frame that can be written.
	MaxPlaintext = MaxFrame - Overhead

	firstChunk = 1 << 20  // of a frame, taken before bytes of it came
	kept       = 1 << 20  // larger buffers are let go after their frame
	pieceSize  = 64 << 10 // a write to the connection with a deadline of its own

	// frameRoom is what stands before a plaintext in a buffer.
	frameRoom = blockSize
)

// Conn is a secret stream: see the package's manual for what it takes and
// gives. One goroutine may read and one write at a time, and any may Close.
type Conn struct {
	raw       net.Conn
	wire      io.ReadWriter // its bytes
	initiator bool
	hash      [64]byte
	remote    [keySize]byte

	in      *bufio.Reader
	rx      *direction
	frame   []byte // the buffer of the frame being given out
	unread  []byte // what is left of it
	readErr error

	out      *bufio.Writer
	tx       *direction
	head     [frameHeadSize]byte
	headLen  int
	plain    []byte // the frame being taken, behind room for the tag
	missing  int    // of it
	writeErr error
}

// Initiator says whether this side began the handshake.
func (s *Conn) Initiator() bool { return s.initiator }

// HandshakeHash is the same at both ends, and at no other stream.
func (s *Conn) HandshakeHash() [64]byte { return s.hash }

// RemoteKey is the static public key that the peer proved to own.
func (s *Conn) RemoteKey() [32]byte { return s.remote }

// Close ends the stream, Reads and Writes under way included.
func (s *Conn) Close() error { return s.raw.Close() }

// Read gives bytes of the plaintext frames that come, each with its length
// before it. It fails with io.EOF where the peer ended the stream between two
// frames, with ErrFrame or ErrForged where it, or somebody between, broke it,
// and goes on failing then.
func (s *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(s.unread) == 0 {
		if s.readErr != nil {
			return 0, s.readErr
		}
		s.unread, s.readErr = s.receive()
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

// receive reads and decrypts the next frame.
func (s *Conn) receive() ([]byte, error) {
	var head [frameHeadSize]byte
	if _, err := io.ReadFull(s.in, head[:1]); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(s.in, head[1:]); err != nil {
		return nil, fmt.Errorf("in the length of a frame: %w", noEOF(err))
	}
	n := frameLength(head)
	if n < Overhead {
		return nil, fmt.Errorf("%w: %d bytes, at least %d", ErrFrame, n, Overhead)
	}
	// The content's first byte belongs to the tag's block.
	if cap(s.frame) > kept || s.frame == nil {
		s.frame = make([]byte, 0, frameRoom+min(n, readBuffer))
	}
	buf, end := s.frame[:frameRoom-1], frameRoom-1+n
	for len(buf) < end {
		at := len(buf)
		more := min(end-at, max(at, firstChunk))
		if cap(buf)-at < more {
			grown := make([]byte, at, at+more)
			copy(grown, buf)
			buf = grown
		}
		buf = buf[:at+more]
		if _, err := io.ReadFull(s.in, buf[at:]); err != nil {
			return nil, fmt.Errorf("in a frame of %d bytes: %w", n, noEOF(err))
		}
	}
	s.frame = buf
	plain, ok := s.rx.open(buf)
	if !ok {
		return nil, ErrForged
	}
	out := buf[frameRoom-frameHeadSize : frameRoom+len(plain)]
	putFrameLength(out, len(plain))
	return out, nil
}

// Write takes plaintext frames, whole or in parts; what is whole is on its way
// on return, the rest waits for more. A frame above MaxPlaintext fails with
// ErrFrame. After an error the stream is good for nothing more.
func (s *Conn) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 && s.writeErr == nil {
		p = s.take(p)
	}
	if s.writeErr == nil {
		s.writeErr = s.out.Flush()
	}
	if s.writeErr != nil {
		return total - len(p), s.writeErr
	}
	return total, nil
}

// take moves bytes of p into the frame, sends it once it is whole, and gives
// what is left of p.
func (s *Conn) take(p []byte) []byte {
	if s.headLen < frameHeadSize {
		n := copy(s.head[s.headLen:], p)
		s.headLen += n
		p = p[n:]
		if s.headLen < frameHeadSize {
			return p
		}
		s.missing = frameLength(s.head)
		if s.missing > MaxPlaintext {
			s.writeErr = fmt.Errorf("%w: %d bytes, at most %d", ErrFrame, s.missing, MaxPlaintext)
			return p
		}
		if size := frameRoom + s.missing + macSize; cap(s.plain) < size {
			s.plain = make([]byte, 0, size)
		}
		s.plain = s.plain[:frameRoom]
	}
	n := min(s.missing, len(p))
	s.plain = append(s.plain, p[:n]...)
	s.missing -= n
	if s.missing > 0 {
		return p[n:]
	}
	content := s.tx.seal(s.plain, tagMessage)
	var head [frameHeadSize]byte
	putFrameLength(head[:], len(content))
	if _, s.writeErr = s.out.Write(head[:]); s.writeErr == nil {
		_, s.writeErr = s.out.Write(content)
	}
	s.headLen = 0
	if cap(s.plain) > kept {
		s.plain = nil
	}
	return p[n:]
}

func frameLength(b [frameHeadSize]byte) int {
	return int(b[0]) | int(b[1])<<8 | int(b[2])<<16
}

func putFrameLength(b []byte, n int) {
	b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16)
}

// appendFrame adds content, with its length, to buf.
func appendFrame(buf, content []byte) []byte {
	var head [frameHeadSize]byte
	putFrameLength(head[:], len(content))
	return append(append(buf, head[:]...), content...)
}

// patient writes in pieces, each of which the peer may take its time for once
// the handshake, which has one deadline for all, is over.
type patient struct {
	net.Conn
	time time.Duration // 0 during the handshake
}

func (w *patient) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if w.time > 0 {
			if err = w.SetWriteDeadline(time.Now().Add(w.time)); err != nil {
				break
			}
		}
		var m int
		m, err = w.Conn.Write(p[n:min(len(p), n+pieceSize)])
		n += m
	}
	return n, err
}
