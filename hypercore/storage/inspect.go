package storage

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
)

// Inspect runs fn on the records of the store in dir as they are, without
// opening the store: nothing is made and nothing changes. Errors are those of
// Open, or of fn. It fails where a process has the store open; one that opens it
// meanwhile waits for fn, so fn must be quick.
func Inspect(dir string, fn func(Tx) error) (err error) {
	name := filepath.Join(dir, DatabaseName)
	if !exists(name) {
		return &os.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	// Of a damaged file bbolt may follow a page number to anywhere.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s: %v", ErrDamaged, name, r)
		}
	}()
	db, err := openBoltFile(name, &bbolt.Options{ReadOnly: true, Timeout: 100 * time.Millisecond, NoStatistics: true})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := checkFormat(db); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return db.View(func(tx *bbolt.Tx) error { return fn(boltTx{tx}) })
}
