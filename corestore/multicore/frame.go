package multicore

import (
	"fmt"
	"strconv"
	"strings"

	"multicore/hypercore"
)

// FramingMode is what ends a message.
type FramingMode int

const (
	ByLine  FramingMode = iota // a newline, which is kept
	ByWrite                    // the end of each write
	ByClose                    // the end of the handle
	BySize                     // Framing.Size bytes
)

// Framing cuts a stream of bytes into messages. The zero value is ByLine.
type Framing struct {
	Mode FramingMode
	Size int // bytes of a message, for BySize
}

// units are what may follow the number of a size, in bytes.
var units = map[string]int{
	"": 1, "B": 1,
	"KB": 1000, "K": 1 << 10, "KIB": 1 << 10,
	"MB": 1000 * 1000, "M": 1 << 20, "MIB": 1 << 20,
	"GB": 1000 * 1000 * 1000, "G": 1 << 30, "GIB": 1 << 30,
}

// ParseSize reads a number of bytes such as 64KiB, 1MB or 4096.
func ParseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BKMGibkmg")
	n, err := strconv.ParseUint(digits, 10, 31)
	unit, known := units[strings.ToUpper(s[len(digits):])]
	if err != nil || !known {
		return 0, fmt.Errorf("not a size: %q, want a number of bytes such as 64KiB", s)
	}
	return int64(n) * int64(unit), nil
}

// ParseFraming reads line, write, close, or a size of at least 1 and at most
// hypercore.MaxBlock bytes such as 64KiB, 1MB or 4096.
func ParseFraming(s string) (Framing, error) {
	switch s {
	case "line":
		return Framing{Mode: ByLine}, nil
	case "write":
		return Framing{Mode: ByWrite}, nil
	case "close":
		return Framing{Mode: ByClose}, nil
	}
	size, err := ParseSize(s)
	if err != nil {
		return Framing{}, fmt.Errorf("not a framing: %q, want line, write, close or a size such as 64KiB", s)
	}
	if size < 1 || size > hypercore.MaxBlock {
		return Framing{}, fmt.Errorf("block size of %d bytes, want 1 to %d", size, hypercore.MaxBlock)
	}
	return Framing{Mode: BySize, Size: int(size)}, nil
}

// String is what ParseFraming reads.
func (f Framing) String() string {
	switch f.Mode {
	case ByLine:
		return "line"
	case ByWrite:
		return "write"
	case ByClose:
		return "close"
	}
	for _, u := range []string{"MiB", "KiB"} {
		if n := units[strings.ToUpper(u)]; f.Size >= n && f.Size%n == 0 {
			return strconv.Itoa(f.Size/n) + u
		}
	}
	return strconv.Itoa(f.Size)
}
