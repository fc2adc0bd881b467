package hypercore

import (
	"fmt"
	"slices"

	"multicore/hypercore/storage"
)

// userBucket holds what users keep with a core: discovery key and name, to value.
const userBucket = "user"

// Limits of user data.
const (
	maxUserName  = 255
	maxUserValue = 64 << 10
)

// SetUserData keeps a small value with the core on this machine, under a name of
// 1 to 255 bytes; nil removes it. It is on the disk on return. Peers never see
// it. At most 64 KiB: ErrTooLarge.
func (c *Core) SetUserData(name string, value []byte) error {
	key, err := c.userKey(name)
	if err != nil {
		return err
	}
	if len(value) > maxUserValue {
		return fmt.Errorf("user data %q: %w: %d bytes, at most %d", name, ErrTooLarge, len(value), maxUserValue)
	}
	err = c.flusher.store.Update(func(tx storage.Tx) error {
		if value == nil {
			return tx.Bucket(userBucket).Delete(key)
		}
		return tx.Bucket(userBucket).Put(key, value)
	})
	if err != nil {
		return fmt.Errorf("user data %q: %w", name, err)
	}
	return nil
}

// UserData gives what SetUserData kept; nil where there is nothing.
func (c *Core) UserData(name string) (value []byte, err error) {
	key, err := c.userKey(name)
	if err != nil {
		return nil, err
	}
	err = c.flusher.store.View(func(tx storage.Tx) error {
		value = slices.Clone(tx.Bucket(userBucket).Get(key))
		return nil
	})
	return value, err
}

func (c *Core) userKey(name string) ([]byte, error) {
	if len(name) < 1 || len(name) > maxUserName {
		return nil, fmt.Errorf("name of user data has %d bytes, want 1 to %d", len(name), maxUserName)
	}
	if err := c.usable(); err != nil {
		return nil, err
	}
	return append(slices.Clone(c.id[:]), name...), nil
}
