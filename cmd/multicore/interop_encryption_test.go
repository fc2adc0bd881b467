package main

import (
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// TestInteropEncryption: Node reads an encrypted core of ours, and we one of
// Node's, each with the encryption key; without it both are what is stored.
func TestInteropEncryption(t *testing.T) {
	for name, blockKey := range map[string]bool{"key": false, "block key": true} {
		t.Run(name, func(t *testing.T) { interopEncryption(t, blockKey) })
	}
}

func interopEncryption(t *testing.T, blockKey bool) {
	l := newInterop(t)
	if blockKey {
		l.env = append(l.env, "BLOCK_KEY=1")
	}
	quiet := slog.New(slog.DiscardHandler)
	st, err := corestore.Open(l.path("G"), corestore.Options{Create: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	swarm := replicate.New(replicate.Options{Log: quiet})
	defer swarm.Close()
	addr := listenFor(t, swarm)
	secret := hypercore.Encryption{Key: [32]byte{1, 2, 31: 3}, BlockKey: blockKey}
	own, err := st.OpenName(corestore.Namespace{}, "own", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := own.SetEncryption(secret); err != nil {
		t.Fatal(err)
	}
	if _, err := own.Append(t.Context(), []byte("a"), []byte("bcdef"), nil); err != nil {
		t.Fatal(err)
	}
	if err := own.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	swarm.Attach(own.Core, replicate.AttachOptions{})
	js := l.javascript("encrypted.js", "js", hex.EncodeToString(secret.Key[:]), own.Key().String(), "connect", addr)
	for _, line := range []string{"block 0: a.", "block 1: bcdef.", "block 2: .", "3 blocks, 6 bytes, byte 5 is in 1,4"} {
		js.expect(line)
	}

	key, err := hypercore.ParseKey(strings.TrimPrefix(js.expect("core key: "), "core key: "))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := st.OpenKey(key)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	swarm.Attach(theirs.Core, replicate.AttachOptions{})
	stored, err := theirs.Get(t.Context(), 0)
	if err != nil || len(stored) != len("one")+8 || strings.Contains(string(stored), "one") {
		t.Errorf("without the key: %q, %v", stored, err)
	}
	if err := theirs.SetEncryption(secret); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"one", "two, longer", ""} {
		if b, err := theirs.Get(t.Context(), uint64(i)); err != nil || string(b) != want {
			t.Errorf("block %d: %q, %v, want %q", i, b, err, want)
		}
	}
	if i, within, err := theirs.Seek(t.Context(), 5); err != nil || i != 1 || within != 2 || theirs.Info().ByteLength != 14 {
		t.Errorf("seek: %d, %d, %v of %d bytes", i, within, err, theirs.Info().ByteLength)
	}
	_, err = theirs.Append(t.Context(), []byte("mine"))
	if !errors.Is(err, hypercore.ErrReadOnly) {
		t.Error(err)
	}
	if said := js.errs.String(); said != "" {
		t.Errorf("node said %s", said)
	}
}
