package node

import (
	"context"
	"errors"
	"strings"
	"testing"

	"multicore/cmd/multicore/control"
	"multicore/hypercore"
)

// TestTailAcrossTruncation: who follows a core that its writer truncates is told
// so in one line, and then gets what comes.
func TestTailAcrossTruncation(t *testing.T) {
	n := start(t, false)
	if _, _, err := n.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	own := n.current()
	cores, _ := own.Known()
	core := cores[2].Core
	add := func(blocks ...string) {
		t.Helper()
		for _, b := range blocks {
			if _, err := core.Append(t.Context(), []byte(b)); err != nil {
				t.Fatal(err)
			}
		}
	}
	add("a", "b", "c", "d")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	items := make(chan control.Item, 100)
	ended := make(chan error, 1)
	last := uint64(2)
	go func() {
		ended <- n.Read(ctx, control.ReadRequest{Path: "core-3", Follow: true, Last: &last}, func(it control.Item) error {
			if it.Block != nil || it.Note != "" {
				items <- control.Item{Index: it.Index, Block: append([]byte{}, it.Block...), Note: it.Note}
			}
			return nil
		})
	}()
	block := func(want string) {
		t.Helper()
		if it := <-items; string(it.Block) != want {
			t.Fatalf("got %q (%s), want %q", it.Block, it.Note, want)
		}
	}
	note := func(want string) {
		t.Helper()
		if it := <-items; !strings.Contains(it.Note, "truncated") || !strings.Contains(it.Note, want) {
			t.Fatalf("got %q %q, want a note", it.Block, it.Note)
		}
	}
	block("c")
	block("d")
	if err := core.Truncate(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	note("block 3")
	add("D", "E")
	block("D")
	block("E")
	// Before the first block that was shown: what was not shown stays that way.
	if err := core.Truncate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	note("block 1")
	add("B")
	block("B")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestConflictCodes: a frozen core is exit code 5, and says so in the status.
func TestConflictCodes(t *testing.T) {
	for _, err := range []error{hypercore.ErrConflict, errors.Join(hypercore.ErrNotHeld, hypercore.ErrConflict, hypercore.ErrNoPeers),
		errors.Join(hypercore.ErrTruncated, hypercore.ErrPastEnd)} {
		if code := control.CodeOf(coded(err)); code != control.Verify {
			t.Errorf("%v: exit code %d", err, code)
		}
	}
}
