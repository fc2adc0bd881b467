package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Open opens or makes (Create) the store in dir, which exists. It does not keep
// other processes away for long: that lock is the caller's. ErrNewer for a
// format of a later version, ErrDamaged for a database that is not ours,
// fs.ErrNotExist where there is none and Create is not set.
func Open(dir string, o Options) (Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	fsys := o.FS
	if fsys == nil {
		fsys = DirFS(dir)
	}
	db, err := openBolt(filepath.Join(dir, DatabaseName), o.Create)
	if err != nil {
		return nil, err
	}
	if err := prepare(fsys); err != nil {
		db.close()
		return nil, err
	}
	volume, err := openVolume(fsys)
	if err != nil {
		db.close()
		return nil, err
	}
	return &store{database: db, coreFiles: newCoreFiles(fsys, volume, newNodeCache(cacheSlots, cacheAncestors), o.MaxFiles)}, nil
}

// prepare makes cores/ and puts its entries on the disk: an earlier process may
// have been killed between making a directory and syncing it.
func prepare(fsys FS) error {
	switch err := fsys.Mkdir(coresDir); {
	case err == nil:
		if err := fsys.SyncDir("."); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	return fsys.SyncDir(coresDir)
}

// syncDir puts the entries of a directory of the operating system on the disk.
func syncDir(dir string) error { return dirFS(dir).SyncDir(".") }

// exists reports whether there is a file; errors other than its absence count
// as existing, so that nothing is made over what cannot be seen.
func exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
