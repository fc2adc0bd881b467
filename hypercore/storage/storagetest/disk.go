package storagetest

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"syscall"

	"multicore/hypercore/storage"
)

// Machine is a Store that outlives power cuts. Records are as durable as the
// contract has it: a cut finds those of the last commit, and one in the middle
// of a commit those before or after it, as a whole (the database itself is
// trusted). Files forget, tear and reorder what was not synced.
type Machine struct {
	records storage.Store
	disk    *disk
}

// NewMachine has an empty store.
func NewMachine() *Machine {
	return &Machine{
		records: storage.Memory(),
		disk:    &disk{dirs: map[string]bool{".": true}, files: make(map[string]*diskFile)},
	}
}

// Boot opens the store. Only the last one that was booted works.
func (m *Machine) Boot() storage.Store {
	return m.BootOn(func(fsys storage.FS) storage.FS { return fsys })
}

// BootOn is Boot with a layer between the store and its files.
func (m *Machine) BootOn(layer func(storage.FS) storage.FS) storage.Store {
	fsys := m.disk.boot()
	return &booted{Store: m.records, fs: fsys, files: storage.MemoryOn(layer(fsys))}
}

// Running says whether the process that Boot began still runs.
func (m *Machine) Running() bool {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	return !m.disk.ended
}

// Kill ends the running process: what it wrote stays, and nothing it does later
// has an effect.
func (m *Machine) Kill() { m.disk.end() }

// KillAfter ends the running process at the n-th call from now on that changes
// something, or syncs a directory, which has no effect either. A commit counts twice: a
// process that ends at the second never learns that it went through. It may get
// there or not.
func (m *Machine) KillAfter(n int) {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	m.disk.left = n
}

// PowerCut is Kill and loses, of what was not synced, what r says: whole files
// and directories, writes in any order, sectors of a write, and cuts.
func (m *Machine) PowerCut(r *rand.Rand) {
	m.disk.end()
	m.disk.cut(r)
}

// booted is the store of one life of a process.
type booted struct {
	storage.Store // records
	fs            *diskFS
	files         storage.Store
}

func (b *booted) Files(id storage.ID) storage.Files { return b.files.Files(id) }

func (b *booted) SyncAll(list []storage.Files) []error { return b.files.SyncAll(list) }

func (b *booted) Update(fn func(storage.Tx) error) error {
	err := b.Store.Update(func(tx storage.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return b.fs.alive() // a process that is gone commits nothing
	})
	if err == nil {
		err = b.fs.alive() // nor does it hear of what went through
	}
	return err
}

func (b *booted) Close() error { return b.files.Close() }

// disk is what a crash leaves behind.
type disk struct {
	mu    sync.Mutex
	life  int             // counts boots
	left  int             // changes until the running process ends, 0 for never
	ended bool            // it has
	dirs  map[string]bool // whether the entry is durable
	files map[string]*diskFile
}

// diskFile is a file: what is durable, and what was done since.
type diskFile struct {
	entry   bool // its entry in the directory is durable
	durable []byte
	now     []byte
	changes []change
}

// change is a write, or a cut where data is nil.
type change struct {
	off  int64
	data []byte
}

func (c change) apply(b []byte) []byte {
	if c.data == nil {
		if c.off < int64(len(b)) {
			return b[:c.off:c.off]
		}
		return append(b, make([]byte, c.off-int64(len(b)))...)
	}
	if end := int(c.off) + len(c.data); end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[c.off:], c.data)
	return b
}

func (d *disk) boot() *diskFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life++
	d.left, d.ended = 0, false
	return &diskFS{disk: d, life: d.life}
}

func (d *disk) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life++
	d.left, d.ended = 0, true
}

// sector is the smallest piece that is written wholly or not at all.
const sector = 512

func (d *disk) cut(r *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(d.dirs)) {
		if !d.dirs[name] && r.IntN(2) == 0 {
			delete(d.dirs, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		f := d.files[name]
		if _, there := d.dirs[path.Dir(name)]; !there || !f.entry && r.IntN(2) == 0 {
			delete(d.files, name)
			continue
		}
		f.now = f.cut(r)
		f.durable, f.changes, f.entry = slices.Clone(f.now), nil, true
	}
	for name := range d.dirs {
		d.dirs[name] = true
	}
}

// cut gives the content that a power cut leaves: some sectors of some changes.
// How much is lost differs from cut to cut, all and nothing included.
func (f *diskFile) cut(r *rand.Rand) []byte {
	b := slices.Clone(f.durable)
	keep := []float64{0, 0.1, 0.5, 0.9, 1}[r.IntN(5)]
	for _, c := range f.changes {
		if c.data == nil {
			if r.Float64() < keep {
				b = c.apply(b)
			}
			continue
		}
		for len(c.data) > 0 {
			n := min(int64(len(c.data)), sector-c.off%sector)
			if r.Float64() < keep {
				b = change{c.off, c.data[:n]}.apply(b)
			} else if r.IntN(2) == 0 { // the size is there, the bytes are not
				b = change{max(c.off+n, int64(len(b))), nil}.apply(b)
			}
			c.off, c.data = c.off+n, c.data[n:]
		}
	}
	return b
}

// diskFS is a disk as one life of a process sees it.
type diskFS struct {
	disk *disk
	life int
}

var errDead = &fs.PathError{Op: "use", Path: "disk", Err: syscall.EIO}

// locked runs fn, which reads, unless this life is over.
func (s *diskFS) locked(fn func() error) error {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if s.life != s.disk.life {
		return errDead
	}
	return fn()
}

// changing is locked for what changes something: a step at which the
// life may end.
func (s *diskFS) changing(fn func() error) error {
	return s.locked(func() error {
		if s.disk.left > 0 {
			if s.disk.left--; s.disk.left == 0 {
				s.disk.life++
				s.disk.ended = true
				return errDead
			}
		}
		return fn()
	})
}

func (s *diskFS) alive() error { return s.changing(func() error { return nil }) }

func (s *diskFS) Open(name string, create bool) (file storage.File, err error) {
	step := s.locked
	if create {
		step = s.changing
	}
	err = step(func() error {
		f := s.disk.files[name]
		if f == nil {
			if _, there := s.disk.dirs[path.Dir(name)]; !there || !create {
				return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			f = new(diskFile)
			s.disk.files[name] = f
		}
		file = &openDiskFile{s, f}
		return nil
	})
	return file, err
}

func (s *diskFS) Mkdir(name string) error {
	return s.changing(func() error {
		if _, there := s.disk.dirs[name]; there {
			return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
		}
		s.disk.dirs[name] = false
		return nil
	})
}

func (s *diskFS) SyncDir(name string) error {
	return s.changing(func() error {
		if _, there := s.disk.dirs[name]; !there {
			return &fs.PathError{Op: "sync", Path: name, Err: fs.ErrNotExist}
		}
		for dir := range s.disk.dirs {
			if path.Dir(dir) == name {
				s.disk.dirs[dir] = true
			}
		}
		for file, f := range s.disk.files {
			f.entry = f.entry || path.Dir(file) == name
		}
		return nil
	})
}

// Volume puts everything on the disk at once.
func (s *diskFS) Volume() (storage.Volume, error) { return diskVolume{s}, nil }

type diskVolume struct{ fs *diskFS }

func (v diskVolume) Sync() error {
	return v.fs.changing(func() error {
		for dir := range v.fs.disk.dirs {
			v.fs.disk.dirs[dir] = true
		}
		for _, f := range v.fs.disk.files {
			f.entry, f.durable, f.changes = true, slices.Clone(f.now), nil
		}
		return nil
	})
}

func (diskVolume) Close() error { return nil }

type openDiskFile struct {
	fs *diskFS
	f  *diskFile
}

func (o *openDiskFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = o.fs.locked(func() error {
		if off < 0 {
			return errors.New("negative offset")
		}
		if off < int64(len(o.f.now)) {
			n = copy(p, o.f.now[off:])
		}
		if n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

func (o *openDiskFile) change(c change) error {
	return o.fs.changing(func() error {
		if c.off < 0 {
			return errors.New("negative offset")
		}
		o.f.changes = append(o.f.changes, c)
		o.f.now = c.apply(o.f.now)
		return nil
	})
}

func (o *openDiskFile) WriteAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := o.change(change{off, slices.Clone(p)}); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (o *openDiskFile) Truncate(size int64) error { return o.change(change{size, nil}) }

func (o *openDiskFile) Punch(off, n int64) error {
	size, err := o.Size()
	if n = min(n, size-off); err != nil || n <= 0 {
		return err
	}
	return o.change(change{off, make([]byte, n)})
}

func (o *openDiskFile) Size() (n int64, err error) {
	err = o.fs.locked(func() error { n = int64(len(o.f.now)); return nil })
	return n, err
}

// Datasync is no step at which a life ends: files are synced side by side, and a
// cut that comes before may keep all of a file as well.
func (o *openDiskFile) Datasync() error {
	return o.fs.locked(func() error {
		for _, c := range o.f.changes {
			o.f.durable = c.apply(o.f.durable)
		}
		o.f.changes = nil
		return nil
	})
}

func (o *openDiskFile) Forget()      {}
func (o *openDiskFile) Close() error { return nil }
