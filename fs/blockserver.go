package fs

import (
	"sync"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// blockServer answers the requests that are about blocks, by node id, and leaves
// all else to go-fuse's tree of inodes, which knows nothing of blocks.
type blockServer struct {
	fuse.RawFileSystem
	t *tree

	mu   sync.Mutex
	open map[uint64]*blockHandle // by handle
	last uint64                  // handle
}

func newBlockServer(t *tree, o *gofs.Options) *blockServer {
	return &blockServer{RawFileSystem: gofs.NewNodeFS(t.rootDir(), o), t: t, open: make(map[uint64]*blockHandle)}
}

func (s *blockServer) block(header *fuse.InHeader) (block, bool) {
	return s.t.blocks.block(header.NodeId)
}

func (s *blockServer) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	status := s.RawFileSystem.Lookup(cancel, header, name, out)
	if status == fuse.Status(isBlock) {
		return fuse.OK
	}
	return status
}

func (s *blockServer) Forget(id, lookups uint64) {
	if id&blockNode == 0 {
		s.RawFileSystem.Forget(id, lookups)
	}
}

func (s *blockServer) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	b, ok := s.block(&in.InHeader)
	if !ok {
		return s.RawFileSystem.GetAttr(cancel, in, out)
	}
	return fuse.Status(b.getattr(&fuse.Context{Caller: in.Caller, Cancel: cancel}, out))
}

func (s *blockServer) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	if _, ok := s.block(&in.InHeader); !ok {
		return s.RawFileSystem.Access(cancel, in)
	}
	return fuse.Status(mayAccess(in.Mask, false))
}

func (s *blockServer) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	b, ok := s.block(&in.InHeader)
	if !ok {
		return s.RawFileSystem.Open(cancel, in, out)
	}
	h, no := b.open(&fuse.Context{Caller: in.Caller, Cancel: cancel}, in.Flags)
	if no != 0 {
		return fuse.Status(no)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.open[s.last] = h
	out.Fh, out.OpenFlags = s.last, fuse.FOPEN_KEEP_CACHE|fuse.FOPEN_NOFLUSH
	return fuse.OK
}

func (s *blockServer) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if _, ok := s.block(&in.InHeader); !ok {
		return s.RawFileSystem.Read(cancel, in, buf)
	}
	s.mu.Lock()
	h := s.open[in.Fh]
	s.mu.Unlock()
	if h == nil {
		return nil, fuse.EBADF
	}
	result, no := h.read(buf, in.Offset)
	return result, fuse.Status(no)
}

func (s *blockServer) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	if _, ok := s.block(&in.InHeader); !ok {
		s.RawFileSystem.Release(cancel, in)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, in.Fh)
}

// Lseek finds data and holes: a block has data alone.
func (s *blockServer) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	if _, ok := s.block(&in.InHeader); !ok {
		return s.RawFileSystem.Lseek(cancel, in, out)
	}
	s.mu.Lock()
	h := s.open[in.Fh]
	s.mu.Unlock()
	switch {
	case h == nil:
		return fuse.EBADF
	case in.Offset >= h.size:
		return fuse.Status(syscall.ENXIO)
	case in.Whence == unix.SEEK_DATA:
		out.Offset = in.Offset
	case in.Whence == unix.SEEK_HOLE:
		out.Offset = h.size
	default:
		return fuse.EINVAL
	}
	return fuse.OK
}

func (s *blockServer) StatFs(cancel <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	if _, ok := s.block(header); !ok {
		return s.RawFileSystem.StatFs(cancel, header, out)
	}
	return fuse.Status(s.t.statfs(out))
}

// Flush comes where the kernel does not know that there is nothing to flush.
func (s *blockServer) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	if _, ok := s.block(&in.InHeader); !ok {
		return s.RawFileSystem.Flush(cancel, in)
	}
	return fuse.OK
}

func (s *blockServer) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if _, ok := s.block(&in.InHeader); !ok {
		return s.RawFileSystem.Fsync(cancel, in)
	}
	return fuse.OK
}

// The rest is refused, as every node does it.

func (s *blockServer) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if _, ok := s.block(&in.InHeader); !ok {
		return s.RawFileSystem.SetAttr(cancel, in, out)
	}
	return fuse.EROFS
}

func (s *blockServer) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if in.Oldnodeid&blockNode == 0 {
		return s.RawFileSystem.Link(cancel, in, name, out)
	}
	return fuse.EROFS
}

func (s *blockServer) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	if _, ok := s.block(&in.InHeader); !ok {
		return s.RawFileSystem.SetXAttr(cancel, in, attr, data)
	}
	return fuse.EROFS
}

func (s *blockServer) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string) fuse.Status {
	if _, ok := s.block(header); !ok {
		return s.RawFileSystem.RemoveXAttr(cancel, header, attr)
	}
	return fuse.EROFS
}

func (s *blockServer) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	if _, ok := s.block(&in.InHeader); !ok {
		return s.RawFileSystem.CopyFileRange(cancel, in)
	}
	return 0, fuse.ENOTSUP
}

func (s *blockServer) Ioctl(cancel <-chan struct{}, in *fuse.IoctlIn, inbuf []byte, out *fuse.IoctlOut, outbuf []byte) fuse.Status {
	if _, ok := s.block(&in.InHeader); !ok {
		return s.RawFileSystem.Ioctl(cancel, in, inbuf, out, outbuf)
	}
	return fuse.Status(syscall.ENOTTY)
}

func (s *blockServer) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	if _, ok := s.block(&in.InHeader); !ok {
		return s.RawFileSystem.Statx(cancel, in, out)
	}
	return fuse.ENOSYS
}
