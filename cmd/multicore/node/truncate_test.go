package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"multicore/cmd/multicore/control"
	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/merkle"
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

// TestConflictOfOurOwn: a core whose key has signed another log elsewhere is shown
// as that, can be read, and takes nothing more: exit code 5.
func TestConflictOfOurOwn(t *testing.T) {
	n := start(t, false)
	if _, _, err := n.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	appended := func(text string) error {
		_, err := n.Append(t.Context(), control.AppendRequest{}, strings.NewReader(text))
		return err
	}
	if err := appended("block 0\n"); err != nil {
		t.Fatal(err)
	}
	cores, _ := n.current().Known()
	core := cores[2].Core
	key, err := os.ReadFile(filepath.Join(n.opts.Dir, "primary-key"))
	if err != nil {
		t.Fatal(err)
	}
	var primary [32]byte
	if _, err := hex.Decode(primary[:], bytes.TrimSpace(key)); err != nil {
		t.Fatal(err)
	}
	st, err := corestore.Open(filepath.Join(t.TempDir(), "copy"), corestore.Options{Create: true, PrimaryKey: &primary})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	twin, err := st.OpenName(corestore.Namespace{}, "core-3", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Close()
	if _, err := twin.Append(t.Context(), []byte("another")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(twin.Release(), twin.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	proof, err := twin.Prove(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := core.CheckConflict(proof); !errors.Is(err, hypercore.ErrConflict) {
		t.Fatal(err)
	}

	if err := appended("a message\n"); control.CodeOf(err) != control.Verify {
		t.Errorf("append: %v, exit code %d", err, control.CodeOf(err))
	}
	if err := appended("hi\n"); err != nil { // core-2 is another core
		t.Error(err)
	}
	status, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range status.Cores {
		if want := c.Path == "core-3"; c.Conflict != want {
			t.Errorf("%s: conflict %v", c.Path, c.Conflict)
		}
	}
	var read string
	err = n.Read(t.Context(), control.ReadRequest{Path: "core-3"}, func(it control.Item) error {
		read += string(it.Block)
		return nil
	})
	if err != nil || read != "block 0\n" {
		t.Errorf("read %q, %v", read, err)
	}
}

// TestConflictCodes: what a conflict or a truncation ends is exit code 5.
func TestConflictCodes(t *testing.T) {
	for _, err := range []error{hypercore.ErrConflict, errors.Join(hypercore.ErrNotHeld, hypercore.ErrConflict, hypercore.ErrNoPeers),
		errors.Join(hypercore.ErrTruncated, hypercore.ErrPastEnd)} {
		if code := control.CodeOf(coded(err)); code != control.Verify {
			t.Errorf("%v: exit code %d", err, code)
		}
	}
}
