package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"multicore/hypercore/storage"
)

func testRecords(t *testing.T, st storage.Store) {
	if v := get(t, st, "a", "k"); v != nil {
		t.Errorf("missing bucket: got %q", v)
	}
	key, value := []byte("k"), []byte("v")
	update(t, st, "a", func(b storage.Bucket) error {
		if err := b.Put(key, value); err != nil {
			return err
		}
		key[0], value[0] = 'x', 'x' // Put has copied them
		return b.Put([]byte("empty"), nil)
	})
	if v := get(t, st, "a", "k"); string(v) != "v" {
		t.Errorf("got %q, want v", v)
	}
	if v := get(t, st, "a", "empty"); v == nil || len(v) != 0 {
		t.Errorf("empty value: got %v, want one that is empty and there", v)
	}
	if v := get(t, st, "b", "k"); v != nil {
		t.Errorf("other bucket: got %q", v)
	}
	update(t, st, "a", func(b storage.Bucket) error {
		return errors.Join(b.Delete([]byte("k")), b.Delete([]byte("never")))
	})
	if v := get(t, st, "a", "k"); v != nil {
		t.Errorf("deleted: got %q", v)
	}
	if err := st.Update(func(tx storage.Tx) error { return tx.Bucket("a").Put(nil, []byte("v")) }); err == nil {
		t.Error("an empty key was accepted")
	}
	update(t, st, "never", func(b storage.Bucket) error { return b.Delete([]byte("k")) })
}

func testRollback(t *testing.T, st storage.Store) {
	update(t, st, "a", func(b storage.Bucket) error { return b.Put([]byte("k"), []byte("old")) })
	refused := errors.New("refused")
	err := st.Update(func(tx storage.Tx) error {
		b, same := tx.Bucket("a"), tx.Bucket("a")
		check(t, b.Put([]byte("k"), []byte("new")))
		check(t, tx.Bucket("made").Put([]byte("k"), []byte("new")))
		if v := same.Get([]byte("k")); string(v) != "new" {
			t.Errorf("inside: got %q, want new", v)
		}
		return refused
	})
	if err != refused {
		t.Errorf("got %v, want the error of the function itself", err)
	}
	if v := get(t, st, "a", "k"); string(v) != "old" {
		t.Errorf("got %q, want old", v)
	}
	if v := get(t, st, "made", "k"); v != nil {
		t.Errorf("got %q, want none", v)
	}
}

func testScan(t *testing.T, st storage.Store) {
	update(t, st, "a", func(b storage.Bucket) error {
		for _, k := range []string{"b2", "a", "b", "c", "b1"} {
			if err := b.Put([]byte(k), []byte("v"+k)); err != nil {
				return err
			}
		}
		return nil
	})
	scan := func(tx storage.Tx, bucket, prefix string) string {
		var got []string
		check(t, tx.Bucket(bucket).Scan([]byte(prefix), func(k, v []byte) error {
			if string(v) != "v"+string(k) {
				t.Errorf("key %s: got %q", k, v)
			}
			got = append(got, string(k))
			return nil
		}))
		return strings.Join(got, " ")
	}
	want := func(tx storage.Tx, bucket, prefix, want string) {
		t.Helper()
		if got := scan(tx, bucket, prefix); got != want {
			t.Errorf("scan %q: got %q, want %q", prefix, got, want)
		}
	}
	check(t, st.View(func(tx storage.Tx) error {
		want(tx, "a", "", "a b b1 b2 c")
		want(tx, "a", "b", "b b1 b2")
		want(tx, "a", "b2", "b2")
		want(tx, "a", "zz", "")
		want(tx, "none", "", "")
		stop := errors.New("stop")
		calls := 0
		if err := tx.Bucket("a").Scan(nil, func(_, _ []byte) error { calls++; return stop }); err != stop || calls != 1 {
			t.Errorf("stop: got %v after %d calls", err, calls)
		}
		return nil
	}))
	check(t, st.Update(func(tx storage.Tx) error {
		b := tx.Bucket("a")
		check(t, b.Delete([]byte("b1")))
		check(t, b.Put([]byte("b0"), []byte("vb0")))
		want(tx, "a", "b", "b b0 b2")
		return nil
	}))
}

// testRecordsModel compares with a map over random transactions.
func testRecordsModel(t *testing.T, st storage.Store) {
	r := rand.New(rand.NewPCG(3, 4))
	model := make(map[string]string)
	for range 60 {
		next := maps.Clone(model)
		keep := r.IntN(3) > 0
		err := st.Update(func(tx storage.Tx) error {
			for range r.IntN(20) {
				k, v := fmt.Sprintf("%02d", r.IntN(40)), fmt.Sprint(r.IntN(1000))
				if r.IntN(3) == 0 {
					delete(next, k)
					check(t, tx.Bucket("m").Delete([]byte(k)))
				} else {
					next[k] = v
					check(t, tx.Bucket("m").Put([]byte(k), []byte(v)))
				}
			}
			wantRecords(t, tx, next)
			if !keep {
				return errors.New("dropped")
			}
			return nil
		})
		if (err == nil) != keep {
			t.Fatal(err)
		}
		if keep {
			model = next
		}
		check(t, st.View(func(tx storage.Tx) error { wantRecords(t, tx, model); return nil }))
	}
}

func wantRecords(t *testing.T, tx storage.Tx, model map[string]string) {
	t.Helper()
	var keys []string
	check(t, tx.Bucket("m").Scan(nil, func(k, v []byte) error {
		keys = append(keys, string(k))
		if string(v) != model[string(k)] || !bytes.Equal(v, tx.Bucket("m").Get(k)) {
			t.Fatalf("key %s: got %q, want %q", k, v, model[string(k)])
		}
		return nil
	}))
	if want := slices.Sorted(maps.Keys(model)); !slices.Equal(keys, want) {
		t.Fatalf("keys: got %v, want %v", keys, want)
	}
}

func testReadOnly(t *testing.T, st storage.Store) {
	check(t, st.View(func(tx storage.Tx) error {
		b := tx.Bucket("a")
		if b.Put([]byte("k"), nil) == nil || b.Delete([]byte("k")) == nil {
			t.Error("a write in View was accepted")
		}
		return nil
	}))
}

func testConcurrentUpdates(t *testing.T, st storage.Store) {
	const workers, rounds = 6, 10
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				err := st.Update(func(tx storage.Tx) error {
					b := tx.Bucket("n")
					return b.Put([]byte("count"), append(b.Get([]byte("count")), '.'))
				})
				if err == nil {
					err = st.View(func(tx storage.Tx) error {
						if len(tx.Bucket("n").Get([]byte("count"))) == 0 {
							return errors.New("nothing after an update")
						}
						return nil
					})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if v := get(t, st, "n", "count"); len(v) != workers*rounds {
		t.Errorf("count %d, want %d", len(v), workers*rounds)
	}
}
