package storagetest

import (
	"errors"
	"os"
	"path"
	"sync/atomic"

	"multicore/hypercore/storage"
)

// Op is a call that can be made to fail.
type Op string

const (
	Open       Op = "open"
	Mkdir      Op = "mkdir"
	Read       Op = "read"
	Write      Op = "write"
	Truncate   Op = "truncate"
	Punch      Op = "punch"
	Reserve    Op = "reserve"
	Sync       Op = "sync" // of a file
	SyncDir    Op = "syncdir"
	SyncVolume Op = "syncvolume"
	Forget     Op = "forget" // its error is ignored
	Close      Op = "close"  // its error is given, but the file is closed
)

// Faults is an FS that asks before each call.
type Faults struct {
	storage.FS
	hook atomic.Pointer[func(op Op, name string) error]
}

// Hook sets what is asked with the path in the store; an error it gives is the
// answer to the call, which then does nothing. nil ends it. It is called by
// many goroutines.
func (f *Faults) Hook(hook func(op Op, name string) error) {
	if hook == nil {
		f.hook.Store(nil)
		return
	}
	f.hook.Store(&hook)
}

func (f *Faults) ask(op Op, name string) error {
	if hook := f.hook.Load(); hook != nil {
		return (*hook)(op, path.Clean(name))
	}
	return nil
}

func (f *Faults) Open(name string, create bool) (storage.File, error) {
	if err := f.ask(Open, name); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	faulty := &faultyFile{file, name, f}
	if b, ok := file.(storage.Backing); ok {
		return &faultyBacking{faulty, b}, nil
	}
	return faulty, nil
}

// Rename is not asked about.
func (f *Faults) Rename(from, to string) error {
	r, ok := f.FS.(interface{ Rename(from, to string) error })
	if !ok {
		return errors.ErrUnsupported
	}
	return r.Rename(from, to)
}

func (f *Faults) Mkdir(name string) error {
	if err := f.ask(Mkdir, name); err != nil {
		return err
	}
	return f.FS.Mkdir(name)
}

func (f *Faults) SyncDir(name string) error {
	if err := f.ask(SyncDir, name); err != nil {
		return err
	}
	return f.FS.SyncDir(name)
}

func (f *Faults) Volume() (storage.Volume, error) {
	v, err := f.FS.Volume()
	if err != nil {
		return nil, err
	}
	return &faultyVolume{v, f}, nil
}

type faultyVolume struct {
	storage.Volume
	faults *Faults
}

func (v *faultyVolume) Sync() error {
	if err := v.faults.ask(SyncVolume, "."); err != nil {
		return err
	}
	return v.Volume.Sync()
}

// FileByFile is an FS whose volume cannot be synced as a whole.
type FileByFile struct{ storage.FS }

func (FileByFile) Volume() (storage.Volume, error) { return nil, errors.ErrUnsupported }

type faultyFile struct {
	storage.File
	name   string
	faults *Faults
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.faults.ask(Read, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.faults.ask(Write, f.name); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.faults.ask(Truncate, f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Punch(off, n int64) error {
	if err := f.faults.ask(Punch, f.name); err != nil {
		return err
	}
	return f.File.Punch(off, n)
}

// faultyBacking is a file that others can read by themselves.
type faultyBacking struct {
	*faultyFile
	backing storage.Backing
}

func (f *faultyBacking) Reopen() (*os.File, error) { return f.backing.Reopen() }

func (f *faultyBacking) Reserve(off, n int64) error {
	if err := f.faults.ask(Reserve, f.name); err != nil {
		return err
	}
	return f.backing.Reserve(off, n)
}

func (f *faultyBacking) Alone(fn func() error) error { return f.backing.Alone(fn) }

func (f *faultyFile) Datasync() error {
	if err := f.faults.ask(Sync, f.name); err != nil {
		return err
	}
	return f.File.Datasync()
}

func (f *faultyFile) Forget() {
	f.faults.ask(Forget, f.name)
	f.File.Forget()
}

func (f *faultyFile) Close() error {
	err := f.faults.ask(Close, f.name)
	if closeErr := f.File.Close(); err == nil {
		err = closeErr
	}
	return err
}
