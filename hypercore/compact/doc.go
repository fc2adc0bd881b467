// Package compact is Hypercore's compact-encoding: little-endian integers of
// variable length, and what is built of them (spec 1).
//
// AppendX adds the encoding of a value to a buffer. A Decoder reads values from
// a byte slice and keeps the first error, so a run of reads is checked once:
//
//	d := compact.NewDecoder(payload)
//	start, length := d.Uint(), d.Uint()
//	if err := d.Err(); err != nil {
//
// Input is taken as hostile: nothing is allocated for a length that the input
// does not contain, and integers that JavaScript cannot represent are refused.
// Integers that are longer than they need be are accepted, as the format
// demands; they are never written.
//
// Sections named in comments are those of the Hypercore 11 specification.
package compact
