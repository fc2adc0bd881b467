package secretstream

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/edwards25519"
)

func point(t *testing.T, b []byte) *edwards25519.Point {
	t.Helper()
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestHostilePoints: every kind of point that would make a secret predictable.
func TestHostilePoints(t *testing.T) {
	order8 := constant("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
	torsion := edwards25519.NewIdentityPoint()
	for i := range 8 {
		b := torsion.Bytes()
		if _, err := parsePoint(b); err != errSmallOrder {
			t.Errorf("small order point %d: %v", i, err)
		}
		mixed := new(edwards25519.Point).Add(torsion, edwards25519.NewGeneratorPoint()).Bytes()
		want := errSubgroup
		if i == 0 {
			want = nil
		}
		if _, err := parsePoint(mixed); err != want {
			t.Errorf("generator and small order point %d: %v, want %v", i, err, want)
		}
		torsion.Add(torsion, point(t, order8))
	}
	// y = p + 0 to p + 18, with either sign: below 2^255, and read mod p.
	for i := range 19 {
		for _, sign := range []byte{0x7f, 0xff} {
			b := bytes.Repeat([]byte{0xff}, 32)
			b[0], b[31] = 0xed+byte(i), sign
			if _, err := parsePoint(b); err != errNotCanonical && err != errNotOnCurve {
				t.Errorf("%x: %v", b, err)
			}
		}
	}
	negativeZero := edwards25519.NewIdentityPoint().Bytes()
	negativeZero[31] |= 0x80
	if _, err := parsePoint(negativeZero); err != errNotCanonical {
		t.Errorf("x = -0: %v", err)
	}
	off := make([]byte, 32)
	off[0] = 2
	if _, err := parsePoint(off); err != errNotOnCurve {
		t.Errorf("y = 2: %v", err)
	}
	if _, err := parsePoint(off[:31]); err == nil {
		t.Error("31 bytes are a point")
	}
}

// TestHandshakeFlips: a flipped bit in any byte that either end sends before
// the first data is noticed, if not before that then with it.
func TestHandshakeFlips(t *testing.T) {
	const initiator, responder = 3 + message1Size + 3 + message3Size + 3 + greetingSize, 3 + message2Size + 3 + greetingSize
	for k := range initiator + responder {
		a, b := sockets(t)
		ta, tb := &tap{Conn: a, flip: k}, &tap{Conn: b, flip: k - initiator}
		if k >= initiator {
			ta.flip = -1
		}
		i, r, ierr, rerr := shakeBoth(t, ta, tb, Options{}, Options{})
		err := errors.Join(ierr, rerr)
		if err == nil {
			from, to := i, r
			if k >= initiator {
				from, to = r, i
			}
			if _, err := from.Write(framed([]byte("data"))); err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadFull(to, make([]byte, 7))
			if !errors.Is(err, ErrForged) {
				t.Fatalf("byte %d: %v", k, err)
			}
		} else if !errors.Is(err, ErrHandshake) {
			t.Fatalf("byte %d: %v", k, err)
		}
		a.Close()
		b.Close()
	}
}

// TestSameRole: two initiators, or two responders, do not become a stream.
func TestSameRole(t *testing.T) {
	a, b := sockets(t)
	done := make(chan error, 1)
	go func() { _, err := Handshake(t.Context(), b, Options{Initiator: true}); done <- err }()
	if _, err := Handshake(t.Context(), a, Options{Initiator: true}); err == nil {
		t.Error("an initiator accepts an initiator")
	}
	if err := <-done; err == nil {
		t.Error("an initiator accepts an initiator")
	}
}

// TestSilentPeer: a handshake ends in time, and when it is told to.
func TestSilentPeer(t *testing.T) {
	for _, initiator := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			go io.Copy(io.Discard, b)
			_, err := Handshake(t.Context(), a, Options{Initiator: initiator})
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			b.Close()
		})
		synctest.Test(t, func(t *testing.T) { // a byte a second
			a, b := net.Pipe()
			go io.Copy(io.Discard, b)
			var dripping sync.WaitGroup
			dripping.Go(func() {
				right := byte(message1Size)
				if initiator {
					right = message2Size
				}
				for _, c := range append([]byte{right, 0, 0}, make([]byte, right)...) {
					if _, err := b.Write([]byte{c}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			began := time.Now()
			_, err := Handshake(t.Context(), a, Options{Initiator: initiator})
			if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != HandshakeTimeout {
				t.Errorf("%v after %v", err, took)
			}
			b.Close()
			dripping.Wait()
		})
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			go io.Copy(io.Discard, b)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { _, err := Handshake(ctx, a, Options{Initiator: initiator}); done <- err }()
			synctest.Wait()
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			b.Close()
		})
	}
}

// TestNoRandom: without randomness there is no stream.
func TestNoRandom(t *testing.T) {
	for n := range 32 + 32 + headerSize {
		seed := make([]byte, n)
		rand.Read(seed)
		a, b := net.Pipe()
		if _, err := Handshake(t.Context(), a, Options{Initiator: true, Rand: bytes.NewReader(seed)}); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("with %d random bytes: %v", n, err)
		}
		b.Close()
	}
}
