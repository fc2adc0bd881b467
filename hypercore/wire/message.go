package wire

import (
	"errors"
	"fmt"

	"multicore/hypercore/compact"
)

// Message is a message of a channel, or of the control channel.
type Message interface {
	// Type is the number that stands before the payload.
	Type() uint64

	// Append adds the payload. It panics for numbers above 2^53-1.
	Append(buf []byte) []byte
}

// Types of the messages of a hypercore channel.
const (
	TypeSync = iota
	TypeRequest
	TypeCancel
	TypeData
	TypeNoData
	TypeWant
	TypeUnwant
	TypeBitfield
	TypeRange
	TypeExtension
)

// ErrMalformed: bytes are not a frame or not a message of their type. A peer
// that sends such is to be dropped (spec 1).
var ErrMalformed = errors.New("malformed message")

// ErrTooLarge: a message fits no frame.
var ErrTooLarge = errors.New("message too large")

// Parse reads the payload of a channel message of any type. It gives nil for a
// type that is not known, which is to be ignored (spec 11).
func Parse(typ uint64, payload []byte) (Message, error) {
	switch typ {
	case TypeSync:
		return ParseSync(payload)
	case TypeRequest:
		return ParseRequest(payload)
	case TypeCancel:
		return ParseCancel(payload)
	case TypeData:
		return ParseData(payload)
	case TypeNoData:
		return ParseNoData(payload)
	case TypeWant:
		return ParseWant(payload)
	case TypeUnwant:
		return ParseUnwant(payload)
	case TypeBitfield:
		return ParseBitfield(payload)
	case TypeRange:
		return ParseRange(payload)
	case TypeExtension:
		return ParseExtension(payload)
	}
	return nil, nil
}

// finish gives m, or the error of d in the words of this package.
func finish[M any](m M, d *compact.Decoder, name string) (M, error) {
	if err := d.Err(); err != nil {
		var none M
		return none, fmt.Errorf("%w: %s: %w", ErrMalformed, name, err)
	}
	return m, nil
}

// interval reads a start and a length and refuses an end above 2^53-1.
func interval(d *compact.Decoder) (start, length uint64) {
	start, length = d.Uint(), d.Uint()
	checkEnd(d, start, length)
	return start, length
}

func checkEnd(d *compact.Decoder, start, length uint64) {
	if start+length > compact.MaxUint {
		d.Fail(fmt.Errorf("%w: %d from %d", compact.ErrRange, length, start))
	}
}

// flag gives bit where set.
func flag(set bool, bit uint64) uint64 {
	if set {
		return bit
	}
	return 0
}
