package corestore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// recordPlace is where the store was when it was last opened: twice,
// for its directory and its database, device, inode and birth time in nanoseconds
// (8 bytes each), then the machine id.
const recordPlace = "place"

// machineIDs are the files that tell machines apart.
var machineIDs = []string{"/etc/machine-id", "/var/lib/dbus/machine-id"}

// checkPlace compares where the store is with where it was. In another place it
// may be a copy, and an old one: then everything of our own in it is held, as in
// a store that is made from a primary key. Birth times tell a copy from what it
// replaced where the file system gives it the same inode.
func (s *Store) checkPlace() error {
	now, err := s.place()
	if err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	was, err := s.storeValue(recordPlace)
	if err != nil || bytes.Equal(was, now) {
		return err
	}
	err = s.st.Update(func(tx storage.Tx) error {
		b := tx.Bucket(bucketStore)
		if err := b.Put([]byte(recordPlace), now); err != nil || was == nil {
			return err
		}
		if err := b.Put([]byte(recordHeld), []byte{1}); err != nil {
			return err
		}
		return hypercore.HoldOwn(tx)
	})
	if err != nil {
		return fmt.Errorf("hold what may be a copy: %w", err)
	}
	if was != nil {
		s.log.Warn("store was copied, restored or moved: its cores sign nothing new until a peer has said how long they are",
			"store", s.dir)
	}
	return nil
}

func (s *Store) place() ([]byte, error) {
	var place []byte
	for _, name := range []string{s.dir, filepath.Join(s.dir, storage.DatabaseName)} {
		var st unix.Statx_t
		const want = unix.STATX_INO | unix.STATX_BTIME
		if err := unix.Statx(unix.AT_FDCWD, name, 0, want, &st); err != nil {
			return nil, &os.PathError{Op: "statx", Path: name, Err: err}
		}
		place = binary.BigEndian.AppendUint64(place, unix.Mkdev(st.Dev_major, st.Dev_minor))
		place = binary.BigEndian.AppendUint64(place, st.Ino)
		var birth uint64 // 0 where the file system knows none
		if st.Mask&unix.STATX_BTIME != 0 {
			birth = uint64(st.Btime.Sec)*1e9 + uint64(st.Btime.Nsec)
		}
		place = binary.BigEndian.AppendUint64(place, birth)
	}
	for _, name := range machineIDs {
		if id, err := os.ReadFile(name); err == nil && len(id) > 0 {
			return append(place, bytes.TrimSpace(id)...), nil
		}
	}
	return place, nil
}
