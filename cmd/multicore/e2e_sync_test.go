package main

import (
	"encoding/json"
	"os"
	"testing"

	"multicore/cmd/multicore/control"
)

// TestE2ESyncAlways looks at how much is durable the moment that a write returned.
func TestE2ESyncAlways(t *testing.T) {
	const lines = 40
	l := newLab(t)
	l.mount("always", "a", "--sync", "always", "--dht", "off")
	for i := range lines {
		if err := os.WriteFile(l.path("a", "append"), []byte("a line\n"), 0); err != nil {
			t.Fatal(err)
		}
		if length, durable := l.lengths("a"); length != uint64(i+1) || durable != length {
			t.Fatalf("after write %d: length %d, durable %d", i+1, length, durable)
		}
	}

	// Without it a write is there at once and gets to the disk afterwards, unless fsync
	// is called.
	l.mount("group", "g", "--dht", "off")
	late := 0
	for i := range lines {
		f, err := os.OpenFile(l.path("g", "append"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("a line\n"); err != nil {
			t.Fatal(err)
		}
		length, durable := l.lengths("g")
		if length != uint64(i+1) {
			t.Fatalf("after write %d: length %d", i+1, length)
		}
		if durable < length {
			late++
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if length, durable := l.lengths("g"); durable != length {
			t.Fatalf("after fsync %d: length %d, durable %d", i+1, length, durable)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if late == 0 {
		t.Error("each write was durable at once: nothing was tested")
	}
}

// lengths are those of core-3 in the mount at mnt.
func (l *lab) lengths(mnt string) (length, durable uint64) {
	l.t.Helper()
	b, err := os.ReadFile(l.path(mnt, "core-3", "info.json"))
	if err != nil {
		l.t.Fatal(err)
	}
	var c control.Core
	if err := json.Unmarshal(b, &c); err != nil {
		l.t.Fatal(err)
	}
	return c.Length, c.DurableLength
}
