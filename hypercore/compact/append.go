package compact

import (
	"encoding/binary"
	"fmt"
)

// MaxUint is the largest integer that may be encoded: what JavaScript can
// represent.
const MaxUint = 1<<53 - 1

// MaxItems is the largest number of items in an array.
const MaxItems = 0x100000

// The first byte of an integer that does not fit one byte.
const (
	uint16Follows = 0xfd
	uint32Follows = 0xfe
	uint64Follows = 0xff
)

// AppendUint adds n in as few bytes as possible. It panics for an n above
// MaxUint: whatever counts so far was to be refused before.
func AppendUint(buf []byte, n uint64) []byte {
	switch {
	case n < uint16Follows:
		return append(buf, byte(n))
	case n <= 0xffff:
		return binary.LittleEndian.AppendUint16(append(buf, uint16Follows), uint16(n))
	case n <= 0xffffffff:
		return binary.LittleEndian.AppendUint32(append(buf, uint32Follows), uint32(n))
	}
	return AppendUint64(append(buf, uint64Follows), n)
}

// UintSize is the number of bytes that AppendUint adds for n.
func UintSize(n uint64) int {
	switch {
	case n < uint16Follows:
		return 1
	case n <= 0xffff:
		return 3
	case n <= 0xffffffff:
		return 5
	}
	return 9
}

// AppendUint64 adds n in 8 bytes. It panics for an n above MaxUint.
func AppendUint64(buf []byte, n uint64) []byte {
	if n > MaxUint {
		panic(fmt.Sprintf("compact: %d exceeds 2^53-1", n))
	}
	return binary.LittleEndian.AppendUint64(buf, n)
}

// AppendBuffer adds the length of b and b. A nil b is an empty one; as an
// optional buffer an empty one means none.
func AppendBuffer(buf, b []byte) []byte {
	return append(AppendUint(buf, uint64(len(b))), b...)
}

// AppendText adds a string: its length in bytes and its UTF-8.
func AppendText(buf []byte, s string) []byte {
	return append(AppendUint(buf, uint64(len(s))), s...)
}

// AppendFixed32 adds 32 bytes as they are.
func AppendFixed32(buf []byte, b [32]byte) []byte { return append(buf, b[:]...) }

// AppendFixed64 adds 64 bytes as they are.
func AppendFixed64(buf []byte, b [64]byte) []byte { return append(buf, b[:]...) }

// AppendBool adds one byte.
func AppendBool(buf []byte, b bool) []byte {
	if b {
		return append(buf, 1)
	}
	return append(buf, 0)
}

// AppendUint32Array adds the number of words and the words.
func AppendUint32Array(buf []byte, words []uint32) []byte {
	buf = AppendUint(buf, uint64(len(words)))
	for _, w := range words {
		buf = binary.LittleEndian.AppendUint32(buf, w)
	}
	return buf
}
