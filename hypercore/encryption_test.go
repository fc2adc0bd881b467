package hypercore

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"multicore/hypercore/merkle"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncryptionVectors(t *testing.T) {
	var v struct {
		Padding int
		Samples []struct {
			Compat, KeyIsBlockKey                         bool
			EncryptionKey, CoreKey, BlockKey, BlindingKey string
			Index, Fork                                   uint64
			Plaintext, Stored                             string
		}
		Core struct {
			EncryptionKey, Key string
			Blocks             []struct {
				Index      uint64
				Raw, Value string
			}
			Length, ByteLength, TreeByteLength uint64
		}
	}
	b, err := os.ReadFile("testdata/encryption.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if v.Padding != blockPadding || len(v.Samples) != 16 {
		t.Fatalf("padding %d, %d samples", v.Padding, len(v.Samples))
	}
	for i, s := range v.Samples {
		e := Encryption{Key: [32]byte(fromHex(t, s.EncryptionKey)), BlockKey: s.KeyIsBlockKey}
		k := newCipher(e, Key(fromHex(t, s.CoreKey)), s.Compat)
		if hex.EncodeToString(k.block[:]) != s.BlockKey || hex.EncodeToString(k.blinding[:]) != s.BlindingKey {
			t.Fatalf("sample %d: block key %x, blinding key %x", i, k.block, k.blinding)
		}
		stored := k.encrypt(s.Index, s.Fork, fromHex(t, s.Plaintext))
		if got := hex.EncodeToString(stored); got != s.Stored {
			t.Fatalf("sample %d: stored %s, want %s", i, got, s.Stored)
		}
		if plain, err := k.decrypt(s.Index, stored); err != nil || hex.EncodeToString(plain) != s.Plaintext {
			t.Fatalf("sample %d: %x, %v", i, plain, err)
		}
	}
	var plain, raw uint64
	k := newCipher(Encryption{Key: [32]byte(fromHex(t, v.Core.EncryptionKey))}, Key(fromHex(t, v.Core.Key)), false)
	for _, block := range v.Core.Blocks {
		stored := k.encrypt(block.Index, 0, []byte(block.Value))
		if got := hex.EncodeToString(stored); got != block.Raw {
			t.Fatalf("block %d: %s, want %s", block.Index, got, block.Raw)
		}
		plain, raw = plain+uint64(len(block.Value)), raw+uint64(len(stored))
	}
	if plain != v.Core.ByteLength || raw != v.Core.TreeByteLength {
		t.Fatalf("%d bytes, %d stored", plain, raw)
	}
}

var secret = Encryption{Key: [32]byte{42}}

func encrypt(t testing.TB, c *Core) *Core {
	t.Helper()
	if err := c.SetEncryption(secret); err != nil {
		t.Fatal(err)
	}
	return c
}

// Whatever is read of an encrypted core, by its writer, by a reader with few
// blocks or by one with all, is what was appended; without the key it is not.
func TestEncryption(t *testing.T) {
	ctx := context.Background()
	f := newFlusher(t)
	c := encrypt(t, own(t, f, 1))
	var text strings.Builder
	sizes := []int{3, 0, 1, 8, 0, 20, 5, 0, 0, 2, 7}
	for i, size := range sizes {
		block := bytes.Repeat([]byte{'a' + byte(i)}, size)
		text.Write(block)
		if _, err := c.Append(ctx, block); err != nil {
			t.Fatal(err)
		}
		clear(block) // may be reused
	}
	mustFlush(t, c)
	want := text.String()
	checkPlain(t, c, sizes, want)

	for _, held := range [][]uint64{nil, {0}, {5, 9}, {10}} {
		to := encrypt(t, replica(t, newFlusher(t), 1))
		p := &prover{from: c, to: to}
		if err := p.give(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: uint64(len(sizes))}, Manifest: true}); err != nil {
			t.Fatal(err)
		}
		to.SetSource(p)
		for _, i := range held {
			if err := p.FetchBlock(ctx, i); err != nil {
				t.Fatal(err)
			}
		}
		checkPlain(t, to, sizes, want)
	}

	blind := replica(t, newFlusher(t), 1)
	p := &prover{from: c, to: blind}
	if err := p.give(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: uint64(len(sizes))}, Manifest: true}); err != nil {
		t.Fatal(err)
	}
	blind.SetSource(p)
	if b, err := blind.Get(ctx, 5); err != nil || len(b) != sizes[5]+blockPadding || bytes.Contains(b, []byte("ff")) {
		t.Fatalf("without the key: %q, %v", b, err)
	}

	if err := c.SetEncryption(Encryption{Key: [32]byte{1}}); err == nil {
		t.Fatal("another key was taken")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = own(t, f, 1)
	if _, err := c.Append(ctx, []byte("plain")); !errors.Is(err, ErrEncrypted) {
		t.Fatalf("append without the key: %v", err)
	}
	encrypt(t, c)
	if _, err := c.Append(ctx, make([]byte, MaxBlock-7)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("append of a block that is too large once encrypted: %v", err)
	}
	if _, err := c.Append(ctx, []byte("more")); err != nil {
		t.Fatal(err)
	}
	checkPlain(t, c, append(sizes, 4), want+"more")
}

// checkPlain reads all in every way.
func checkPlain(t testing.TB, c *Core, sizes []int, want string) {
	t.Helper()
	ctx := context.Background()
	if n := c.Info().ByteLength; n != uint64(len(want)) {
		t.Fatalf("byte length %d, want %d", n, len(want))
	}
	for off := range len(want) + 1 {
		block, within := 0, off
		for block < len(sizes) && within >= sizes[block] {
			within -= sizes[block]
			block++
		}
		i, in, err := c.Seek(ctx, uint64(off))
		if err != nil || i != uint64(block) || in != uint64(within) {
			t.Fatalf("seek %d: block %d at %d, %v; want block %d at %d", off, i, in, err, block, within)
		}
		for _, n := range []int{1, 4, 100} {
			p := make([]byte, n)
			end := min(off+n, len(want))
			got, err := c.ReadAt(ctx, p, uint64(off))
			if err != nil && err != io.EOF || string(p[:got]) != want[off:end] {
				t.Fatalf("read %d at %d: %q, %v, want %q", n, off, p[:got], err, want[off:end])
			}
		}
	}
	at := 0
	for i, size := range sizes {
		off, n, err := c.Extent(ctx, uint64(i))
		if err != nil || off != uint64(at) || n != uint64(size) {
			t.Fatalf("extent of block %d: %d, %d, %v; want %d, %d", i, off, n, err, at, size)
		}
		block, err := c.Get(ctx, uint64(i))
		if err != nil || string(block) != want[at:at+size] {
			t.Fatalf("block %d: %q, %v, want %q", i, block, err, want[at:at+size])
		}
		at += size
	}
	if _, _, err := c.Seek(ctx, uint64(len(want))+1); !errors.Is(err, ErrPastEnd) {
		t.Fatalf("seek beyond the end: %v", err)
	}
}

// A reader with a key of a core that is not encrypted gets an error, not a wait.
func TestNotEncrypted(t *testing.T) {
	ctx := context.Background()
	c := own(t, newFlusher(t), 1)
	for i := range 5 {
		if _, err := c.Append(ctx, fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	mustFlush(t, c)
	to := encrypt(t, replica(t, newFlusher(t), 1))
	p := &prover{from: c, to: to}
	if err := p.give(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: 5}, Manifest: true}); err != nil {
		t.Fatal(err)
	}
	to.SetSource(p)
	if b, err := to.Get(ctx, 2); !errors.Is(err, ErrNotEncrypted) {
		t.Fatalf("get: %q, %v", b, err)
	}
	if n, err := to.ReadAt(ctx, make([]byte, 3), 0); n != 0 || err == nil {
		t.Fatalf("read: %d, %v", n, err)
	}
}

// What an old copy of an encrypted core appended is encrypted anew where it
// moves behind the head of the other copy.
func TestAdoptEncrypted(t *testing.T) {
	ctx := context.Background()
	source := encrypt(t, own(t, newFlusher(t), 1))
	for i := range 6 {
		if _, err := source.Append(ctx, fmt.Appendf(nil, "old %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	mustFlush(t, source)
	c := encrypt(t, own(t, newFlusher(t), 1, func(o *Options) { o.Hold = true }))
	if _, err := c.Append(ctx, []byte("late 0"), []byte("late 1"), nil); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, c)
	if err := upgrade(source, c); err != nil {
		t.Fatal(err)
	}
	c.SetSource(&prover{from: source, to: c})
	for i, want := range []string{"old 0", "old 1", "old 2", "old 3", "old 4", "old 5", "late 0", "late 1", ""} {
		if got, err := c.Get(ctx, uint64(i)); err != nil || string(got) != want {
			t.Fatalf("block %d: %q, %v, want %q", i, got, err, want)
		}
	}
}
