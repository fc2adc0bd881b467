package corestore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

func FuzzOrigin(f *testing.F) {
	k := hypercore.Key{1}
	named := origin{key: k, named: true, ns: Namespace{2}, name: "core-1"}
	f.Add(named.encode())
	f.Add(k[:])
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, value []byte) {
		var d hypercore.DiscoveryKey
		if len(value) >= 32 {
			d = hypercore.Key(value[:32]).Discovery()
		}
		o, found, err := parseOrigin(d, value)
		if err != nil {
			if !errors.Is(err, storage.ErrDamaged) || found {
				t.Fatal(found, err)
			}
			return
		}
		if found && !bytes.Equal(o.encode(), value) {
			t.Fatalf("%x is read as %+v", value, o)
		}
	})
}

func FuzzPrimaryKey(f *testing.F) {
	f.Add([]byte("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"))
	f.Add([]byte("00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParsePrimaryKey(text)
		if err != nil {
			if key != [32]byte{} {
				t.Fatal("a part of a key with an error")
			}
			return
		}
		if want := hex.EncodeToString(key[:]); !bytes.EqualFold(bytes.TrimSuffix(text, []byte("\n")), []byte(want)) {
			t.Fatal("not the key that was written")
		}
	})
}
