package multicore

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"multicore/corestore"
	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// followedBucket maps main keys to a followedRecord as JSON.
const followedBucket = "multicore.followed"

// maxName bounds a name in bytes.
const maxName = 64

// reserved are the names of files and directories of a mount, wherever in it they
// are: a name that means one thing in one place and another elsewhere confuses.
var reserved = []string{".", "..", "append", "key", "status.json",
	"log", "follow", "blocks", "last", "discovery-key", "length", "byte-length", "info.json"}

// Followed is a multicore of which a store keeps a copy.
type Followed struct {
	Key  hypercore.Key
	Name string // "" or a name (see CheckName)
	Keep Keep
}

type followedRecord struct {
	Name       string `json:"name,omitempty"`
	KeepLast   uint64 `json:"keep_last,omitempty"`
	MaxStorage uint64 `json:"max_storage,omitempty"`
}

// CheckName says why a followed multicore cannot be called that: a name has 1
// to 64 characters of a-z, 0-9, ".", "_" and "-", is no key, and is not what a
// mount calls its own files. The error is ErrBadName.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%w: %d characters, want 1 to %d", ErrBadName, len(name), maxName)
	}
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789._-"
	if bad := strings.Trim(name, allowed); bad != "" {
		return fmt.Errorf("%w: %q, want only a-z, 0-9, \".\", \"_\" and \"-\"", ErrBadName, name)
	}
	if slices.Contains(reserved, name) || IsCoreName(name) {
		return fmt.Errorf("%w: %q is reserved", ErrBadName, name)
	}
	if _, err := hypercore.ParseKey(name); err == nil {
		return fmt.Errorf("%w: %q is a key", ErrBadName, name)
	}
	return nil
}

// List gives what st follows, ordered by name and then by key.
func List(st *corestore.Store) ([]Followed, error) {
	var list []Followed
	err := st.View(func(tx storage.Tx) error {
		list = nil
		return scanFollowed(tx, func(f Followed) error {
			list = append(list, f)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list followed: %w", err)
	}
	slices.SortFunc(list, func(a, b Followed) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.Key[:], b.Key[:]))
	})
	return list, nil
}

// Follow records f durably. A key that is followed already takes the new name;
// without one it keeps its own. ErrBadName, ErrNameTaken, or ErrOwn where this
// store writes the core.
func Follow(st *corestore.Store, f Followed) error {
	if f.Name != "" {
		if err := CheckName(f.Name); err != nil {
			return err
		}
	}
	if own, err := writes(st, f.Key); err != nil || own {
		return cmp.Or(err, fmt.Errorf("%w: %s", ErrOwn, f.Key))
	}
	return st.Update(func(tx storage.Tx) error {
		name := f.Name
		err := scanFollowed(tx, func(other Followed) error {
			switch {
			case other.Key == f.Key && name == "":
				name = other.Name
			case other.Key != f.Key && other.Name != "" && other.Name == f.Name:
				return fmt.Errorf("%w: %s is %s", ErrNameTaken, f.Name, other.Key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		value, err := json.Marshal(followedRecord{Name: name, KeepLast: f.Keep.Last, MaxStorage: f.Keep.Bytes})
		if err != nil {
			return err
		}
		if f.Keep.All() {
			if err := forgetFloors(tx, f.Key); err != nil {
				return err
			}
		}
		return tx.Bucket(followedBucket).Put(f.Key[:], value)
	})
}

// Unfollow takes key off the list durably and says whether it was on it. What
// is held of it stays; that parts of it were cleared is forgotten.
func Unfollow(st *corestore.Store, key hypercore.Key) (bool, error) {
	var was bool
	err := st.Update(func(tx storage.Tx) error {
		b := tx.Bucket(followedBucket)
		was = b.Get(key[:]) != nil
		return errors.Join(b.Delete(key[:]), forgetPresence(tx, key))
	})
	return was && err == nil, err
}

func scanFollowed(tx storage.Tx, fn func(Followed) error) error {
	return tx.Bucket(followedBucket).Scan(nil, func(k, v []byte) error {
		f, err := parseFollowed(k, v)
		if err != nil {
			return err
		}
		return fn(f)
	})
}

func parseFollowed(key, value []byte) (f Followed, err error) {
	var r followedRecord
	if len(key) != len(f.Key) {
		return f, fmt.Errorf("followed key of %d bytes, want %d", len(key), len(f.Key))
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return f, fmt.Errorf("record of followed core %s: %w", hypercore.Key(key).Discovery(), err)
	}
	return Followed{Key: hypercore.Key(key), Name: r.Name, Keep: Keep{Last: r.KeepLast, Bytes: r.MaxStorage}}, nil
}

// writes says whether st is the writer of a core. It makes nothing.
func writes(st *corestore.Store, key hypercore.Key) (bool, error) {
	if _, held := st.Key(key.Discovery()); !held {
		return false, nil
	}
	c, err := st.OpenKey(key)
	if err != nil {
		return false, err
	}
	own := c.Writable()
	return own, c.Close()
}
