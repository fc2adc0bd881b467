package multicore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"multicore/hypercore"
)

func key(b byte) (k hypercore.Key) {
	for i := range k {
		k[i] = b
	}
	return k
}

func quoted(keys ...hypercore.Key) string {
	var q []string
	for _, k := range keys {
		q = append(q, fmt.Sprintf("%q", fmt.Sprintf("%x", k[:])))
	}
	return strings.Join(q, ",")
}

func TestAppendIndex(t *testing.T) {
	got := string(appendIndex(nil, []hypercore.Key{key(0xab), key(1)}))
	want := `{"otherKeys":["` + strings.Repeat("ab", 32) + `","` + strings.Repeat("01", 32) + `"]}`
	if got != want || len(got) != 149 {
		t.Fatalf("%d bytes, %s, want 149, %s", len(got), got, want)
	}
}

func TestParseIndex(t *testing.T) {
	main := key(0xff)
	many := make([]hypercore.Key, MaxOthers+1)
	for i := range many {
		many[i] = hypercore.Key{0: byte(i), 1: byte(i >> 8)}
	}
	for _, c := range []struct {
		desc, block string
		want        []hypercore.Key
		bad         bool
	}{
		{"two", `{"otherKeys":[` + quoted(key(1), key(2)) + `]}`, []hypercore.Key{key(1), key(2)}, false},
		{"order kept", `{"otherKeys":[` + quoted(key(2), key(1)) + `]}`, []hypercore.Key{key(2), key(1)}, false},
		{"upper case, spaces and other fields", ` { "a" : {"otherKeys":1}, "otherKeys" : [ "` + strings.Repeat("AB", 32) + `" ], "z":null } `, []hypercore.Key{key(0xab)}, false},
		{"most", `{"otherKeys":[` + quoted(many[:MaxOthers]...) + `]}`, many[:MaxOthers], false},
		{"one too many", `{"otherKeys":[` + quoted(many...) + `]}`, nil, true},
		{"twice", `{"otherKeys":[` + quoted(key(1), key(2), key(1)) + `]}`, nil, true},
		{"twice in another case", `{"otherKeys":["` + strings.Repeat("ab", 32) + `","` + strings.Repeat("AB", 32) + `"]}`, nil, true},
		{"main", `{"otherKeys":[` + quoted(key(1), main) + `]}`, nil, true},
		{"63 digits", `{"otherKeys":["` + strings.Repeat("a", 63) + `"]}`, nil, true},
		{"66 digits", `{"otherKeys":["` + strings.Repeat("a", 66) + `"]}`, nil, true},
		{"no digits", `{"otherKeys":["` + strings.Repeat("g", 64) + `"]}`, nil, true},
		{"number", `{"otherKeys":[1]}`, nil, true},
		{"null", `{"otherKeys":[null]}`, nil, true},
		{"empty", `{"otherKeys":[]}`, nil, false},
		{"no array", `{"otherKeys":"` + strings.Repeat("a", 64) + `"}`, nil, false},
		{"null list", `{"otherKeys":null}`, nil, false},
		{"no field", `{"keys":[]}`, nil, false},
		{"field in another case", `{"otherkeys":[` + quoted(key(1)) + `]}`, nil, false},
		{"an array", `[` + quoted(key(1)) + `]`, nil, false},
		{"two values", `{"otherKeys":[` + quoted(key(1)) + `]}{}`, nil, false},
		{"cut", `{"otherKeys":[` + quoted(key(1)), nil, false},
		{"text", "hello\n", nil, false},
		{"nothing", "", nil, false},
		{"huge", `{"otherKeys":[` + quoted(key(1)) + `]` + strings.Repeat(" ", maxIndex) + `}`, nil, false},
	} {
		got, err := ParseIndex(main, []byte(c.block))
		if !slices.Equal(got, c.want) || errors.Is(err, ErrIndex) != c.bad || err != nil && !c.bad {
			t.Errorf("%s: %d keys, %v; want %d, bad %t", c.desc, len(got), err, len(c.want), c.bad)
		}
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"otherKeys":[` + quoted(key(1), key(2)) + `]}`))
	f.Add([]byte(`{"otherKeys":[null,1,"x"],"otherKeys":[]}`))
	f.Add([]byte("hello\n"))
	main := key(0xff)
	f.Fuzz(func(t *testing.T, block []byte) {
		others, err := ParseIndex(main, block)
		if err != nil && (others != nil || !errors.Is(err, ErrIndex) || strings.Contains(err.Error(), "\n")) {
			t.Fatalf("%d keys and %v", len(others), err)
		}
		if len(others) > MaxOthers || slices.Contains(others, main) {
			t.Fatalf("%d keys, main among them: %t", len(others), slices.Contains(others, main))
		}
		if len(others) == 0 {
			return
		}
		again, err := ParseIndex(main, appendIndex(nil, others))
		if err != nil || !slices.Equal(again, others) {
			t.Fatalf("%d keys are read back as %d, %v", len(others), len(again), err)
		}
	})
}
