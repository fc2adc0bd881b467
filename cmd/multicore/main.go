// Command multicore shows signed, append-only logs as a directory, and reads,
// writes and shares them from the command line.
package main

import (
	"os"
)

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
