package secretstream

import (
	"bytes"
	"io"
	"testing"
)

// BenchmarkSeal and BenchmarkOpen are the cost of a frame at either end.
func BenchmarkSeal(b *testing.B) {
	tx := newDirection(testKey, testHeader)
	buf := make([]byte, blockSize+64<<10, blockSize+64<<10+macSize)
	b.SetBytes(64 << 10)
	for b.Loop() {
		tx.seal(buf, tagMessage)
	}
}

func BenchmarkOpen(b *testing.B) {
	const n = 256
	frames := make([][]byte, n)
	work := make([]byte, blockSize-1+64<<10+Overhead)
	tx := newDirection(testKey, testHeader)
	for i := range frames {
		frames[i] = tx.sealOne(make([]byte, 64<<10), tagMessage)
	}
	b.SetBytes(64 << 10)
	rx, i := newDirection(testKey, testHeader), 0
	for b.Loop() {
		if i == n {
			rx, i = newDirection(testKey, testHeader), 0
		}
		copy(work[blockSize-1:], frames[i])
		if _, ok := rx.open(work); !ok {
			b.Fatal("does not open")
		}
		i++
	}
}

// BenchmarkStream sends frames of 64 KiB over TCP on this machine, and, as the
// ceiling, the same bytes with nothing in the way.
func BenchmarkStream(b *testing.B) {
	frame := framed(bytes.Repeat([]byte("x"), 64<<10))
	run := func(b *testing.B, w io.Writer, r io.Reader) {
		b.SetBytes(64 << 10)
		done := make(chan error, 1)
		go func() {
			_, err := io.CopyN(io.Discard, r, int64(b.N*len(frame)))
			done <- err
		}()
		for range b.N {
			if _, err := w.Write(frame); err != nil {
				b.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.Run("secret", func(b *testing.B) { i, r := pair(b); run(b, i, r) })
	b.Run("tcp", func(b *testing.B) { x, y := sockets(b); run(b, x, y) })
}

func BenchmarkHandshake(b *testing.B) {
	for b.Loop() {
		i, r := pair(b)
		i.Close()
		r.Close()
	}
}
