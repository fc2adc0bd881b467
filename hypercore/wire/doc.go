// Package wire encodes and decodes what peers say to each other: protomux
// frames (spec 11) and the messages of a hypercore channel (spec 12). It holds
// no state of a conversation and does no I/O.
//
// # Frames
//
// A stream is a row of frames: a length of 3 bytes, little-endian, and as many
// bytes. Without encryption those bytes are
//
//	uint channel | uint type | payload
//
// or, several messages in one, a batch:
//
//	00 00 | uint channel | { uint n | n bytes: uint type, payload } or { 00 | uint channel } ...
//
// Channel 0 carries Open, Reject and Close, which make and end the other
// channels. Batch builds frames, EachMessage takes them apart.
//
// # Messages
//
// Each message is a type with a method Append, which adds its payload, and has
// a function ParseX, which reads one. Bytes that ParseX gives alias its input:
// they are good as long as the frame is. Payloads come from strangers: nothing is
// allocated that is larger than the payload, every number is at most 2^53-1, and
// sums of a start and a length are too. As the format demands, bytes behind a
// message are ignored, absent trailing fields are zero, and integers may be
// longer than they need be. Whether a message makes sense is not checked here.
//
// Sections named in comments are those of the Hypercore 11 specification.
package wire
