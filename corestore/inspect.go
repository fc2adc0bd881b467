package corestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// Inspection is what a store shows from outside.
type Inspection struct {
	hypercore.Records
	Held     bool // new cores of our own are held
	settings map[string][]byte
}

// Setting is as Store.Setting.
func (i *Inspection) Setting(name string) ([]byte, error) { return i.settings[name], nil }

// Inspect looks at the records of a store that no process has open, and changes
// nothing, not even its lock. Errors are those of Open; ctx bounds how many
// records are read (Records.Whole). A process that opens the store meanwhile
// waits.
func Inspect(ctx context.Context, dir string) (*Inspection, error) {
	if !Exists(dir) {
		return nil, fmt.Errorf("%w in %s", ErrNoStore, dir)
	}
	i := &Inspection{settings: make(map[string][]byte)}
	var print []byte
	err := storage.Inspect(dir, func(tx storage.Tx) (err error) {
		print = bytes.Clone(tx.Bucket(bucketStore).Get([]byte(recordPrint)))
		i.Held = tx.Bucket(bucketStore).Get([]byte(recordHeld)) != nil
		err = tx.Bucket(bucketSettings).Scan(nil, func(key, value []byte) error {
			i.settings[string(key)] = bytes.Clone(value)
			return nil
		})
		if err == nil {
			i.Records, err = hypercore.Inspect(ctx, tx)
		}
		return err
	})
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w in %s: %s is missing", ErrNoStore, dir, storage.DatabaseName)
	case err != nil:
		return nil, err
	}
	return i, checkPrimaryKey(dir, print)
}

// checkPrimaryKey says whether the key with that fingerprint is there, in place
// or about to be.
func checkPrimaryKey(dir string, print []byte) error {
	var first error
	for _, name := range []string{primaryKeyFile, newPrimaryKey} {
		key, err := readPrimaryKey(filepath.Join(dir, name))
		if err == nil {
			if found := fingerprint(key); bytes.Equal(found[:], print) || len(print) == 0 {
				return nil
			}
			err = fmt.Errorf("%w: %s is not the one that this store was made with; put the right one back", ErrPrimaryKey, filepath.Join(dir, name))
		}
		if first == nil {
			first = err
		}
	}
	if errors.Is(first, os.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing; put a copy of it back", ErrPrimaryKey, filepath.Join(dir, primaryKeyFile))
	}
	return first
}

// Holder is the process that has the store in dir open, 0 where none has. It
// takes no lock, which could get into the way of a process that starts.
func Holder(dir string) (pid int, err error) {
	var st unix.Stat_t
	name := filepath.Join(dir, lockFile)
	if err := unix.Stat(name, &st); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return 0, nil
		}
		return 0, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	table, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0, err
	}
	inode := strconv.FormatUint(st.Ino, 10)
	device := fmt.Sprintf("%02x:%02x", unix.Major(st.Dev), unix.Minor(st.Dev))
	text, _ := os.ReadFile(name)
	says := strings.TrimSpace(string(text)) // where stat and the kernel name the device differently
	for line := range strings.Lines(string(table)) {
		// 1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF; "->" before FLOCK waits
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" {
			continue
		}
		if at, ok := strings.CutSuffix(f[5], ":"+inode); ok && (at == device || f[4] == says) {
			return strconv.Atoi(f[4])
		}
	}
	return 0, nil
}
