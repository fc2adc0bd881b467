package multicore

import (
	"errors"
	"testing"

	"multicore/corestore"
)

// A multicore is removed while a peer is being served with it, and followed again.
func TestPurge(t *testing.T) {
	dir := t.TempDir()
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, dir, nil)
	wsw, rsw := newSwarm(t, wst), newSwarm(t, rst)
	own := large(t, wst, wsw, 20)
	connect(t, wsw, rsw)
	if Known(rst, own.Key()) {
		t.Fatal("known before it was seen")
	}
	for range 2 {
		if err := Follow(rst, Followed{Key: own.Key(), Name: "friend"}); err != nil {
			t.Fatal(err)
		}
		r, err := OpenRemote(rst, rsw, own.Key())
		if err != nil {
			t.Fatal(err)
		}
		r.SetDownload(true)
		cores, err := r.Cores(within(t))
		if err != nil {
			t.Fatal(err)
		}
		awaitHeld(t, cores[2].Core, 20)
		if _, err := r.Clear(t.Context(), 2, 3, 5); err != nil {
			t.Fatal(err)
		}
		if _, err := Purge(rst, rsw, own.Key()); !errors.Is(err, corestore.ErrCoreInUse) {
			t.Fatalf("purge of what is open: %v", err)
		}
		if list, err := List(rst); err != nil || len(list) != 1 || !cores[2].Core.Has(0) {
			t.Fatalf("a purge that was refused took something: %v, %v", list, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := Purge(rst, rsw, own.Key())
		if err != nil || got.Cores != 3 || got.Blocks != 19 {
			t.Fatalf("%+v, %v", got, err)
		}
		if n := room(t, rst); n != 0 || Known(rst, own.Key()) {
			t.Fatalf("%d bytes are left", n)
		}
		if list, err := List(rst); err != nil || len(list) != 0 {
			t.Fatalf("followed: %v, %v", list, err)
		}
		if cores, err := rst.List(); err != nil || len(cores) != 0 {
			t.Fatalf("cores: %v, %v", cores, err)
		}
	}
	if _, err := Purge(wst, nil, own.Key()); !errors.Is(err, ErrOwn) {
		t.Fatalf("purge of the own one: %v", err)
	}
}

// Cores that two multicores name stay with the other one, and own ones with us.
func TestPurgeLeavesOthers(t *testing.T) {
	st := openStore(t, t.TempDir(), nil)
	own := makeOwn(t, st, nil)
	learn := func(main byte, others ...byte) {
		r := openRemote(t, st, nil, key(main))
		var list = r.parse(nil)
		for _, o := range others {
			list = append(list, key(o))
		}
		list = append(list, own.cores[1].Key())
		if err := r.learn(list, true); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	learn(1, 11, 12)
	learn(2, 12, 13)
	got, err := Purge(st, nil, key(1))
	if err != nil || got.Cores != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for k, want := range map[byte]bool{1: false, 11: false, 2: true, 12: true, 13: true} {
		if _, held := st.Key(key(k).Discovery()); held != want {
			t.Errorf("core %d is held: %t", k, held)
		}
	}
	if !own.cores[1].Writable() || own.Append(t.Context(), "", [][]byte{[]byte("a\n")}) != nil {
		t.Error("an own core was removed")
	}
}
