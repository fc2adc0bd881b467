package fs

import (
	"os"
	"strings"
	"testing"
)

func BenchmarkAppend(b *testing.B) {
	line := []byte(strings.Repeat("x", 63) + "\n")
	b.Run("held open", func(b *testing.B) {
		m := mount(b, "", newMachine(b, true).options())
		f, err := os.OpenFile(m.path("append"), os.O_WRONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		b.SetBytes(int64(len(line)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.Write(line); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open-write-close", func(b *testing.B) {
		m := mount(b, "", newMachine(b, true).options())
		b.SetBytes(int64(len(line)))
		b.ReportAllocs()
		for b.Loop() {
			f, err := os.OpenFile(m.path("append"), os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := f.Write(line); err != nil {
				b.Fatal(err)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkReadLog(b *testing.B) {
	a := newMachine(b, true)
	m := mount(b, "", a.options())
	message := strings.Repeat("x", 64<<10)
	for range 256 {
		a.append("core-3", message)
	}
	f, err := os.Open(m.path("core-3/log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 128<<10)
	b.SetBytes(256 * 64 << 10)
	b.ReportAllocs()
	for b.Loop() {
		for off := int64(0); off < 256*64<<10; off += int64(len(p)) {
			if _, err := f.ReadAt(p, off); err != nil {
				b.Fatal(err)
			}
		}
	}
}
