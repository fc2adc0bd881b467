package p2p

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// The identity file is the Ed25519 seed as 64 lower-case hex digits and a
// newline, the form of a store's primary key.
const identitySize = 2*ed25519.SeedSize + 1

// loadIdentity reads the private key of the node, or makes it durably where
// there is no file yet. A file that it cannot make sense of is an error: a new
// identity in its place would be another peer. Without a path it is one for the
// moment.
func loadIdentity(path string) (crypto.PrivKey, error) {
	if path == "" {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		return key, err
	}
	seed, err := readSeed(path)
	if errors.Is(err, fs.ErrNotExist) {
		seed = make([]byte, ed25519.SeedSize)
		if _, err := rand.Read(seed); err != nil {
			return nil, err
		}
		err = writeSeed(path, seed)
	}
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	// libp2p's raw private key is the seed followed by the public key.
	return crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
}

func readSeed(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: mode %04o lets others read the private key; chmod 600 it", path, fi.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, identitySize+1))
	if err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(b, []byte("\n"))
	seed := make([]byte, ed25519.SeedSize)
	if len(text) != 2*ed25519.SeedSize {
		return nil, fmt.Errorf("%s is damaged: %d characters, want %d hex digits; restore it, or remove it to become a new peer", path, len(text), 2*ed25519.SeedSize)
	}
	if _, err := hex.Decode(seed, text); err != nil {
		return nil, fmt.Errorf("%s is damaged: not hex; restore it, or remove it to become a new peer", path)
	}
	return seed, nil
}

// writeSeed makes the file whole or not at all, and durable.
func writeSeed(path string, seed []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".identity-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString(hex.EncodeToString(seed) + "\n"); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
