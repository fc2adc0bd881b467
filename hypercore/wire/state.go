package wire

import (
	"fmt"

	"multicore/hypercore/compact"
)

// Sync describes its sender's state of a core.
type Sync struct {
	Fork         uint64
	Length       uint64
	RemoteLength uint64 // the length that the sender last heard from us for the same fork, else 0
	CanUpgrade   bool   // the sender can prove an upgrade from RemoteLength to Length
	Uploading    bool
	Downloading  bool
	HasManifest  bool
	AllowPush    bool
}

// Flags of a Sync.
const (
	syncCanUpgrade = 1 << iota
	syncUploading
	syncDownloading
	syncHasManifest
	syncAllowPush
)

// Type is TypeSync.
func (Sync) Type() uint64 { return TypeSync }

// Append adds the payload.
func (m Sync) Append(buf []byte) []byte {
	buf = compact.AppendUint(buf, flag(m.CanUpgrade, syncCanUpgrade)|flag(m.Uploading, syncUploading)|
		flag(m.Downloading, syncDownloading)|flag(m.HasManifest, syncHasManifest)|flag(m.AllowPush, syncAllowPush))
	buf = compact.AppendUint(buf, m.Fork)
	buf = compact.AppendUint(buf, m.Length)
	return compact.AppendUint(buf, m.RemoteLength)
}

// ParseSync reads the payload of a Sync.
func ParseSync(payload []byte) (Sync, error) {
	d := compact.NewDecoder(payload)
	flags := d.Uint()
	m := Sync{
		Fork:         d.Uint(),
		Length:       d.Uint(),
		RemoteLength: d.Uint(),
		CanUpgrade:   flags&syncCanUpgrade != 0,
		Uploading:    flags&syncUploading != 0,
		Downloading:  flags&syncDownloading != 0,
		HasManifest:  flags&syncHasManifest != 0,
		AllowPush:    flags&syncAllowPush != 0,
	}
	return finish(m, d, "sync")
}

// Want asks to be told, from now on, which blocks of a range the other side
// has. Length is to be a power of two from MinWant to WantWindow and Start a
// multiple of it.
type Want struct {
	Start, Length uint64
	Any           bool // one block of the range is enough
}

// wantAny is the flag for Any. The flags are absent where none is set.
const wantAny = 1

// Type is TypeWant.
func (Want) Type() uint64 { return TypeWant }

// Append adds the payload.
func (m Want) Append(buf []byte) []byte {
	buf = compact.AppendUint(buf, m.Start)
	buf = compact.AppendUint(buf, m.Length)
	if m.Any {
		buf = compact.AppendUint(buf, wantAny)
	}
	return buf
}

// ParseWant reads the payload of a Want.
func ParseWant(payload []byte) (Want, error) { return parseWant(payload, "want") }

func parseWant(payload []byte, name string) (Want, error) {
	d := compact.NewDecoder(payload)
	var m Want
	m.Start, m.Length = interval(d)
	if d.Len() > 0 {
		m.Any = d.Uint()&wantAny != 0
	}
	return finish(m, d, name)
}

// Unwant takes a Want back.
type Unwant struct {
	Start, Length uint64
	Any           bool
}

// Type is TypeUnwant.
func (Unwant) Type() uint64 { return TypeUnwant }

// Append adds the payload.
func (m Unwant) Append(buf []byte) []byte { return Want(m).Append(buf) }

// ParseUnwant reads the payload of an Unwant.
func ParseUnwant(payload []byte) (Unwant, error) {
	m, err := parseWant(payload, "unwant")
	return Unwant(m), err
}

// Bitfield says which blocks of a stretch the sender has and replaces what was
// known about it.
type Bitfield struct {
	Start uint64   // block; a multiple of 32
	Words []uint32 // bit j of word w, lowest first, is block Start + 32*w + j
}

// Type is TypeBitfield.
func (Bitfield) Type() uint64 { return TypeBitfield }

// Append adds the payload.
func (m Bitfield) Append(buf []byte) []byte {
	return compact.AppendUint32Array(compact.AppendUint(buf, m.Start), m.Words)
}

// ParseBitfield reads the payload of a Bitfield; its Words are a copy.
func ParseBitfield(payload []byte) (Bitfield, error) {
	d := compact.NewDecoder(payload)
	m := Bitfield{Start: d.Uint(), Words: d.Uint32Array()}
	checkEnd(d, m.Start, 32*uint64(len(m.Words)))
	if m.Start%32 != 0 {
		d.Fail(fmt.Errorf("start %d is no multiple of 32", m.Start))
	}
	return finish(m, d, "bitfield")
}

// Range says that the sender has all blocks of a range, or with Drop none.
type Range struct {
	Drop          bool
	Start, Length uint64
}

// Flags of a Range.
const (
	rangeDrop = 1 << iota
	rangeOne  // Length is 1 and absent
)

// Type is TypeRange.
func (Range) Type() uint64 { return TypeRange }

// Append adds the payload.
func (m Range) Append(buf []byte) []byte {
	buf = compact.AppendUint(buf, flag(m.Drop, rangeDrop)|flag(m.Length == 1, rangeOne))
	buf = compact.AppendUint(buf, m.Start)
	if m.Length != 1 {
		buf = compact.AppendUint(buf, m.Length)
	}
	return buf
}

// ParseRange reads the payload of a Range.
func ParseRange(payload []byte) (Range, error) {
	d := compact.NewDecoder(payload)
	flags := d.Uint()
	m := Range{Drop: flags&rangeDrop != 0, Start: d.Uint(), Length: 1}
	if flags&rangeOne == 0 {
		m.Length = d.Uint()
	}
	checkEnd(d, m.Start, m.Length)
	return finish(m, d, "range")
}

// Extension is a message of an application.
type Extension struct {
	Name    string // empty: the same as in the sender's previous one on this channel
	Message []byte
}

// Type is TypeExtension.
func (Extension) Type() uint64 { return TypeExtension }

// Append adds the payload.
func (m Extension) Append(buf []byte) []byte {
	return append(compact.AppendText(buf, m.Name), m.Message...)
}

// ParseExtension reads the payload of an Extension.
func ParseExtension(payload []byte) (Extension, error) {
	d := compact.NewDecoder(payload)
	return finish(Extension{Name: d.Text(), Message: d.Raw()}, d, "extension")
}
