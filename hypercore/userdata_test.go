package hypercore

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"multicore/hypercore/storage"
)

func TestUserData(t *testing.T) {
	f := newFlusher(t)
	a, b := own(t, f, 1), own(t, f, 2)
	for _, value := range [][]byte{[]byte("one"), {}, bytes.Repeat([]byte{1}, maxUserValue)} {
		if err := a.SetUserData("name", value); err != nil {
			t.Fatal(err)
		}
		got, err := a.UserData("name")
		if err != nil || got == nil || !bytes.Equal(got, value) {
			t.Fatalf("%d bytes, %v, want %d", len(got), err, len(value))
		}
		if got, err := b.UserData("name"); got != nil || err != nil {
			t.Fatalf("another core has it: %q, %v", got, err)
		}
	}
	if err := a.SetUserData("name", make([]byte, maxUserValue+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	for _, name := range []string{"", strings.Repeat("n", maxUserName+1)} {
		if a.SetUserData(name, nil) == nil {
			t.Fatalf("name of %d bytes was taken", len(name))
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.UserData("name"); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	a = own(t, f, 1)
	if got, err := a.UserData("name"); err != nil || len(got) != maxUserValue {
		t.Fatalf("after reopening: %d bytes, %v", len(got), err)
	}
	if err := a.SetUserData("name", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := a.UserData("name"); got != nil || err != nil {
		t.Fatalf("removed: %q, %v", got, err)
	}
}

// User data goes with the core, and that of others stays.
func TestUserDataIsErased(t *testing.T) {
	f := newFlusher(t)
	a, b := replica(t, f, 1), replica(t, f, 2)
	for _, c := range []*Core{a, b} {
		for _, name := range []string{"one", "two"} {
			if err := c.SetUserData(name, []byte("kept")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.store.Update(func(tx storage.Tx) error { return Erase(tx, a.DiscoveryKey()) }); err != nil {
		t.Fatal(err)
	}
	a = replica(t, f, 1)
	for _, name := range []string{"one", "two"} {
		if got, err := a.UserData(name); got != nil || err != nil {
			t.Fatalf("%q after the core was erased: %q, %v", name, got, err)
		}
		if got, err := b.UserData(name); string(got) != "kept" || err != nil {
			t.Fatalf("%q of another core: %q, %v", name, got, err)
		}
	}
}
