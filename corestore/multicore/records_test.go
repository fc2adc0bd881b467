package multicore

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

func FuzzFollowed(f *testing.F) {
	k := key(1)
	f.Add(k[:], []byte(`{"name":"blog"}`))
	f.Add(k[:], []byte(`{}`))
	f.Add(k[:31], []byte(`{"name":3}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r, err := parseFollowed(key, value)
		if err != nil {
			return
		}
		again, err := json.Marshal(followedRecord{Name: r.Name})
		if err != nil {
			t.Fatal(err)
		}
		if same, err := parseFollowed(r.Key[:], again); err != nil || same != r || !bytes.Equal(r.Key[:], key) {
			t.Fatalf("%+v, %v, want %+v", same, err, r)
		}
	})
}

func FuzzLearned(f *testing.F) {
	f.Add(append([]byte{learnedFormat}, bytes.Repeat([]byte{7}, 64)...))
	f.Add([]byte{learnedFormat})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		others, err := parseLearned(value)
		if err != nil {
			return
		}
		again := []byte{learnedFormat}
		for _, k := range others {
			again = append(again, k[:]...)
		}
		if !slices.Equal(again, value) {
			t.Fatalf("%x is read as %x", value, again)
		}
	})
}
