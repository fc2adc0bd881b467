// Command multicore shows signed, append-only logs as a directory, and reads,
// writes and shares them from the command line.
//
// Each command has a file of its own: its flags, its help and what it does with
// a session. open.go decides which process works on the store: the one that
// holds it already, through its control socket, or this one, which then serves
// that socket itself for as long as it lives. A command may move between the
// two while it runs, so what it has done is kept outside of the session.
//
// args.go lets flags stand anywhere, ui.go holds the rules of output, exit.go
// those of exit codes. progress.go shows on a terminal how far long work is;
// schema.json says what --json prints. Completion and the manual are made of the
// commands themselves.
package main

import "os"

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
