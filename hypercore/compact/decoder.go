package compact

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	// ErrShort: the input ends within a value.
	ErrShort = errors.New("input is too short")

	// ErrRange: an integer exceeds 2^53-1, or an array has too many items.
	ErrRange = errors.New("value is out of range")
)

// Decoder reads values from a byte slice. After an error, which Err gives, every
// read gives zero values. It is for one goroutine.
type Decoder struct {
	rest []byte
	err  error
}

// NewDecoder reads from b. What Buffer, OptionalBuffer and Raw give aliases b.
func NewDecoder(b []byte) *Decoder {
	if b == nil {
		b = []byte{} // nil is for what could not be read
	}
	return &Decoder{rest: b}
}

// Err is the first error, ErrShort or ErrRange wrapped, or nil.
func (d *Decoder) Err() error { return d.err }

// Len is the number of bytes not yet read; 0 after an error.
func (d *Decoder) Len() int { return len(d.rest) }

// Fail makes err the error of d unless it has one.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.rest = nil
}

// take gives the next n bytes, nil after an error.
func (d *Decoder) take(n uint64) []byte {
	if d.err != nil {
		return nil
	}
	if n > uint64(len(d.rest)) {
		d.Fail(fmt.Errorf("%w: %d bytes, want %d", ErrShort, len(d.rest), n))
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

// Uint reads an integer of variable length.
func (d *Decoder) Uint() uint64 {
	first := d.take(1)
	if first == nil {
		return 0
	}
	switch first[0] {
	case uint16Follows:
		if b := d.take(2); b != nil {
			return uint64(binary.LittleEndian.Uint16(b))
		}
	case uint32Follows:
		if b := d.take(4); b != nil {
			return uint64(binary.LittleEndian.Uint32(b))
		}
	case uint64Follows:
		return d.Uint64()
	default:
		return uint64(first[0])
	}
	return 0
}

// Uint64 reads an integer of 8 bytes.
func (d *Decoder) Uint64() uint64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	n := binary.LittleEndian.Uint64(b)
	if n > MaxUint {
		d.Fail(fmt.Errorf("%w: %d exceeds 2^53-1", ErrRange, n))
		return 0
	}
	return n
}

// Bytes reads n bytes, which alias the input. It is nil only after an error.
func (d *Decoder) Bytes(n uint64) []byte { return d.take(n) }

// Buffer reads a length and that many bytes, which alias the input. It is nil
// only after an error.
func (d *Decoder) Buffer() []byte { return d.take(d.Uint()) }

// OptionalBuffer is Buffer where length 0 means none: nil.
func (d *Decoder) OptionalBuffer() []byte {
	if b := d.Buffer(); len(b) > 0 {
		return b
	}
	return nil
}

// Text reads a string. Its bytes are not checked to be UTF-8.
func (d *Decoder) Text() string { return string(d.Buffer()) }

// Fixed32 reads 32 bytes.
func (d *Decoder) Fixed32() (b [32]byte) {
	copy(b[:], d.take(32))
	return b
}

// Fixed64 reads 64 bytes.
func (d *Decoder) Fixed64() (b [64]byte) {
	copy(b[:], d.take(64))
	return b
}

// Bool reads one byte: 1 is true, everything else false.
func (d *Decoder) Bool() bool {
	b := d.take(1)
	return b != nil && b[0] == 1
}

// Count reads the number of items of an array whose items take at least
// minItemSize bytes each, so that the caller may make room for all of them. More
// items than the rest of the input can hold, or than MaxItems, are refused.
func (d *Decoder) Count(minItemSize int) int {
	n := d.Uint()
	if n > MaxItems {
		d.Fail(fmt.Errorf("%w: array of %d items, at most %d", ErrRange, n, MaxItems))
		return 0
	}
	if need := n * uint64(minItemSize); need > uint64(len(d.rest)) {
		d.Fail(fmt.Errorf("%w: %d bytes for %d items", ErrShort, len(d.rest), n))
		return 0
	}
	return int(n)
}

// Uint32Array reads a number of words and the words; nil where there are none.
func (d *Decoder) Uint32Array() []uint32 {
	b := d.take(4 * uint64(d.Count(4)))
	if len(b) == 0 {
		return nil
	}
	words := make([]uint32, len(b)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return words
}

// Raw reads all that is left; it aliases the input.
func (d *Decoder) Raw() []byte { return d.take(uint64(len(d.rest))) }
