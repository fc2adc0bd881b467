package fs

import (
	"strconv"
	"strings"
	"testing"
)

func TestParseCoreName(t *testing.T) {
	for name, want := range map[string]string{
		"main": "main", "core-1": "main", "core-2": "core-2", "core-1025": "core-1025",
		"": "", "core": "", "core-": "", "core-0": "", "core-01": "", "core-1026": "", "core-+2": "", "core--2": "", "core-2 ": "", "Main": "", "core-²": "",
		"core-99999999999999999999999999": "",
	} {
		got, ok := parseCoreName(name)
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", name, got, ok, want)
		}
	}
}

// FuzzNames: whatever name is looked up, what is read from it is the only way
// to write it.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"0", "7", "01", "+1", "18446744073709551615", "18446744073709551616", "core-2", "main", "core-",
		strings.Repeat("ab", 32), strings.Repeat("AB", 32), strings.Repeat("y", 52), "\xff", "a\x00b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if i, ok := parseIndex(name); ok && strconv.FormatUint(i, 10) != name {
			t.Errorf("%q is read as %d", name, i)
		}
		if core, ok := parseCoreName(name); ok && core != name && name != "core-1" {
			t.Errorf("%q is read as %q", name, core)
		}
		if key, ok := parseKeyName(name); ok {
			if lower := strings.ToLower(name); lower != key.String() && lower != key.ZBase32() {
				t.Errorf("%q is read as %v", name, key)
			}
		}
	})
}

func FuzzSystemText(f *testing.F) {
	f.Add("Name:\tx\nTgid:\t42\nPid:\t43\n")
	f.Add(`/mnt/a\040b\134`)
	f.Add("Tgid:")
	f.Fuzz(func(t *testing.T, s string) {
		parseTgid([]byte(s))
		if got := unescape(s); len(got) > len(s) {
			t.Errorf("%q grew to %q", s, got)
		}
	})
}
