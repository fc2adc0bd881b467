package main

import (
	"context"
	"os"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// bareMount is the ceiling of a mount: a FUSE server of the same library that
// does nothing with what is written to append, and gives the pages of a file
// where log is read.
func bareMount(ctx context.Context, up *parent, s spec) error {
	f, err := os.Open(s.File)
	if err != nil {
		return err
	}
	defer f.Close()
	server, err := gofs.Mount(s.Dir, &bareRoot{file: f}, &gofs.Options{
		NullPermissions: true,
		MountOptions: fuse.MountOptions{
			FsName: "bare", Name: "bare", MaxWrite: 1 << 20, DirectMount: true, DisableXAttrs: true,
		},
	})
	if err != nil {
		return err
	}
	if err := up.say(reply{Event: "ready"}); err != nil {
		return err
	}
	<-ctx.Done()
	if err := unix.Unmount(s.Dir, 0); err != nil {
		return err
	}
	server.Wait()
	return nil
}

type bareRoot struct {
	gofs.Inode
	file *os.File
}

func (r *bareRoot) OnAdd(ctx context.Context) {
	attr := gofs.StableAttr{Mode: syscall.S_IFREG}
	r.AddChild("append", r.NewPersistentInode(ctx, &bareAppendFile{}, attr), false)
	r.AddChild("log", r.NewPersistentInode(ctx, &bareLogFile{file: r.file}, attr), false)
}

// bareAppendFile takes what is written.
type bareAppendFile struct{ gofs.Inode }

func (*bareAppendFile) Open(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (*bareAppendFile) Write(_ context.Context, _ gofs.FileHandle, p []byte, _ int64) (uint32, syscall.Errno) {
	return uint32(len(p)), 0
}

func (*bareAppendFile) Flush(context.Context, gofs.FileHandle) syscall.Errno { return 0 }

// bareLogFile is a file, spliced to who reads it.
type bareLogFile struct {
	gofs.Inode
	file *os.File
}

func (f *bareLogFile) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	info, err := f.file.Stat()
	if err != nil {
		return syscall.EIO
	}
	out.Mode, out.Size = 0o444, uint64(info.Size())
	return 0
}

func (f *bareLogFile) Open(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	// Without the page cache: that would make it four times slower at the first read.
	return nil, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, 0
}

func (f *bareLogFile) Read(_ context.Context, _ gofs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultFd(f.file.Fd(), off, len(p)), 0
}
