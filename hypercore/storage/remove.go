package storage

import (
	"errors"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"
)

// remover is an FS that can take entries away; of one that cannot the files are
// left empty.
type remover interface {
	// Remove takes a file or an empty directory away.
	Remove(name string) error
}

func (s *coreFiles) Remove(id ID) error {
	c := s.Files(id).(*core)
	if err := c.Cut(0, 0); err != nil { // frees the room, also where they are still open somewhere
		return err
	}
	c.syncMu.Lock()
	defer c.syncMu.Unlock()
	r, ok := s.fs.(remover)
	if !ok {
		return c.sync()
	}
	for _, d := range []*descriptor{&c.blocks, &c.tree} {
		d.forget()
		if err := absent(r.Remove(path.Join(c.dir, d.name))); err != nil {
			return err
		}
	}
	if err := absent(r.Remove(c.dir)); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return err // what somebody else put there stays
	}
	c.inherit()
	c.made.Store(0)
	c.failed.Store(nil)
	return s.fs.SyncDir(coresDir)
}

// absent takes it that what is to be removed may be gone.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
