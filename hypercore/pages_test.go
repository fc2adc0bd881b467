package hypercore

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPages: what is lent as pages is what ReadAt reads, and it stays in the file
// until it is released, whatever is cleared or truncated meanwhile.
func TestPages(t *testing.T) {
	c := own(t, flusherOf(t, diskStore(t)), 1)
	fill(t, c, 8)
	mustFlush(t, c)
	size := int(c.Info().ByteLength)
	for off := range size {
		for n := 1; n <= size; n++ {
			p, err := c.PagesAt(t.Context(), n, uint64(off))
			if err != nil {
				t.Fatal(err)
			}
			got, want := make([]byte, n), make([]byte, n)
			k, err := unix.Pread(int(p.Fd), got[:p.Size], p.Offset)
			p.Release()
			m, _ := c.ReadAt(t.Context(), want, uint64(off))
			if err != nil || !bytes.Equal(got[:k], want[:m]) {
				t.Fatalf("%d bytes at %d: %q, %v, want %q", n, off, got[:k], err, want[:m])
			}
		}
	}
	for _, end := range []func() error{
		func() error { _, err := c.Clear(t.Context(), 0, 8); return err },
		func() error { return c.Truncate(t.Context(), 2) },
	} {
		want := make([]byte, size)
		if _, err := c.ReadAt(t.Context(), want, 0); err != nil {
			t.Fatal(err)
		}
		p, err := c.PagesAt(t.Context(), size, 0)
		if err != nil {
			t.Fatal(err)
		}
		changed := c.Changed()
		done := make(chan error, 1)
		go func() { done <- end() }()
		<-changed // what it gives up is given up
		got := make([]byte, size)
		if _, err := unix.Pread(int(p.Fd), got, p.Offset); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		select {
		case err := <-done:
			t.Errorf("it did not wait for the pages: %v", err)
		default:
		}
		p.Release()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if q, err := c.PagesAt(t.Context(), size, 0); err == nil {
			if q.Size == size {
				t.Error("pages of what was given up")
			}
			q.Release()
		}
		c = own(t, flusherOf(t, diskStore(t)), 1)
		fill(t, c, 8)
		mustFlush(t, c)
	}
}
