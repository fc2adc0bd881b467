// Command bench measures multicore against the JavaScript packages and against
// the ceiling: the same bytes with nothing of ours in the way. scripts/bench.sh
// builds and runs it.
//
// # What is measured
//
// A case is one kind of work and the rows that it gives to the table. A way is
// how it is done: ours over libp2p, ours over the TCP secret stream, the
// JavaScript packages over TCP, a bare libp2p stream, bare TCP. Each round does
// every case in every way, one after the other, beginning with another way each
// time, so that what else the machine does falls on all of them. The table shows
// the median over the rounds and the range, and ratios as the median of the
// rounds' ratios.
//
// A network case takes two processes, a writer and a reader, each with a store
// on disk. The writer's store was filled before by a third. The reader connects,
// copies a core of the same blocks to warm both sides up, and learns the length
// of the core; then the clock starts. It stops when the reader has verified and
// stored all that the case asks for. Neither side waits for the disk then: the
// packages never sync, and what ours takes longer until it is on the disk is
// given by itself ("synced"). Tree hashes of both ends, and of both
// implementations, are compared afterwards, and blocks with what was appended.
//
// A mount case is a `multicore mount`, and this program as the one that writes and
// reads there, as echo and cat do. Its ceiling is a FUSE server of the same library
// that drops what is written and splices a file, or the same bytes in a plain file,
// or a copy of the log that no mount has to do with. Where nothing can be mounted
// these cases are left out, and why is said above the table; in CI that is an error.
//
// # How processes talk
//
// This program is both: it starts itself, or Node with scripts/interop/bench,
// as a child that gets a spec as a line of JSON on its standard input, then
// words (go, append), and answers in lines of JSON. It ends when its input ends.
// CPU time is read from outside, from the process's own clock, between the word
// and the answer; peak memory is VmHWM, what getrusage gives too, but without
// what the child had of its parent before exec.
package main
