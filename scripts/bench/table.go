package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// results are the samples of each case and way, in the order of the rounds.
type results map[string]map[string][]sample

// figures gives the values of a row.
func (r results) figures(k *kind, way string, line row) []float64 {
	var of []float64
	if !line.in(way) {
		return nil
	}
	for _, s := range r[k.name][way] {
		of = append(of, s.Values[line.value])
	}
	return of
}

var columns = []string{
	"case", "unit", "ours, libp2p", "ours, TCP", "peer, TCP", "ceiling, libp2p", "ceiling, TCP",
	"ours : peer", "ours : ceiling", "bar", "met",
	"CPU s, ours", "CPU s, ours TCP", "CPU s, peer", "MB, ours", "MB, ours TCP", "MB, peer",
}

// markdown prints the table.
func (r results) markdown(w io.Writer, kinds []*kind, quick bool) {
	line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	line(columns)
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---"
		if i > 0 {
			rule[i] += ":"
		}
	}
	line(rule)
	for _, k := range kinds {
		for i, row := range k.rows(k.load(quick)) {
			line(r.cells(k, row, i == 0))
		}
	}
}

// cells gives those of a line; what processes took is shown with the first of
// a case.
func (r results) cells(k *kind, line row, first bool) []string {
	of := func(way string) []float64 { return r.figures(k, way, line) }
	cells := []string{line.title, line.unit}
	for _, way := range everyWay {
		cells = append(cells, spread(of(way)))
	}
	bars, met := r.bars(k, line)
	cells = append(cells,
		pair(median(quotients(of(ours), of(js))), median(quotients(of(oursTCP), of(js)))),
		pair(median(quotients(of(ours), of(ceiling))), median(quotients(of(oursTCP), of(ceilingTCP)))),
		bars, met)
	for _, get := range []func(usage) float64{cpuSeconds, peakMegabytes} {
		for _, way := range noBare {
			text := ""
			if first {
				text = r.sides(k, way, get)
			}
			cells = append(cells, text)
		}
	}
	return cells
}

func cpuSeconds(u usage) float64 { return u.CPU }

func peakMegabytes(u usage) float64 { return float64(u.Peak) / 1e6 }

// pair shows a ratio over libp2p and the one over TCP.
func pair(libp2p, tcp float64) string {
	text := number(libp2p)
	if !math.IsNaN(tcp) {
		text += " / " + number(tcp)
	}
	return text
}

// sides shows what writer and reader took.
func (r results) sides(k *kind, way string, get func(usage) float64) string {
	var w, rd []float64
	for _, s := range r[k.name][way] {
		w, rd = append(w, get(s.Writer)), append(rd, get(s.Reader))
	}
	if len(w) == 0 || median(rd) == 0 {
		return "–"
	}
	if median(w) == 0 {
		return number(median(rd)) // one process alone
	}
	return number(median(w)) + " + " + number(median(rd))
}

// bars says what is to be reached, and whether it is: against the peer by both
// of our ways, against the ceiling over libp2p.
func (r results) bars(k *kind, line row) (text, met string) {
	var texts, mets []string
	for _, b := range line.bars {
		relation := "≥"
		if !line.higher {
			relation = "≤"
		}
		var reached []bool
		judge := func(way string) {
			if of := r.figures(k, way, line); len(of) > 0 {
				reached = append(reached, b.reached(of, r.figures(k, b.of, line), line.higher))
			}
		}
		judge(ours)
		if b.of != ceiling {
			judge(oursTCP)
		}
		name := map[string]string{js: " × peer", ceiling: " × ceiling", "": " " + line.unit}[b.of]
		texts = append(texts, relation+" "+factor(b.factor)+name)
		var said []string
		for _, ok := range reached {
			said = append(said, map[bool]string{true: "yes", false: "**no**"}[ok])
		}
		mets = append(mets, strings.Join(said, " / "))
	}
	return strings.Join(texts, "; "), strings.Join(mets, "; ")
}

// reached says whether the median ratio is good enough.
func (b bar) reached(of, other []float64, higher bool) bool {
	got := median(of)
	if b.of != "" {
		got = median(quotients(of, other))
	}
	if higher {
		return got >= b.factor
	}
	return got <= b.factor
}
