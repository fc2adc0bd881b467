package hypercore_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"multicore/hypercore"
)

func TestManifestVectors(t *testing.T) {
	var v struct {
		Samples []struct {
			Name              string
			Manifest          vectorManifest
			Encoded           hexBytes
			Key, DiscoveryKey hex32
		}
		Compat struct{ PublicKey, CoreKey, DiscoveryKey hex32 }
	}
	readVectors(t, "manifest", &v)
	for _, s := range v.Samples {
		m := s.Manifest.manifest()
		if got := m.Encode(); !bytes.Equal(got, s.Encoded) {
			t.Errorf("%s: encoded %x, want %x", s.Name, got, []byte(s.Encoded))
		}
		if m.Key() != hypercore.Key(s.Key) || m.Key().Discovery() != hypercore.DiscoveryKey(s.DiscoveryKey) {
			t.Errorf("%s: key %v", s.Name, m.Key())
		}
		for _, tail := range [][]byte{nil, {1, 2, 3}} { // bytes behind a manifest are ignored
			got, err := hypercore.ParseManifest(append(bytes.Clone(s.Encoded), tail...))
			if err != nil {
				t.Errorf("%s: %v", s.Name, err)
				continue
			}
			if len(got.Signers) == 0 {
				got.Signers = nil
			}
			if !reflect.DeepEqual(got, m) {
				t.Errorf("%s: parsed %+v, want %+v", s.Name, got, m)
			}
		}
		for n := range s.Encoded {
			if _, err := hypercore.ParseManifest(s.Encoded[:n]); !errors.Is(err, hypercore.ErrManifest) {
				t.Errorf("%s, %d bytes: %v", s.Name, n, err)
			}
		}
	}
	if m := hypercore.LegacyManifest(hypercore.Key(v.Compat.PublicKey)); m.Key() != hypercore.Key(v.Compat.CoreKey) ||
		m.Key().Discovery() != hypercore.DiscoveryKey(v.Compat.DiscoveryKey) {
		t.Errorf("legacy key %v", m.Key())
	}
}

func TestParseManifestRefuses(t *testing.T) {
	good := hypercore.DefaultManifest(make([]byte, 32)).Encode()
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"version 4":              change(0, 4),
		"another hash":           change(2, 1),
		"quorum above signers":   change(3, 2),
		"too many signers":       change(4, 200),
		"another signature":      change(5, 1),
		"version 0 of type 3":    append([]byte{0, 0, 3}, make([]byte, 99)...),
		"version 0 without type": {0, 0},
	} {
		if m, err := hypercore.ParseManifest(b); !errors.Is(err, hypercore.ErrManifest) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add(hypercore.DefaultManifest(make([]byte, 32)).Encode())
	f.Add([]byte{0, 0, 2, 1, 0, 0})
	full := hypercore.DefaultManifest(make([]byte, 32))
	full.Version, full.UserData, full.Linked = 3, []byte("hi"), [][32]byte{{5}}
	full.Prologue = &hypercore.Prologue{Length: 70000}
	f.Add(full.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := hypercore.ParseManifest(b)
		if err != nil {
			return
		}
		e := m.Encode()
		again, err := hypercore.ParseManifest(e)
		if err != nil || !bytes.Equal(again.Encode(), e) || again.Key() != m.Key() {
			t.Fatalf("%x: %+v becomes %x, %v", b, m, e, err)
		}
	})
}
