package storage

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Volume is the file system that holds a store.
type Volume interface {
	// Sync puts all that was written to it on the disk, whoever wrote it, the
	// entries of directories included. An error of any write since the last
	// call is given, also of one to a file that was closed meanwhile.
	Sync() error
	Close() error
}

const (
	massSync = 64 // from so many cores on the whole volume is synced instead
	syncs    = 16 // fewer are synced so many at a time: the disk joins what comes together
)

// openVolume opens the volume of a store, nil where it cannot be relied on.
func openVolume(fsys FS) (Volume, error) {
	v, err := fsys.Volume()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	return v, err
}

func (s *coreFiles) SyncAll(list []Files) []error {
	errs := make([]error, len(list))
	if len(list) == 1 { // most often, and somebody may wait for it
		errs[0] = list[0].Sync()
		return errs
	}
	if s.volume == nil || len(list) < massSync {
		var group sync.WaitGroup
		slots := make(chan struct{}, syncs)
		for i, f := range list {
			slots <- struct{}{}
			group.Go(func() {
				errs[i] = f.Sync()
				<-slots
			})
		}
		group.Wait()
		return errs
	}
	s.mass.Lock() // or two with the same cores could wait for each other
	defer s.mass.Unlock()
	var mine []*core
	for i, f := range list {
		c, ok := f.(*core)
		if !ok || c.files != s {
			errs[i] = f.Sync()
			continue
		}
		c.syncMu.Lock()
		defer c.syncMu.Unlock()
		if errs[i] = c.failure(); errs[i] != nil {
			continue
		}
		if err := c.writeDeferred(); isFull(err) {
			errs[i] = err
			continue
		} else if err != nil {
			c.fail(err)
			c.blocks.forget()
			c.tree.forget()
			continue
		}
		mine = append(mine, c)
	}
	s.syncVolume(mine)
	for i, f := range list {
		if c, ok := f.(*core); ok && errs[i] == nil {
			errs[i] = c.failure()
		}
	}
	return errs
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// syncVolume is Sync for cores whose syncMu the caller holds. Nobody knows what
// a failure is about, so it is one of every core with something to lose.
func (s *coreFiles) syncVolume(list []*core) {
	made := s.dirs.made.Load()
	for _, c := range list { // before the sync, so that a write which comes later marks it again
		for _, d := range []*descriptor{&c.blocks, &c.tree} {
			d.dirty.Store(false)
			d.inherited.Store(false)
			d.loose.Store(false)
		}
		c.entries.Store(true)
	}
	err := s.volume.Sync()
	if err == nil {
		s.dirs.covered(made)
		return
	}
	failed := list
	s.mu.Lock()
	for _, c := range s.cores {
		if c.blocks.dirty.Load() || c.tree.dirty.Load() {
			failed = append(failed, c)
		}
	}
	s.mu.Unlock()
	for _, c := range failed {
		c.fail(fmt.Errorf("sync %s: %w", coresDir, err))
		c.blocks.forget()
		c.tree.forget()
	}
}

// osVolume is kept open: the kernel tells a descriptor of the errors since it
// was opened, or last told of one.
type osVolume struct{ fd int }

func (d dirFS) Volume() (Volume, error) {
	if !syncfsReports() {
		return nil, errors.ErrUnsupported
	}
	fd, err := unix.Open(string(d), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", string(d), err)
	}
	return osVolume{fd}, nil
}

func (v osVolume) Sync() error {
	for {
		if err := unix.Syncfs(v.fd); err != unix.EINTR {
			return err
		}
	}
}

func (v osVolume) Close() error { return unix.Close(v.fd) }

// syncfsReports says whether syncfs(2) gives errors of earlier writes, which it
// does since Linux 5.8.
var syncfsReports = sync.OnceValue(func() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 5 || major == 5 && minor >= 8
})
