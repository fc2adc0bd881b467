package storage

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"sync"
)

// MemoryFS is an empty FS in memory. Holes in its files take no memory.
func MemoryFS() FS {
	return &memFS{dirs: map[string]bool{".": true}, files: make(map[string]*memFile)}
}

type memFS struct {
	mu    sync.Mutex
	dirs  map[string]bool
	files map[string]*memFile
}

func (m *memFS) Open(name string, create bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		if !create || !m.dirs[path.Dir(name)] {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		f = &memFile{pages: make(map[int64]*page)}
		m.files[name] = f
	}
	return f, nil
}

func (m *memFS) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.dirs[name]:
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	case !m.dirs[path.Dir(name)]:
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrNotExist}
	}
	m.dirs[name] = true
	return nil
}

func (m *memFS) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[name] {
		return &fs.PathError{Op: "sync", Path: name, Err: fs.ErrNotExist}
	}
	return nil
}

func (m *memFS) Volume() (Volume, error) { return memVolume{}, nil }

// memVolume is memory, where nothing is lost but with the process.
type memVolume struct{}

func (memVolume) Sync() error  { return nil }
func (memVolume) Close() error { return nil }

const pageSize = 4096

type page [pageSize]byte

// memFile is a file in pages; one that is not there is zeros.
type memFile struct {
	mu    sync.RWMutex
	size  int64
	pages map[int64]*page
}

var errNegative = errors.New("storage: negative offset")

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errNegative
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	var eof error
	if left := max(f.size-off, 0); int64(len(p)) > left {
		p, eof = p[:left], io.EOF
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		n := min(len(p)-done, int(pageSize-at%pageSize))
		if pg := f.pages[at/pageSize]; pg != nil {
			copy(p[done:done+n], pg[at%pageSize:])
		} else {
			clear(p[done : done+n])
		}
		done += n
	}
	return len(p), eof
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errNegative
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for done := 0; done < len(p); {
		at := off + int64(done)
		pg := f.pages[at/pageSize]
		if pg == nil {
			pg = new(page)
			f.pages[at/pageSize] = pg
		}
		done += copy(pg[at%pageSize:], p[done:])
	}
	if len(p) > 0 {
		f.size = max(f.size, off+int64(len(p)))
	}
	return len(p), nil
}

func (f *memFile) Truncate(size int64) error {
	if size < 0 {
		return errNegative
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if size < f.size {
		if pg := f.pages[size/pageSize]; pg != nil {
			clear(pg[size%pageSize:])
		}
		for i := range f.pages {
			if i > size/pageSize {
				delete(f.pages, i)
			}
		}
	}
	f.size = size
	return nil
}

func (f *memFile) Punch(off, n int64) error {
	if off < 0 || n < 0 {
		return errNegative
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	end := min(off+n, f.size)
	for i, pg := range f.pages {
		lo, hi := max(off-i*pageSize, 0), min(end-i*pageSize, pageSize)
		if lo < hi {
			clear(pg[lo:hi])
		}
		if lo == 0 && hi == pageSize {
			delete(f.pages, i)
		}
	}
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.size, nil
}

func (f *memFile) Datasync() error { return nil }
func (f *memFile) Forget()         {}
func (f *memFile) Close() error    { return nil }
