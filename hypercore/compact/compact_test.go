package compact

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
)

// hexBytes is a JSON string of hex; null stays nil.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type number struct {
	Value uint64
	Hex   hexBytes
	OK    bool
}

type buffer struct {
	Value, Hex hexBytes
	OK         bool
}

// round checks that want encodes to in, and that read takes it apart again.
func round[T any](t *testing.T, name string, want T, encoded, in []byte, read func(*Decoder) T, equal func(a, b T) bool) {
	t.Helper()
	if !bytes.Equal(encoded, in) {
		t.Errorf("%s %v: encoded %x, want %x", name, want, encoded, in)
	}
	d := NewDecoder(append(bytes.Clone(in), 7))
	if got := read(d); d.Err() != nil || !equal(got, want) || d.Len() != 1 {
		t.Errorf("%s %x: %v, %v, %d bytes left, want %v", name, in, got, d.Err(), d.Len(), want)
	}
	for n := range in {
		d := NewDecoder(in[:n])
		if got := read(d); !errors.Is(d.Err(), ErrShort) {
			t.Errorf("%s %x: %v, %v, want %v", name, in[:n], got, d.Err(), ErrShort)
		}
	}
}

func same[T comparable](a, b T) bool { return a == b }

func TestVectors(t *testing.T) {
	var v struct {
		Uint, UintDecode, Uint64 []number
		Buffer, BufferDecode     []buffer
		OptionalBuffer           []buffer
		OptionalBufferDecode     []buffer
		Fixed32, Fixed64         []buffer
		Text                     []struct {
			Value string
			Hex   hexBytes
		} `json:"string"`
		Bool []struct {
			Value bool
			Hex   hexBytes
		}
		ArrayOfUint []struct {
			Value []uint64
			Hex   hexBytes
		}
		ArrayOfString []struct {
			Value []string
			Hex   hexBytes
		}
		Uint32Array []struct {
			Value []uint32
			Hex   hexBytes
		}
	}
	b, err := os.ReadFile("testdata/compact-encoding.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Uint {
		round(t, "uint", c.Value, AppendUint(nil, c.Value), c.Hex, (*Decoder).Uint, same)
		if UintSize(c.Value) != len(c.Hex) {
			t.Errorf("size of %d: %d", c.Value, UintSize(c.Value))
		}
	}
	for _, c := range v.UintDecode {
		d := NewDecoder(c.Hex)
		if got := d.Uint(); got != c.Value || (d.Err() == nil) != c.OK {
			t.Errorf("uint %x: %d, %v", []byte(c.Hex), got, d.Err())
		}
	}
	for _, c := range v.Uint64 {
		round(t, "uint64", c.Value, AppendUint64(nil, c.Value), c.Hex, (*Decoder).Uint64, same)
	}
	for _, c := range v.Buffer {
		round(t, "buffer", c.Value, AppendBuffer(nil, c.Value), c.Hex, func(d *Decoder) hexBytes { return d.Buffer() },
			func(a, b hexBytes) bool { return bytes.Equal(a, b) })
	}
	for _, c := range v.BufferDecode {
		d := NewDecoder(c.Hex)
		if got := d.Buffer(); !bytes.Equal(got, c.Value) || (d.Err() == nil) != c.OK {
			t.Errorf("buffer %x: %x, %v", []byte(c.Hex), got, d.Err())
		}
	}
	for _, c := range v.OptionalBuffer {
		if len(c.Value) == 0 {
			c.Value = nil // an empty one is read back as none
		}
		round(t, "optional buffer", c.Value, AppendBuffer(nil, c.Value), c.Hex, func(d *Decoder) hexBytes { return d.OptionalBuffer() },
			func(a, b hexBytes) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) })
	}
	for _, c := range v.OptionalBufferDecode {
		d := NewDecoder(c.Hex)
		if got := d.OptionalBuffer(); !bytes.Equal(got, c.Value) || (got == nil) != (c.Value == nil) || d.Err() != nil {
			t.Errorf("optional buffer %x: %x, %v", []byte(c.Hex), got, d.Err())
		}
	}
	for _, c := range v.Fixed32 {
		round(t, "fixed32", [32]byte(c.Value), AppendFixed32(nil, [32]byte(c.Value)), c.Hex, (*Decoder).Fixed32, same)
	}
	for _, c := range v.Fixed64 {
		round(t, "fixed64", [64]byte(c.Value), AppendFixed64(nil, [64]byte(c.Value)), c.Hex, (*Decoder).Fixed64, same)
	}
	for _, c := range v.Text {
		round(t, "string", c.Value, AppendText(nil, c.Value), c.Hex, (*Decoder).Text, same)
	}
	for _, c := range v.Bool {
		round(t, "bool", c.Value, AppendBool(nil, c.Value), c.Hex, (*Decoder).Bool, same)
	}
	for _, c := range v.ArrayOfUint {
		encoded := AppendUint(nil, uint64(len(c.Value)))
		for _, n := range c.Value {
			encoded = AppendUint(encoded, n)
		}
		round(t, "array of uint", c.Value, encoded, c.Hex, func(d *Decoder) []uint64 { return readArray(d, (*Decoder).Uint) }, slices.Equal)
	}
	for _, c := range v.ArrayOfString {
		encoded := AppendUint(nil, uint64(len(c.Value)))
		for _, s := range c.Value {
			encoded = AppendText(encoded, s)
		}
		round(t, "array of string", c.Value, encoded, c.Hex, func(d *Decoder) []string { return readArray(d, (*Decoder).Text) }, slices.Equal)
	}
	for _, c := range v.Uint32Array {
		round(t, "uint32array", c.Value, AppendUint32Array(nil, c.Value), c.Hex, (*Decoder).Uint32Array, slices.Equal)
	}
}

func readArray[T any](d *Decoder, read func(*Decoder) T) []T {
	out := make([]T, d.Count(1))
	for i := range out {
		out[i] = read(d)
	}
	return out
}

func TestCountBounds(t *testing.T) {
	for _, c := range []struct {
		items, size, room int
		want              error
	}{
		{3, 2, 6, nil}, {3, 2, 5, ErrShort}, {0, 34, 0, nil}, {MaxItems, 1, MaxItems, nil},
		{MaxItems + 1, 1, MaxItems + 1, ErrRange}, {MaxItems, 34, 1000, ErrShort}, {MaxUint, 34, 1000, ErrRange},
	} {
		d := NewDecoder(append(AppendUint(nil, uint64(c.items)), make([]byte, c.room)...))
		n := d.Count(c.size)
		if !errors.Is(d.Err(), c.want) || c.want == nil && n != c.items || c.want != nil && n != 0 {
			t.Errorf("%+v: %d, %v", c, n, d.Err())
		}
	}
}

// The first error stays, and nothing is read after it.
func TestDecoderKeepsFirstError(t *testing.T) {
	d := NewDecoder([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3})
	if n := d.Uint(); n != 0 || !errors.Is(d.Err(), ErrRange) || d.Len() != 0 {
		t.Fatalf("%d, %v, %d bytes left", n, d.Err(), d.Len())
	}
	if d.Uint() != 0 || d.Uint64() != 0 || d.Buffer() != nil || d.OptionalBuffer() != nil || d.Text() != "" || d.Bool() ||
		d.Fixed32() != [32]byte{} || d.Fixed64() != [64]byte{} || d.Uint32Array() != nil || d.Raw() != nil || d.Count(1) != 0 {
		t.Fatal("values after an error")
	}
	d.Fail(errors.New("later"))
	if !errors.Is(d.Err(), ErrRange) {
		t.Fatalf("first error became %v", d.Err())
	}
}

func TestRawIsNeverNil(t *testing.T) {
	for _, in := range [][]byte{nil, {}, {1}} {
		if got := NewDecoder(in).Raw(); got == nil || len(got) != len(in) {
			t.Errorf("raw of %x: %x", in, got)
		}
		if d := NewDecoder(in); len(in) == 0 && (d.Buffer() != nil || !errors.Is(d.Err(), ErrShort)) {
			t.Errorf("buffer of nothing: %v", d.Err())
		}
	}
	d := NewDecoder([]byte{5})
	d.Uint()
	if d.Raw() == nil {
		t.Error("raw of no rest is nil")
	}
}

func TestAppendRefusesLargeNumbers(t *testing.T) {
	for _, fn := range []func([]byte, uint64) []byte{AppendUint, AppendUint64} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("2^53 was encoded")
				}
			}()
			fn(nil, MaxUint+1)
		}()
	}
}

// What parses encodes to something that parses to the same, and to the same
// bytes where those were minimal.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte{5, 0xfd, 5, 0, 2, 'h', 'i', 1, 1, 0, 0, 0})
	f.Add([]byte{0xff, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		d := NewDecoder(in)
		n, wide, text, words, rest := d.Uint(), d.Uint(), d.Text(), d.Uint32Array(), d.Raw()
		if d.Err() != nil {
			return
		}
		out := AppendUint32Array(AppendText(AppendUint(AppendUint(nil, n), wide), text), words)
		out = append(out, rest...)
		if len(out) > len(in) || len(out) == len(in) && !bytes.Equal(out, in) {
			t.Fatalf("%x becomes %x", in, out)
		}
		again := NewDecoder(out)
		if again.Uint() != n || again.Uint() != wide || again.Text() != text || !slices.Equal(again.Uint32Array(), words) ||
			!bytes.Equal(again.Raw(), rest) || again.Err() != nil {
			t.Fatalf("%x becomes %x", in, out)
		}
	})
}
