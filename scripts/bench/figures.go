package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// median of figures, which are not changed; NaN of none.
func median(of []float64) float64 {
	if len(of) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(of))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// quotients divides the figures of the same rounds.
func quotients(a, b []float64) []float64 {
	q := make([]float64, min(len(a), len(b)))
	for i := range q {
		q[i] = a[i] / b[i]
	}
	return q
}

// number shows three digits that count.
func number(f float64) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return "–"
	case abs >= 999.5:
		digits := math.Pow(10, math.Floor(math.Log10(abs))-2)
		return grouped(int(math.Round(f/digits) * digits))
	case abs >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case abs >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case abs >= 1:
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
	return strconv.FormatFloat(f, 'f', 3, 64)
}

// grouped shows thousands apart.
func grouped(n int) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// spread shows the median and, of several rounds, the range.
func spread(of []float64) string {
	if len(of) == 0 {
		return "–"
	}
	if len(of) == 1 {
		return number(of[0])
	}
	return fmt.Sprintf("%s (%s–%s)", number(median(of)), number(slices.Min(of)), number(slices.Max(of)))
}

// bytesText shows a size in binary units.
func bytesText(n int) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	i := 0
	for n >= 1024 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return fmt.Sprintf("%d %s", n, units[i])
}

// factor shows a bar's factor as people say it.
func factor(f float64) string {
	if f > 0 && f < 1 {
		if inverse := 1 / f; math.Abs(inverse-math.Round(inverse)) < 1e-9 && inverse > 2.5 {
			return fmt.Sprintf("1/%d", int(math.Round(inverse)))
		}
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', -1, 64), ".0")
}
