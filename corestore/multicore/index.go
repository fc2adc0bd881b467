package multicore

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"multicore/hypercore"
)

const (
	// MaxOthers bounds the cores that a block 0 may name.
	MaxOthers = 1024
	// maxIndex bounds the bytes of a block 0 that are looked at: MaxOthers keys
	// take 68,625, the rest is room for fields of others.
	maxIndex = 256 << 10
)

// appendIndex appends block 0 of a main core that names others: compact JSON,
// no newline.
func appendIndex(buf []byte, others []hypercore.Key) []byte {
	buf = append(buf, `{"otherKeys":[`...)
	for i, k := range others {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(buf, '"')
		buf = hex.AppendEncode(buf, k[:])
		buf = append(buf, '"')
	}
	return append(buf, "]}"...)
}

// ParseIndex gives the keys that block 0 of the core main names, in order:
// nil, nil where it names none, be it that it is no JSON object with an array
// otherKeys at all. Other fields are ignored.
//
// Errors are ErrIndex: more than MaxOthers keys, one that is not a string of 64
// hex digits, one that comes twice, or main's own. They show nothing of the
// block, as they end up in logs.
func ParseIndex(main hypercore.Key, block []byte) ([]hypercore.Key, error) {
	if len(block) > maxIndex {
		return nil, nil
	}
	var fields map[string]json.RawMessage // a struct would match otherkeys too
	if json.Unmarshal(block, &fields) != nil {
		return nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(fields["otherKeys"], &list) != nil || len(list) == 0 {
		return nil, nil
	}
	if len(list) > MaxOthers {
		return nil, fmt.Errorf("%w: %d keys, want at most %d", ErrIndex, len(list), MaxOthers)
	}
	others := make([]hypercore.Key, len(list))
	seen := map[hypercore.Key]bool{main: true}
	for i, raw := range list {
		var s *string
		if json.Unmarshal(raw, &s) != nil || s == nil {
			return nil, fmt.Errorf("%w: key %d is not a string", ErrIndex, i)
		}
		if len(*s) != 2*len(others[i]) {
			return nil, fmt.Errorf("%w: key %d has %d characters, want %d", ErrIndex, i, len(*s), 2*len(others[i]))
		}
		if _, err := hex.Decode(others[i][:], []byte(*s)); err != nil {
			return nil, fmt.Errorf("%w: key %d is not hex", ErrIndex, i)
		}
		if seen[others[i]] {
			return nil, fmt.Errorf("%w: key %d is main's or comes twice", ErrIndex, i)
		}
		seen[others[i]] = true
	}
	return others, nil
}
