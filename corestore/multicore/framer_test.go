package multicore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"multicore/hypercore"
)

// reference is what a Framer must do, told a byte at a time.
type reference struct {
	fo       FramerOptions
	pending  string
	refusing bool
	full     bool   // the last write was taken and of full size
	refused  string // after such a one, and ended with its message
	stored   []string
}

func (r *reference) write(p string) error {
	newline := strings.HasSuffix(p, "\n")
	maxWrite := cmp.Or(r.fo.MaxWrite, DefaultMaxWrite)
	refused, full := r.refused, r.full
	r.refused, r.full = "", false
	again := refused != "" && (strings.HasPrefix(p, refused) || len(p) >= maxWrite && strings.HasPrefix(refused, p))
	tooLong := r.refusing || again
	current, done := r.pending, []string(nil)
	for i := range len(p) {
		b := p[i]
		current += p[i : i+1]
		if r.fo.Framing.Mode != BySize && len(current) > r.fo.MaxMessage {
			tooLong = true
		}
		if r.fo.Framing.Mode == ByLine && b == '\n' || r.fo.Framing.Mode == BySize && len(current) == r.fo.Framing.Size {
			done, current = append(done, current), ""
		}
	}
	if r.fo.Framing.Mode == ByWrite {
		done, current = []string{current}, ""
		tooLong = tooLong || len(p) >= maxWrite
	}
	if tooLong {
		r.pending = ""
		r.refusing = r.fo.Framing.Mode == ByLine && !newline || r.fo.Framing.Mode == ByClose
		if full && !again && !r.refusing {
			r.refused = p
		}
		return ErrTooLong
	}
	r.full = len(p) >= maxWrite
	r.stored, r.pending = append(r.stored, done...), current
	return nil
}

func (r *reference) end() {
	if r.pending != "" {
		r.stored = append(r.stored, r.pending)
	}
	r.pending, r.refusing, r.refused, r.full = "", false, "", false
}

// sink is an append that keeps messages, or fails.
type sink struct {
	stored  []string
	batches int
	fail    error
}

func (s *sink) append(_ context.Context, messages [][]byte) error {
	if s.fail != nil {
		return s.fail
	}
	s.batches++
	for _, m := range messages {
		s.stored = append(s.stored, string(m))
	}
	return nil
}

var small = []FramerOptions{
	{Framing: Framing{Mode: ByLine}, MaxMessage: 1},
	{Framing: Framing{Mode: ByLine}, MaxMessage: 2},
	{Framing: Framing{Mode: ByLine}, MaxMessage: 3},
	{Framing: Framing{Mode: ByLine}, MaxMessage: 100},
	{Framing: Framing{Mode: ByWrite}, MaxMessage: 100, MaxWrite: 3},
	{Framing: Framing{Mode: ByWrite}, MaxMessage: 2, MaxWrite: 100},
	{Framing: Framing{Mode: ByClose}, MaxMessage: 3},
	{Framing: Framing{Mode: ByClose}, MaxMessage: 100},
	{Framing: Framing{Mode: BySize, Size: 1}, MaxMessage: 100},
	{Framing: Framing{Mode: BySize, Size: 2}, MaxMessage: 1},
	{Framing: Framing{Mode: BySize, Size: 3}, MaxMessage: 100},
}

// TestFramerEverySplit drives a Framer and the reference through every string
// of a letter and newline up to length 6, with nothing, the end of a write, or
// the end of a write and End behind every byte.
func TestFramerEverySplit(t *testing.T) {
	for _, fo := range small {
		t.Run(fmt.Sprintf("%v max %d", fo.Framing, fo.MaxMessage), func(t *testing.T) {
			for n := 1; n <= 6; n++ {
				for text := range 1 << n {
					data := make([]byte, n)
					for i := range data {
						data[i] = "x\n"[text>>i&1]
					}
					for cuts := range pow(3, n) {
						everySplit(t, fo, data, cuts)
					}
				}
			}
		})
	}
}

func pow(a, n int) int {
	p := 1
	for range n {
		p *= a
	}
	return p
}

// everySplit plays one case: digit i of cuts in base 3 says what is behind byte i.
func everySplit(t *testing.T, fo FramerOptions, data []byte, cuts int) {
	var s sink
	f := newFramer(fo, s.append)
	r := &reference{fo: fo}
	ctx := context.Background()
	buf := make([]byte, 0, len(data)) // used again for each write, as the kernel's is
	where := func() string { return fmt.Sprintf("%q cut by %d", data, cuts) }
	for i, b := range data {
		buf = append(buf, b)
		cut := cuts / pow(3, i) % 3
		if cut == 0 && i < len(data)-1 {
			continue
		}
		before := len(s.stored)
		n, err := f.Write(ctx, buf)
		if want := r.write(string(buf)); !errors.Is(err, want) || want == nil && n != len(buf) || want != nil && n != 0 {
			t.Fatalf("%s: Write(%q) = %d, %v, want %v", where(), buf, n, err, want)
		}
		if err != nil && len(s.stored) != before {
			t.Fatalf("%s: a refused write stored %q", where(), s.stored[before:])
		}
		clear(buf)
		buf = buf[:0]
		if cut == 2 {
			if err := f.End(ctx); err != nil {
				t.Fatal(err)
			}
			r.end()
		}
		if !slices.Equal(s.stored, r.stored) || string(f.pending) != r.pending || f.refusing != r.refusing {
			t.Fatalf("%s: stored %q, %q waits, refusing %t; want %q, %q, %t",
				where(), s.stored, f.pending, f.refusing, r.stored, r.pending, r.refusing)
		}
	}
}

// TestFramerFailedAppend fails every append once: what waited still waits, and
// the same bytes again give the same messages.
func TestFramerFailedAppend(t *testing.T) {
	ctx := context.Background()
	diskFull := errors.New("disk full")
	for _, fo := range small {
		var s, plain sink
		f, g := newFramer(fo, s.append), newFramer(fo, plain.append)
		for _, w := range []string{"a", "\n", "b\nc", "", "dd\ne\n", "f"} {
			pending, refusing := string(f.pending), f.refusing
			s.fail = diskFull
			_, err := f.Write(ctx, []byte(w))
			s.fail = nil
			if errors.Is(err, diskFull) {
				if string(f.pending) != pending || f.refusing != refusing {
					t.Fatalf("%v: %q waits after a failed append, %q before", fo.Framing, f.pending, pending)
				}
				_, err = f.Write(ctx, []byte(w))
			}
			if _, want := g.Write(ctx, []byte(w)); (err == nil) != (want == nil) {
				t.Fatalf("%v: Write(%q) again = %v, want %v", fo.Framing, w, err, want)
			}
		}
		if len(f.pending) > 0 {
			s.fail = diskFull
			if err := f.End(ctx); !errors.Is(err, diskFull) || len(f.pending) == 0 {
				t.Fatalf("%v: failed End = %v and %q waits", fo.Framing, err, f.pending)
			}
			s.fail = nil
		}
		if err := errors.Join(f.End(ctx), g.End(ctx)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.stored, plain.stored) {
			t.Fatalf("%v: stored %q, without failures %q", fo.Framing, s.stored, plain.stored)
		}
		if got := f.Messages(); got != uint64(len(s.stored)) || f.Bytes() != uint64(len(strings.Join(s.stored, ""))) {
			t.Fatalf("%v: counted %d messages, %d bytes of %q", fo.Framing, got, f.Bytes(), s.stored)
		}
	}
}

// Of a message whose end could not be written nothing is stored, unless that
// comes again.
func TestFramerTornMessage(t *testing.T) {
	ctx := context.Background()
	full := errors.New("disk full")
	for _, again := range []bool{false, true} {
		var s sink
		f := newFramer(FramerOptions{}, s.append)
		if _, err := f.Write(ctx, []byte("half of ")); err != nil {
			t.Fatal(err)
		}
		s.fail = full
		if _, err := f.Write(ctx, []byte("a line\nmore")); !errors.Is(err, full) {
			t.Fatalf("got %v, want %v", err, full)
		}
		s.fail = nil
		want, wantErr := []string{"next\n"}, full
		if again {
			want, wantErr = []string{"half of a line\n", "more", "next\n"}, nil
			if _, err := f.Write(ctx, []byte("a line\nmore")); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.End(ctx); !errors.Is(err, wantErr) {
			t.Fatalf("written again %t: End gave %v, want %v", again, err, wantErr)
		}
		if _, err := f.Write(ctx, []byte("next\n")); err != nil || !slices.Equal(s.stored, want) {
			t.Fatalf("written again %t: %v, stored %q, want %q", again, err, s.stored, want)
		}
	}
}

func TestFramerOneBatchAWrite(t *testing.T) {
	var s sink
	f := newFramer(FramerOptions{}, s.append)
	if _, err := f.Write(context.Background(), []byte("a\n\nb\nrest")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a\n", "\n", "b\n"}; s.batches != 1 || !slices.Equal(s.stored, want) {
		t.Fatalf("%d batches, %q, want 1, %q", s.batches, s.stored, want)
	}
}

// TestFramerDefaults checks the bounds that hold where options say nothing.
func TestFramerDefaults(t *testing.T) {
	ctx := context.Background()
	var s sink
	mib := make([]byte, 1<<20)

	f := newFramer(FramerOptions{}, s.append)
	for range 8 {
		if _, err := f.Write(ctx, mib); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Write(ctx, []byte("\n")); !errors.Is(err, ErrTooLong) {
		t.Fatalf("a line of 8 MiB and a newline: %v, want %v", err, ErrTooLong)
	}
	if _, err := f.Write(ctx, []byte("next\n")); err != nil || !slices.Equal(s.stored, []string{"next\n"}) {
		t.Fatalf("after it: %v, stored %d messages", err, len(s.stored))
	}

	f = newFramer(FramerOptions{Framing: Framing{Mode: ByWrite}}, s.append)
	if _, err := f.Write(ctx, mib); !errors.Is(err, ErrTooLong) {
		t.Fatalf("a write of full size: %v, want %v", err, ErrTooLong)
	}
	if _, err := f.Write(ctx, mib[1:]); err != nil {
		t.Fatal(err)
	}

	f = newFramer(FramerOptions{MaxMessage: 1 << 30}, s.append)
	if f.max != hypercore.MaxBlock {
		t.Fatalf("limit %d, want that of a block", f.max)
	}
}

// The kernel cuts a large write(2), and of an error in a later piece its caller
// sees a short count alone: what it then writes again must not become a message.
func TestFramerShortWrite(t *testing.T) {
	ctx := context.Background()
	const max, maxWrite, buffer = 64, 16, 18
	for length := 60; length < 120; length++ {
		for first := maxWrite; first <= buffer; first++ { // bytes up to the first cut
			var s sink
			f := newFramer(FramerOptions{MaxMessage: max, MaxWrite: maxWrite}, s.append)
			// write is write(2) in a kernel that cuts.
			write := func(p string) (n int, err error) {
				for size := first; n < len(p); size = buffer {
					if _, err := f.Write(ctx, []byte(p[n:min(n+size, len(p))])); err != nil {
						if n > 0 {
							return n, nil
						}
						return 0, err
					}
					n += min(size, len(p)-n)
				}
				return n, nil
			}
			all := func(p string) (err error) {
				for n := 0; len(p) > 0 && err == nil; p = p[n:] {
					n, err = write(p)
				}
				return err
			}
			line := strings.Repeat("z", length-1) + "\n"
			want := []string{"after\n"}
			if length <= max {
				want = []string{line, "next\n", "after\n"}
			}
			if err := all(line + "next\n"); (err != nil) != (length > max) {
				t.Fatalf("a line of %d bytes, first cut at %d: %v", length, first, err)
			}
			if err := f.End(ctx); err != nil {
				t.Fatal(err)
			}
			if err := all("after\n"); err != nil || !slices.Equal(s.stored, want) {
				t.Fatalf("a line of %d bytes, first cut at %d: %v, stored %q, want %q", length, first, err, s.stored, want)
			}
		}
	}
}

func FuzzFramer(f *testing.F) {
	f.Add([]byte("hello\nwor"), []byte("ld\n"), []byte("\n\n"), byte(0), byte(4))
	f.Add([]byte("toolong"), []byte("rest\nnew\n"), []byte("x\n"), byte(3), byte(2))
	f.Fuzz(func(t *testing.T, a, b, c []byte, mode, size byte) {
		fo := FramerOptions{MaxMessage: int(size) + 1, MaxWrite: int(size) + 2,
			Framing: Framing{Mode: FramingMode(mode % 4), Size: int(size) + 1}}
		var s sink
		fr, r := newFramer(fo, s.append), &reference{fo: fo}
		for _, p := range [][]byte{a, b, c} {
			if len(p) == 0 {
				continue
			}
			_, err := fr.Write(context.Background(), bytes.Clone(p))
			if want := r.write(string(p)); !errors.Is(err, want) {
				t.Fatalf("Write(%q) = %v, want %v", p, err, want)
			}
		}
		if err := fr.End(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.end()
		if !slices.Equal(s.stored, r.stored) {
			t.Fatalf("stored %q, want %q", s.stored, r.stored)
		}
	})
}
