package multicore

import (
	"strings"
	"testing"

	"multicore/hypercore"
)

func TestParseFraming(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Framing
	}{
		{"line", Framing{Mode: ByLine}},
		{"write", Framing{Mode: ByWrite}},
		{"close", Framing{Mode: ByClose}},
		{"1", Framing{Mode: BySize, Size: 1}},
		{"4096", Framing{Mode: BySize, Size: 4096}},
		{"512B", Framing{Mode: BySize, Size: 512}},
		{"64KiB", Framing{Mode: BySize, Size: 64 << 10}},
		{"64kib", Framing{Mode: BySize, Size: 64 << 10}},
		{"64k", Framing{Mode: BySize, Size: 64 << 10}},
		{"64kB", Framing{Mode: BySize, Size: 64000}},
		{"2M", Framing{Mode: BySize, Size: 2 << 20}},
		{"15MiB", Framing{Mode: BySize, Size: hypercore.MaxBlock}},
	} {
		got, err := ParseFraming(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseFraming(%q) = %v, %v, want %v", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "lines", "Line", "0", "0KiB", "-1", "1.5MiB", "16MiB", "64 KiB", "KiB", "1GiB", "1iB", "99999999999", "1KiBKiB"} {
		if got, err := ParseFraming(in); err == nil {
			t.Errorf("ParseFraming(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzParseFraming(f *testing.F) {
	f.Add("64KiB")
	f.Add("line")
	f.Add("1MB")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseFraming(s)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n") {
				t.Fatalf("error of several lines: %q", err)
			}
			return
		}
		if again, err := ParseFraming(got.String()); err != nil || again != got {
			t.Fatalf("%q is %v, which is read as %v, %v", s, got, again, err)
		}
	})
}
