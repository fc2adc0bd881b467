package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"multicore/hypercore"
)

// Every chunk but the last ends where a message ends, and together they are
// the stream, however it arrives.
func TestInputChunks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 7, 300 << 10} {
		for range 10 {
			stream := make([]byte, rnd.IntN(2<<20))
			for i := range stream {
				stream[i] = "abcdefghijk\n"[rnd.IntN(12)]
			}
			in := newInput(iotest.HalfReader(bytes.NewReader(stream)), size)
			var got []byte
			partial := false
			for {
				chunk, err := in.next(context.Background(), nil)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if len(chunk) == 0 || partial {
					t.Fatalf("size %d: a chunk of %d bytes after a partial one: %v", size, len(chunk), partial)
				}
				got = append(got, chunk...)
				partial = size == 0 && chunk[len(chunk)-1] != '\n' || size > 0 && len(got)%size != 0
			}
			if !bytes.Equal(got, stream) {
				t.Fatalf("size %d: %d bytes, want %d, or they differ", size, len(got), len(stream))
			}
		}
	}
}

// A line is given as soon as it is complete, and an input that waits can be
// left and taken up again with nothing lost.
func TestInputYields(t *testing.T) {
	r, w := io.Pipe()
	in := newInput(r, 0)
	defer in.stop()
	ctx := context.Background()
	go io.WriteString(w, "one\ntw")
	if chunk, err := in.next(ctx, nil); string(chunk) != "one\n" || err != nil {
		t.Fatalf("%q, %v", chunk, err)
	}
	yielded := make(chan struct{})
	close(yielded)
	if _, err := in.next(ctx, yielded); err != errYielded {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := in.next(canceled, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	go func() {
		io.WriteString(w, "o\nthree")
		w.Close()
	}()
	var rest strings.Builder
	for {
		chunk, err := in.next(ctx, nil)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		rest.Write(chunk)
	}
	if rest.String() != "two\nthree" {
		t.Errorf("rest %q", rest.String())
	}
}

// What is complete before an input fails is given, the rest is not.
func TestInputFails(t *testing.T) {
	broken := errors.New("broken")
	in := newInput(io.MultiReader(strings.NewReader("one\ntw"), iotest.ErrReader(broken)), 0)
	if chunk, err := in.next(context.Background(), nil); string(chunk) != "one\n" || err != nil {
		t.Fatalf("%q, %v", chunk, err)
	}
	if chunk, err := in.next(context.Background(), nil); err != broken {
		t.Fatalf("%q, %v", chunk, err)
	}
}

// A line that no core could hold does not pile up.
func TestInputWithoutEnd(t *testing.T) {
	in := newInput(zeros{}, 0)
	defer in.stop()
	chunk, err := in.next(context.Background(), nil)
	if err != nil || len(chunk) <= hypercore.MaxBlock || len(chunk) > hypercore.MaxBlock+pieceSize {
		t.Fatalf("%d bytes, %v", len(chunk), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
