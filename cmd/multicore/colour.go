package main

import (
	"io"
	"os"
)

// Colours mark what asks for attention, on a terminal alone, and not where the
// user wants none (NO_COLOR).
type colour string

const (
	red    colour = "31" // lost, or frozen
	yellow colour = "33" // waits for something
)

// paint colours text that is printed to w.
func paint(w io.Writer, c colour, text string) string {
	if text == "" || !coloured(w) {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

func coloured(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}
