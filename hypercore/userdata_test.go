package hypercore

import (
	"bytes"
	"errors"
	"strings"
	"testing"
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
