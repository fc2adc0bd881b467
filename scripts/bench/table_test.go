package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestBars: a bar is met where the median of the rounds' ratios is, in the
// direction that is better, by each of our ways that it is about.
func TestBars(t *testing.T) {
	k := &kind{name: "k"}
	of := func(values ...float64) (list []sample) {
		for _, v := range values {
			list = append(list, sample{Values: map[string]float64{"v": v}})
		}
		return list
	}
	r := results{"k": {
		ours:    of(40, 10, 12), // 4, 2 and 3 times the peer's in that round
		oursTCP: of(20, 5, 3),
		js:      of(10, 5, 4),
		ceiling: of(50, 50, 50),
	}}
	for _, c := range []struct {
		higher    bool
		bar       bar
		text, met string
	}{
		{true, bar{js, 3}, "≥ 3 × peer", "yes / **no**"},
		{true, bar{js, 1}, "≥ 1 × peer", "yes / yes"},
		{true, bar{js, 3.5}, "≥ 3.5 × peer", "**no** / **no**"},
		{false, bar{js, 1.0 / 3}, "≤ 1/3 × peer", "**no** / **no**"},
		{false, bar{js, 2}, "≤ 2 × peer", "**no** / yes"},
		{true, bar{ceiling, 0.2}, "≥ 1/5 × ceiling", "yes"},
		{true, bar{ceiling, 0.5}, "≥ 0.5 × ceiling", "**no**"},
		{false, bar{"", 12}, "≤ 12 u", "yes / yes"},
		{false, bar{"", 4}, "≤ 4 u", "**no** / **no**"},
	} {
		line := row{"t", "v", "u", c.higher, []bar{c.bar}, nil}
		if text, met := r.bars(k, line); text != c.text || met != c.met {
			t.Errorf("%v, higher %v: %q %q, want %q %q", c.bar, c.higher, text, met, c.text, c.met)
		}
	}
}

// TestMarkdown: each case of the budgets has lines of full width, whatever was
// measured.
func TestMarkdown(t *testing.T) {
	for _, quick := range []bool{true, false} {
		var out bytes.Buffer
		results{}.markdown(&out, cases, quick)
		rows := 0
		for _, k := range cases {
			for _, line := range k.rows(k.load(quick)) {
				rows++
				for _, b := range line.bars {
					if b.of != "" && !slices.Contains(k.ways, b.of) {
						t.Errorf("%s has a bar against %s, which is not measured", k.name, b.of)
					}
				}
			}
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != rows+2 {
			t.Errorf("%d lines for %d rows", len(lines), rows)
		}
		for _, line := range lines {
			if got, want := strings.Count(line, "|"), len(columns)+1; got != want {
				t.Errorf("%d bars in %q, want %d", got, line, want)
			}
		}
	}
}

// TestComplete: a cell without a figure is an error, not a dash.
func TestComplete(t *testing.T) {
	rows := []row{{"t", "v", "u", true, nil, nil}, {"t", "w", "u", true, nil, []string{ours}}}
	for _, c := range []struct {
		way    string
		values map[string]float64
		ok     bool
	}{
		{ours, map[string]float64{"v": 1, "w": 2}, true},
		{ours, map[string]float64{"v": 1}, false},
		{ours, map[string]float64{"v": 0, "w": 2}, false},
		{js, map[string]float64{"v": 1}, true},
		{js, nil, false},
	} {
		if err := complete(rows, c.way, sample{Values: c.values}); (err == nil) != c.ok {
			t.Errorf("%s with %v: %v", c.way, c.values, err)
		}
	}
}
