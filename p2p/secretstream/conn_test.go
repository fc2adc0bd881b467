package secretstream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// TestStream sends frames of many sizes both ways at once over TCP.
func TestStream(t *testing.T) {
	i, r := pair(t)
	if !i.Initiator() || r.Initiator() || i.HandshakeHash() != r.HandshakeHash() {
		t.Error("the ends do not agree on the handshake")
	}
	var plains [][]byte
	for _, n := range []int{0, 1, 2, 100, 65535, 65536, 65537, 0, firstChunk, firstChunk + 1, 3 << 20, MaxPlaintext, 5} {
		plains = append(plains, bytes.Repeat([]byte{byte(n), byte(n >> 8), 7}, n/3+1)[:n])
	}
	all := framed(plains...)
	var work sync.WaitGroup
	for from, to := range map[*Conn]*Conn{i: r, r: i} {
		work.Go(func() {
			if n, err := from.Write(all); n != len(all) || err != nil {
				t.Errorf("wrote %d of %d: %v", n, len(all), err)
			}
		})
		work.Go(func() {
			got := make([]byte, len(all))
			if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, all) {
				t.Errorf("read something else, or not all: %v", err)
			}
		})
	}
	work.Wait()
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after Close of the peer: %v, want EOF", err)
	}
}

// TestOneByte: writes and reads of single bytes, on either side of the stream.
func TestOneByte(t *testing.T) {
	plains := [][]byte{[]byte("hello"), {}, bytes.Repeat([]byte("x"), 300), []byte("end")}
	want := sealed(t, plains...)
	var wire bytes.Buffer
	w := writing(&wire)
	for _, b := range framed(plains...) {
		if n, err := w.Write([]byte{b}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if !bytes.Equal(wire.Bytes(), want) {
		t.Error("single bytes written give other frames")
	}
	got, err := io.ReadAll(iotest.OneByteReader(reading(iotest.OneByteReader(&wire))))
	if err != nil || !bytes.Equal(got, framed(plains...)) {
		t.Errorf("read %x, %v", got, err)
	}
}

// TestFlips: a flipped bit in any byte of any frame ends the stream there, and
// nothing of that frame, or behind it, is ever given out.
func TestFlips(t *testing.T) {
	plains := [][]byte{[]byte("one"), {}, []byte("a frame of some more bytes")}
	good, want := sealed(t, plains...), framed(plains...)
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			r := reading(bytes.NewReader(bad))
			got, err := io.ReadAll(r)
			if err == nil || len(got) >= len(want) || !bytes.HasPrefix(want, got) {
				t.Fatalf("bit %d of byte %d: read %q, %v", bit, i, got, err)
			}
			if _, again := r.Read(make([]byte, 1)); again != err {
				t.Fatalf("then %v, before %v", again, err)
			}
		}
	}
	for cut := 1; cut < len(good); cut++ {
		got, err := io.ReadAll(reading(bytes.NewReader(good[:cut])))
		if whole := len(framed(plains[:2]...)); err == nil && len(got) != whole && len(got) != len(framed(plains[0])) {
			t.Fatalf("cut at %d: read %q and no error", cut, got)
		}
	}
}

// TestBounds: frames that no peer sends, and that no owner may write.
func TestBounds(t *testing.T) {
	for n := range Overhead {
		_, err := io.ReadAll(reading(bytes.NewReader(appendFrame(nil, make([]byte, n)))))
		if !errors.Is(err, ErrFrame) {
			t.Errorf("frame of %d bytes: %v", n, err)
		}
	}
	var wire bytes.Buffer
	w := writing(&wire)
	var head [3]byte
	putFrameLength(head[:], MaxPlaintext+1)
	if _, err := w.Write(head[:]); !errors.Is(err, ErrFrame) {
		t.Errorf("frame of %d bytes: %v", MaxPlaintext+1, err)
	}
	if _, err := w.Write(framed([]byte("x"))); !errors.Is(err, ErrFrame) {
		t.Errorf("after an error: %v", err)
	}
	if wire.Len() > 0 {
		t.Errorf("sent %x", wire.Bytes())
	}
}

// TestAnnouncedFrame: a peer that announces a large frame and sends nothing of
// it makes us hold little.
func TestAnnouncedFrame(t *testing.T) {
	r := reading(strings.NewReader("\xff\xff\xff" + "x"))
	_, err := io.ReadAll(r)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if cap(r.frame) > 2*firstChunk {
		t.Errorf("%d bytes taken", cap(r.frame))
	}
}

// TestClose ends a Read and a Write under way.
func TestClose(t *testing.T) {
	i, _ := pair(t)
	var work sync.WaitGroup
	writes := make(chan struct{})
	work.Go(func() {
		if _, err := i.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
	})
	work.Go(func() {
		_, err := i.Write(framed([]byte("first")))
		close(writes)
		for frame := framed(make([]byte, 1<<20)); err == nil; { // nobody reads
			_, err = i.Write(frame)
		}
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
	})
	<-writes
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	work.Wait()
}

// TestPatience: a peer that takes nothing ends the stream, one that takes
// little by little does not.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		w := &patient{a, time.Minute}
		start := time.Now()
		if _, err := w.Write(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("waited %v", waited)
		}
		var reader sync.WaitGroup
		reader.Go(func() {
			for buf := make([]byte, pieceSize); ; time.Sleep(50 * time.Second) {
				if _, err := io.ReadFull(b, buf); err != nil {
					return
				}
			}
		})
		if n, err := w.Write(make([]byte, 5*pieceSize)); n != 5*pieceSize || err != nil {
			t.Error(n, err)
		}
		a.Close()
		b.Close()
		reader.Wait()
	})
}
