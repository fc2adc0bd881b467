package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Operation is a request of the kernel, as Options.Observe is told of it.
type Operation struct {
	Name  string        // lower case, as the kernel's: lookup, read, write, ...
	Took  time.Duration // until it was answered, waits for peers included
	Errno syscall.Errno // 0: it succeeded
}

// observed tells of what goes through a file system: all that this one answers,
// but forget and what the kernel does by itself.
type observed struct {
	fuse.RawFileSystem
	tell func(Operation)
}

// done tells of an operation that began at a time, when it has ended.
func (o *observed) done(name string, began time.Time, code *fuse.Status) {
	o.tell(Operation{Name: name, Took: time.Since(began), Errno: syscall.Errno(*code)})
}

func (o *observed) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) (code fuse.Status) {
	defer o.done("lookup", time.Now(), &code)
	return o.RawFileSystem.Lookup(cancel, header, name, out)
}

func (o *observed) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) (code fuse.Status) {
	defer o.done("getattr", time.Now(), &code)
	return o.RawFileSystem.GetAttr(cancel, in, out)
}

func (o *observed) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) (code fuse.Status) {
	defer o.done("setattr", time.Now(), &code)
	return o.RawFileSystem.SetAttr(cancel, in, out)
}

func (o *observed) Readlink(cancel <-chan struct{}, header *fuse.InHeader) (out []byte, code fuse.Status) {
	defer o.done("readlink", time.Now(), &code)
	return o.RawFileSystem.Readlink(cancel, header)
}

func (o *observed) Access(cancel <-chan struct{}, in *fuse.AccessIn) (code fuse.Status) {
	defer o.done("access", time.Now(), &code)
	return o.RawFileSystem.Access(cancel, in)
}

func (o *observed) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (code fuse.Status) {
	defer o.done("open", time.Now(), &code)
	return o.RawFileSystem.Open(cancel, in, out)
}

func (o *observed) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (result fuse.ReadResult, code fuse.Status) {
	defer o.done("read", time.Now(), &code)
	return o.RawFileSystem.Read(cancel, in, buf)
}

func (o *observed) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (n uint32, code fuse.Status) {
	defer o.done("write", time.Now(), &code)
	return o.RawFileSystem.Write(cancel, in, data)
}

// Writev is what go-fuse calls first; with ENOSYS it goes on with Write.
func (o *observed) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (n uint32, code fuse.Status) {
	began := time.Now()
	if n, code = o.RawFileSystem.Writev(cancel, in, data); code != fuse.ENOSYS {
		o.done("write", began, &code)
	}
	return n, code
}

func (o *observed) Flush(cancel <-chan struct{}, in *fuse.FlushIn) (code fuse.Status) {
	defer o.done("flush", time.Now(), &code)
	return o.RawFileSystem.Flush(cancel, in)
}

func (o *observed) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) (code fuse.Status) {
	defer o.done("fsync", time.Now(), &code)
	return o.RawFileSystem.Fsync(cancel, in)
}

func (o *observed) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	var code fuse.Status
	defer o.done("release", time.Now(), &code)
	o.RawFileSystem.Release(cancel, in)
}

func (o *observed) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (code fuse.Status) {
	defer o.done("opendir", time.Now(), &code)
	return o.RawFileSystem.OpenDir(cancel, in, out)
}

func (o *observed) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (code fuse.Status) {
	defer o.done("readdir", time.Now(), &code)
	return o.RawFileSystem.ReadDir(cancel, in, out)
}

func (o *observed) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (code fuse.Status) {
	defer o.done("readdirplus", time.Now(), &code)
	return o.RawFileSystem.ReadDirPlus(cancel, in, out)
}

func (o *observed) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) (code fuse.Status) {
	defer o.done("statfs", time.Now(), &code)
	return o.RawFileSystem.StatFs(cancel, in, out)
}
