package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// errInterrupted: the user ended it.
var errInterrupted = errors.New("interrupted")

// rounds measures every case in every way, interleaved, and says on standard
// error what it does. Every figure of the table is there when it returns without
// an error, else what was measured until then.
func (b *bench) rounds(kinds []*kind, ways []string, rounds int) (results, error) {
	r := results{}
	for _, k := range kinds {
		r[k.name] = map[string][]sample{}
	}
	for round := range rounds {
		for _, k := range kinds {
			l := k.load(b.quick)
			for i := range k.ways {
				way := k.ways[(i+round)%len(k.ways)]
				if !slices.Contains(ways, way) {
					continue
				}
				began := time.Now()
				s, err := k.measure(b, k, way, l)
				if b.ctx.Err() != nil {
					return r, errInterrupted
				}
				if err == nil {
					err = complete(k.rows(l), way, s)
				}
				if err != nil {
					return r, fmt.Errorf("%s, %s: %w", k.name, way, err)
				}
				r[k.name][way] = append(r[k.name][way], s)
				fmt.Fprintf(os.Stderr, "round %d/%d  %-14s  %-11s  %s  (%.1f s)\n",
					round+1, rounds, k.name, way, s.text(k.rows(l), way), time.Since(began).Seconds())
			}
		}
	}
	return r, nil
}

// complete says what a sample lacks.
func complete(rows []row, way string, s sample) error {
	for _, line := range rows {
		if v := s.Values[line.value]; line.in(way) && (v <= 0 || math.IsNaN(v) || math.IsInf(v, 0)) {
			return fmt.Errorf("%s is %v", line.value, v)
		}
	}
	return nil
}

// text shows a sample on one line.
func (s sample) text(rows []row, way string) string {
	var parts []string
	for _, line := range rows {
		if line.in(way) {
			parts = append(parts, number(s.Values[line.value])+" "+line.unit)
		}
	}
	switch {
	case s.Writer.Peak > 0:
		parts = append(parts,
			fmt.Sprintf("CPU %s + %s s", number(s.Writer.CPU), number(s.Reader.CPU)),
			fmt.Sprintf("peak %s + %s MB", number(peakMegabytes(s.Writer)), number(peakMegabytes(s.Reader))))
	case s.Reader.Peak > 0:
		parts = append(parts,
			fmt.Sprintf("CPU %s s", number(s.Reader.CPU)), fmt.Sprintf("peak %s MB", number(peakMegabytes(s.Reader))))
	}
	return strings.Join(parts, ", ")
}
