package secretstream

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// raw is bytes that stand in hex in a vector file.
type raw []byte

func (h *raw) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	var err error
	*h, err = hex.DecodeString(text)
	return err
}

func vectors(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// sockets gives the two ends of a TCP connection.
func sockets(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// shakeBoth runs the handshake at both ends.
func shakeBoth(t testing.TB, a, b net.Conn, ao, bo Options) (i, r *Conn, ierr, rerr error) {
	t.Helper()
	ao.Initiator = true
	var both sync.WaitGroup
	both.Go(func() { i, ierr = Handshake(t.Context(), a, ao) })
	both.Go(func() { r, rerr = Handshake(t.Context(), b, bo) })
	both.Wait()
	return i, r, ierr, rerr
}

// pair gives the ends of a stream over TCP.
func pair(t testing.TB) (i, r *Conn) {
	t.Helper()
	a, b := sockets(t)
	i, r, ierr, rerr := shakeBoth(t, a, b, Options{}, Options{})
	if err := errors.Join(ierr, rerr); err != nil {
		t.Fatal(err)
	}
	return i, r
}

// tap keeps what is written, and hands it on with one bit of one byte flipped
// where flip is not negative.
type tap struct {
	net.Conn
	wrote bytes.Buffer
	flip  int
}

func (c *tap) Write(p []byte) (int, error) {
	at := c.wrote.Len()
	c.wrote.Write(p)
	if i := c.flip - at; c.flip >= 0 && i >= 0 && i < len(p) {
		p = bytes.Clone(p)
		p[i] ^= 1
	}
	return c.Conn.Write(p)
}

var (
	testKey    = [32]byte{1, 2, 3}
	testHeader = [headerSize]byte{4, 5, 6, 23: 9}
)

// writing and reading are the halves of a stream without a connection.
func writing(w io.Writer) *Conn {
	return &Conn{out: bufio.NewWriter(w), tx: newDirection(testKey, testHeader)}
}

func reading(r io.Reader) *Conn {
	return &Conn{in: bufio.NewReader(r), rx: newDirection(testKey, testHeader)}
}

// framed gives plaintexts as an owner writes and reads them.
func framed(plains ...[]byte) (out []byte) {
	for _, p := range plains {
		out = appendFrame(out, p)
	}
	return out
}

// sealed gives frames as they are on the wire.
func sealed(t testing.TB, plains ...[]byte) []byte {
	t.Helper()
	var wire bytes.Buffer
	if _, err := writing(&wire).Write(framed(plains...)); err != nil {
		t.Fatal(err)
	}
	return wire.Bytes()
}
