package secretstream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// FuzzFrames: whatever a peer without the key sends, it is refused, and nothing
// of it given out but what the seed's right frames hold.
func FuzzFrames(f *testing.F) {
	plains := [][]byte{[]byte("one"), {}, bytes.Repeat([]byte("more"), 100)}
	want := framed(plains...)
	good := sealed(f, plains...)
	f.Add(good)
	f.Add(good[:20])
	f.Add([]byte{0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, wire []byte) {
		got, err := io.ReadAll(reading(bytes.NewReader(wire)))
		if !bytes.HasPrefix(want, got) {
			t.Fatalf("forged %x", got)
		}
		if err == nil && len(wire) > 0 && !bytes.HasPrefix(good, wire) {
			t.Fatalf("accepted %x", wire)
		}
	})
}

// FuzzWrite: frames come out as they went in, however the writes are cut.
func FuzzWrite(f *testing.F) {
	f.Add([]byte("hello"), []byte("x"), 1)
	f.Add([]byte{}, bytes.Repeat([]byte("x"), 5000), 3)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		in := framed(a, b, a)
		var wire bytes.Buffer
		w := writing(&wire)
		step := 1 + int(uint(cut)%uint(len(in)))
		for at := 0; at < len(in); at += step {
			if _, err := w.Write(in[at:min(len(in), at+step)]); err != nil {
				t.Fatal(err)
			}
		}
		out, err := io.ReadAll(reading(&wire))
		if err != nil || !bytes.Equal(out, in) {
			t.Fatalf("%x became %x, %v", in, out, err)
		}
	})
}

// canned is a connection to a peer that says what it says.
type canned struct {
	net.Conn
	r io.Reader
}

func (c canned) Read(p []byte) (int, error)       { return c.r.Read(p) }
func (c canned) Write(p []byte) (int, error)      { return len(p), nil }
func (c canned) SetDeadline(time.Time) error      { return nil }
func (c canned) SetWriteDeadline(time.Time) error { return nil }
func (c canned) Close() error                     { return nil }

// FuzzHandshake: no peer that did not take part becomes a stream, in either
// role. The seeds are what the other end of the vectors sends.
func FuzzHandshake(f *testing.F) {
	var v noiseVectors
	vectors(f, "noise.json", &v)
	var fromI, fromR []byte
	for _, m := range v.SetupWire {
		if m.From == "initiator" {
			fromI = append(fromI, m.Hex...)
		} else {
			fromR = append(fromR, m.Hex...)
		}
	}
	f.Add(fromR, true)
	f.Add(fromI, false)
	f.Add(fromI[:40], false)
	f.Add([]byte{0, 0, 0}, true)
	f.Fuzz(func(t *testing.T, wire []byte, initiator bool) {
		o := Options{Initiator: initiator, Static: v.ResponderStatic.pair(), Rand: bytes.NewReader(append(bytes.Clone(v.ResponderEphemeral.Seed), v.SecretstreamHeaders.Values[1]...))}
		honest := fromI
		if initiator {
			o.Static = v.InitiatorStatic.pair()
			o.Rand = bytes.NewReader(append(bytes.Clone(v.InitiatorEphemeral.Seed), v.SecretstreamHeaders.Values[0]...))
			honest = fromR
		}
		c, err := Handshake(t.Context(), canned{r: bytes.NewReader(wire)}, o)
		// The header's 24 random bytes are bound by the first frame alone.
		bound := len(honest) - headerSize
		same := len(wire) >= len(honest) && bytes.Equal(wire[:bound], honest[:bound])
		switch {
		case same && err != nil:
			t.Fatal(err)
		case !same && err == nil:
			t.Fatalf("accepted %x", wire)
		case err == nil:
			c.Close()
		case !errors.Is(err, ErrHandshake) && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Fatal(err)
		}
	})
}
