package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/sys/unix"
)

// ui holds the rules of output: results go to stdout, and everything else goes
// to stderr as `multicore: …`, one line each. Nothing else in this package
// writes to either.
type ui struct {
	out, err io.Writer
	json     bool
	quiet    bool

	errMu sync.Mutex // over what follows, and over what is written to err
	drawn bool       // a line of progress stands on the terminal
}

// result prints a line of what was asked for.
func (u *ui) result(format string, args ...any) error {
	_, err := fmt.Fprintf(u.out, format+"\n", args...)
	return err
}

// object prints a value as one line of JSON.
func (u *ui) object(v any) error {
	enc := json.NewEncoder(u.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// note tells the user something that is not what was asked for.
func (u *ui) note(format string, args ...any) {
	if !u.quiet {
		u.line(fmt.Sprintf(format, args...))
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (u *ui) line(text string) {
	fmt.Fprintf(u.aside(), "multicore: %s\n", oneLine(text))
}

// oneLine makes a line of text that may hold anything, such as the name of a file
// or what a peer said: other control characters are shown, and do nothing.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	if !strings.ContainsFunc(text, unicode.IsControl) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsControl(r) {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// openToAll is said once, when a multicore is made.
const openToAll = "anyone with this key can read everything ever appended, and nothing can be unsent"

// notReachable ends a command that changed a store which no process serves.
const notReachable = "nobody can fetch this until multicore mount or multicore serve runs"
