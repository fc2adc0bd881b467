package multicore

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"multicore/hypercore"
)

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir, nil)
	expect := func(want ...Followed) {
		t.Helper()
		if got, err := List(st); err != nil || !slices.Equal(got, want) {
			t.Fatalf("List = %v, %v, want %v", got, err, want)
		}
	}
	follow := func(k hypercore.Key, name string, want error) {
		t.Helper()
		if err := Follow(st, Followed{Key: k, Name: name}); !errors.Is(err, want) {
			t.Fatalf("Follow %q = %v, want %v", name, err, want)
		}
	}
	expect()
	follow(key(2), "", nil)
	follow(key(1), "", nil)
	expect(Followed{Key: key(1)}, Followed{Key: key(2)})
	follow(key(2), "alice", nil)
	follow(key(3), "alice", ErrNameTaken)
	follow(key(3), "bob", nil)
	follow(key(3), "alice", ErrNameTaken)
	follow(key(2), "", nil) // keeps its name
	expect(Followed{Key: key(1)}, Followed{Key: key(2), Name: "alice"}, Followed{Key: key(3), Name: "bob"})
	follow(key(2), "zoe", nil)
	follow(key(1), "alice", nil)
	if was, err := Unfollow(st, key(3)); err != nil || !was {
		t.Fatalf("Unfollow = %t, %v, want true", was, err)
	}
	if was, err := Unfollow(st, key(3)); err != nil || was {
		t.Fatalf("Unfollow again = %t, %v, want false", was, err)
	}
	expect(Followed{Key: key(1), Name: "alice"}, Followed{Key: key(2), Name: "zoe"})

	own := makeOwn(t, st, nil)
	cores, _ := own.Known()
	for _, c := range cores {
		follow(c.Core.Key(), "me", ErrOwn)
	}
	if err := errors.Join(own.Close(), st.Close()); err != nil {
		t.Fatal(err)
	}
	st = openStore(t, dir, nil)
	expect(Followed{Key: key(1), Name: "alice"}, Followed{Key: key(2), Name: "zoe"})
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "bob", "my.log", "a-b_c", "0", "core", "core-", "core-x", "mainx", "keys", "...", strings.Repeat("a", 64), strings.Repeat("a", 52)} {
		_, isKey := hypercore.ParseKey(name)
		if err := CheckName(name); err != nil && isKey != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	bad := []string{"", "Bob", "a b", "a/b", "é", "a\n", ".", "..", "append", "key", "status.json", "main", "log", "follow", "blocks",
		"core-1", "core-2", "core-1024", "core-007", strings.Repeat("z", 65), key(7).String(), key(7).ZBase32()}
	for _, name := range bad {
		if err := CheckName(name); !errors.Is(err, ErrBadName) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %v on one line", name, err, ErrBadName)
		}
	}
}
