package storage_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"multicore/hypercore/storage"
)

// TestDatabaseTorn cuts the power in the middle of commits of the real database,
// which writes its pages, syncs them, and then writes the page that makes them
// count: whatever of its pages a cut finds, the records are those before the
// commit, or those after it where that last page is there.
func TestDatabaseTorn(t *testing.T) {
	const metas = 2
	page := os.Getpagesize()
	r := rand.New(rand.NewPCG(9, 9))
	dir := t.TempDir()
	st, err := storage.Open(dir, storage.Options{Create: true})
	check(t, err)
	defer func() { st.Close() }()
	name := filepath.Join(dir, storage.DatabaseName)
	before, err := os.ReadFile(name)
	check(t, err)
	model := map[string]string{}
	for commit := range 40 {
		next := maps.Clone(model)
		check(t, st.Update(func(tx storage.Tx) error {
			for range 1 + r.IntN(30) {
				k := fmt.Sprint(r.IntN(60))
				if r.IntN(4) == 0 {
					delete(next, k)
					check(t, tx.Bucket("b").Delete([]byte(k)))
					continue
				}
				next[k] = string(bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(600)))
				check(t, tx.Bucket("b").Put([]byte(k), []byte(next[k])))
			}
			return nil
		}))
		after, err := os.ReadFile(name)
		check(t, err)
		for range 4 {
			image := bytes.Clone(before)
			if len(after) > len(image) && r.IntN(2) == 0 {
				image = append(image, make([]byte, len(after)-len(image))...)
			}
			for at := metas * page; at < len(image); at += page {
				if at+page <= len(after) && r.IntN(2) == 0 {
					copy(image[at:], after[at:at+page])
				}
			}
			checkImage(t, image, model)

			image = bytes.Clone(after) // the last page is torn: it has a sum
			for at := 0; at < metas*page; at += 512 {
				if r.IntN(2) == 0 {
					copy(image[at:at+512], before[at:])
				}
			}
			checkImage(t, image, model, next)
		}
		checkImage(t, after, next)
		before, model = after, next
		if testing.Short() && commit == 10 {
			return
		}
	}
}

// checkImage opens a database that has these bytes: it is one of the models.
func checkImage(t *testing.T, image []byte, models ...map[string]string) {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, storage.DatabaseName), image, 0o600))
	st, err := storage.Open(dir, storage.Options{})
	check(t, err)
	defer st.Close()
	got := map[string]string{}
	check(t, st.View(func(tx storage.Tx) error {
		return tx.Bucket("b").Scan(nil, func(k, v []byte) error { got[string(k)] = string(v); return nil })
	}))
	for _, want := range models {
		if maps.Equal(got, want) {
			return
		}
	}
	t.Fatalf("%d records, want those before or after the commit", len(got))
}
