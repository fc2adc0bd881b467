// Package control is how short commands reach the process that holds a store.
//
// One process at a time may hold a store. It serves `control.sock` in the
// store's directory: HTTP over a unix socket of mode 0600. Commands call the
// same Service whether the store is held by this process (a node implements it)
// or by another one (Client implements it over the socket), so that a command
// is written once and no user meets a lock error.
//
// # Protocol
//
// Every request and every answer carries the header Multicore-Control with the
// number of the protocol. Each side refuses another number and says which
// processes do not fit together.
//
// A method is POST /v1/<method> with a JSON object, answered by 200 and a JSON
// object, or by another status and {"code","text"}: the exit code and the line
// for the user. Some methods stream:
//
//   - append takes its parameters from the query and the bytes to append as
//     the request's body.
//   - read answers with frames (see frame.go): items, then one last frame that
//     says how it ended. A stream without a last frame was cut off.
//   - follow, verify and mount answer with lines (see stream.go), the last of which says
//     how it ended. A mount lives as long as its call does: it says that it is
//     usable, and ends when it is unmounted, by whomever.
//
// Cancelling the context of a call closes its connection, which cancels the
// context of the Service at the other end.
//
// A server that closes ends waiting calls (a read that follows, a follow that
// waits) at once, lets the others finish for a moment, and answers what it cut
// off with ErrGone: the caller may look for whoever holds the store now.
//
// # Errors
//
// CodeOf gives the exit code of any error. Over the socket an error becomes an
// *Error with the same code and text; causes stay behind.
package control
