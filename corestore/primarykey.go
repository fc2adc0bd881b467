package corestore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"multicore/hypercore/storage"
)

const (
	primaryKeyFile = "primary-key"
	newPrimaryKey  = "primary-key.new" // until the database knows it
)

// ParsePrimaryKey reads the content of a primary-key file: 64 hex digits, and a
// newline that may be missing. Its errors do not show any of it.
func ParsePrimaryKey(text []byte) (key [32]byte, err error) {
	digits := strings.TrimSuffix(string(text), "\n")
	if len(digits) != 64 {
		return key, fmt.Errorf("%d characters, want 64 hex digits and a newline", len(digits))
	}
	if _, err := hex.Decode(key[:], []byte(digits)); err != nil {
		return [32]byte{}, errors.New("not hex, want 64 hex digits and a newline")
	}
	return key, nil
}

// readPrimaryKey gives fs.ErrNotExist where there is no file.
func readPrimaryKey(name string) (key [32]byte, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return key, err
	}
	if key, err = ParsePrimaryKey(text); err != nil {
		return key, fmt.Errorf("%w: %s: %w", ErrPrimaryKey, name, err)
	}
	return key, nil
}

// writePrimaryKey puts a key on the disk, over whatever has the name.
func writePrimaryKey(name string, key [32]byte) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(hex.EncodeToString(key[:]) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(dir string) error { return storage.DirFS(dir).SyncDir(".") }

// loadPrimaryKey gives the primary key of the store, making or completing it.
func (s *Store) loadPrimaryKey(o Options) error {
	print, err := s.storeValue(recordPrint)
	if err != nil {
		return err
	}
	switch len(print) {
	case 0:
		err = s.makePrimaryKey(o)
	case 32:
		err = s.findPrimaryKey([32]byte(print))
	default:
		err = fmt.Errorf("%w: fingerprint of %d bytes", storage.ErrDamaged, len(print))
	}
	if err != nil {
		return err
	}
	if o.PrimaryKey != nil && *o.PrimaryKey != s.primary {
		return fmt.Errorf("%w: %s was made with another one", ErrPrimaryKey, s.dir)
	}
	return nil
}

// makePrimaryKey chooses the key of a store whose database knows of none.
func (s *Store) makePrimaryKey(o Options) error {
	name, half := filepath.Join(s.dir, primaryKeyFile), filepath.Join(s.dir, newPrimaryKey)
	found, err := readPrimaryKey(name)
	held := true // a key that is not made here may have been used elsewhere
	switch {
	case err == nil:
		if o.PrimaryKey != nil && *o.PrimaryKey != found {
			return fmt.Errorf("%w: %s is another one", ErrPrimaryKey, name)
		}
		s.log.Warn("store has a primary key and no database: what its cores signed before is not known here", "store", s.dir)
		s.primary = found
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case o.PrimaryKey != nil:
		s.primary = *o.PrimaryKey
	default:
		held = false
		rand.Read(s.primary[:])
	}
	if err := writePrimaryKey(half, s.primary); err != nil {
		return err
	}
	print := fingerprint(s.primary)
	err = s.st.Update(func(tx storage.Tx) error {
		b := tx.Bucket(bucketStore)
		if held {
			if err := b.Put([]byte(recordHeld), []byte{1}); err != nil {
				return err
			}
		}
		return b.Put([]byte(recordPrint), print[:])
	})
	if err != nil {
		return err
	}
	return s.placePrimaryKey()
}

// findPrimaryKey reads the key that the database knows, in place or about to be.
func (s *Store) findPrimaryKey(print [32]byte) error {
	name, half := filepath.Join(s.dir, primaryKeyFile), filepath.Join(s.dir, newPrimaryKey)
	key, err := readPrimaryKey(name)
	if err == nil && fingerprint(key) == print {
		s.primary = key
		return nil
	}
	if unplaced, halfErr := readPrimaryKey(half); halfErr == nil && fingerprint(unplaced) == print {
		s.primary = unplaced
		return s.placePrimaryKey()
	}
	switch {
	case err == nil:
		return fmt.Errorf("%w: %s is not the one that this store was made with; put the right one back", ErrPrimaryKey, name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is missing; put a copy of it back", ErrPrimaryKey, name)
	default:
		return err
	}
}

func (s *Store) placePrimaryKey() error {
	if err := os.Rename(filepath.Join(s.dir, newPrimaryKey), filepath.Join(s.dir, primaryKeyFile)); err != nil {
		return err
	}
	return syncDir(s.dir)
}
