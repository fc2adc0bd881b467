package main

import (
	"math"
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{
		{[]float64{7}, 7}, {[]float64{9, 1}, 5}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5},
	} {
		before := slices.Clone(c.of)
		if got := median(c.of); got != c.want || !slices.Equal(before, c.of) {
			t.Errorf("median of %v is %v, want %v; left as %v", before, got, c.want, c.of)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
}

func TestText(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.000", 0.01849: "0.018", 1.005: "1.00", 19.94: "19.9", 186.4: "186", 53_849: "53,800", 4_224_000: "4,220,000", 999.6: "1,000",
	} {
		if got := number(f); got != want {
			t.Errorf("number %v is %q, want %q", f, got, want)
		}
	}
	if got := number(median(nil)); got != "–" {
		t.Errorf("no number is %q", got)
	}
	for f, want := range map[float64]string{4: "4", 0.5: "0.5", 1.0 / 3: "1/3", 1.0 / 10: "1/10", 0.6: "0.6", 100: "100"} {
		if got := factor(f); got != want {
			t.Errorf("factor %v is %q, want %q", f, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1_234_567: "1,234,567", -1234: "-1,234"} {
		if got := grouped(n); got != want {
			t.Errorf("%d grouped is %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{64: "64 B", 1 << 10: "1 KiB", 1000: "1000 B", 1 << 30: "1 GiB", 5 << 40: "5120 GiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	if got := spread([]float64{3, 1, 2}); got != "2.00 (1.00–3.00)" {
		t.Errorf("spread is %q", got)
	}
}
