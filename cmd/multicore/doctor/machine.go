package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"multicore/cmd/multicore/control"
	multicorefs "multicore/fs"
)

// fuse says whether this user can mount.
func (x *examination) fuse(context.Context) Check {
	how, err := multicorefs.Usable()
	if err != nil {
		reason, remedy, _ := strings.Cut(err.Error(), "; ")
		return problem(control.FUSE, remedy, "%s", reason)
	}
	return ok("mounts are made by %s", how)
}

// mounts looks for what processes that died left mounted, and for mounts that
// have whoever looks at them wait.
func (x *examination) mounts(ctx context.Context) Check {
	ctx, cancel := context.WithTimeout(ctx, x.Deadline/2)
	defer cancel()
	dead, mute, err := multicorefs.Dead(ctx)
	switch {
	case err != nil:
		return unknown("the table of mounts cannot be read: %v", err)
	case len(dead) > 0:
		return problem(control.FUSE, "multicore unmount "+dead[0]+", or mount there again",
			"the process that mounted %s is gone", strings.Join(dead, ", "))
	}
	if len(mute) > 0 {
		return problem(control.FUSE, "see what its process waits for, such as a disk that hangs, or whether it was stopped",
			"%s does not answer", strings.Join(mute, ", "))
	}
	return ok("none is dead")
}

// clockSlack is how far a clock may be off before anybody is bothered.
const clockSlack = 2 * time.Minute

// clock compares the clock with what was written before now: a clock that is
// ahead of all that cannot be told from one that is right.
func (x *examination) clock(context.Context) Check {
	const remedy = "set the clock, such as with timedatectl set-ntp true; if it is right now, the other one was wrong, and time will mend it"
	now := time.Now()
	if !x.Built.IsZero() && now.Add(clockSlack).Before(x.Built) {
		return problem(control.Other, remedy, "the clock says %s, and this program was built on %s", shown(now), shown(x.Built))
	}
	for _, name := range []string{"multicore.db", "primary-key", "identity", "cores"} {
		info, err := os.Stat(filepath.Join(x.Dir, name))
		if err == nil && now.Add(clockSlack).Before(info.ModTime()) {
			return problem(control.Other, remedy, "the clock says %s, and %s was written at %s", shown(now), name, shown(info.ModTime()))
		}
	}
	var state unix.Timex // asks, sets nothing
	s, err := unix.Adjtimex(&state)
	switch {
	case err != nil: // as in some containers
		return ok("%s, behind nothing that was written", shown(now))
	case s == unix.TIME_ERROR || state.Status&unix.STA_UNSYNC != 0:
		return ok("%s, behind nothing that was written; the kernel does not know it as synchronised", shown(now))
	}
	return ok("%s, synchronised", shown(now))
}

func shown(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }

// existing is dir, or the first directory above it that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

const (
	// leastFree leaves room for the database to grow by a step.
	leastFree   = 64 << 20
	leastInodes = 64
	// slowSync is above what a healthy disk takes that others use as well.
	slowSync = 500 * time.Millisecond
)

// disk looks at the volume of the store, and tries on a file without a name what
// the store needs of it.
func (x *examination) disk(context.Context) Check {
	const full = "free some room there, or have blocks cleared: multicore clear, --cache-size, follow --max-storage"
	dir := existing(x.Dir)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return problem(control.Other, "see the kernel's log (dmesg), or name another directory with --store", "%s: %v", dir, err)
	}
	free := st.Bavail * uint64(st.Bsize)
	kind, memory := fileSystem(int64(st.Type))
	where := fmt.Sprintf("%s on %s, %s free", dir, kind, size(free))
	switch {
	case free < leastFree:
		return problem(control.DiskFull, full, "%s, want at least %s", where, size(leastFree))
	case st.Files > 0 && st.Ffree < leastInodes:
		return problem(control.DiskFull, full, "%s, but room for %d more files only", where, st.Ffree)
	}
	took, err := tryDisk(dir)
	var lacks *lackError
	switch {
	case errors.As(err, &lacks):
		return problem(control.Other, "put the store on a local disk with --store", "%s: %v", where, err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return problem(control.DiskFull, full, "%s, but a write fails: %v", where, err)
	case errors.Is(err, unix.EROFS):
		return problem(control.ReadOnly, "mount it for writing, or name another directory with --store", "%s is on a read-only file system", dir)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return problem(control.Other, "run as the user whose store it is, or name another with --store", "%s cannot be written to: %v", dir, err)
	case errors.Is(err, errNotTried):
		return ok("%s; writing was not tried, as it has no files without a name", where)
	case err != nil:
		return problem(control.Other, "see the kernel's log (dmesg): the disk may be failing", "%s, but a write fails: %v", where, err)
	case took > slowSync:
		return problem(control.Other, "use a faster disk, or find who keeps it busy", "%s, but fdatasync takes %v", where, took.Round(time.Millisecond))
	}
	text := where + fmt.Sprintf(", fdatasync takes %.2g ms", float64(took.Microseconds())/1000)
	if memory {
		text += "; it is memory, and lost with the power"
	}
	return ok("%s", text)
}

// lackError is what a file system cannot do.
type lackError struct {
	what string
	err  error
}

func (e *lackError) Error() string { return "it has no " + e.what + ": " + e.err.Error() }

var errNotTried = errors.New("no files without a name")

// tryDisk writes to a file that has no name and is gone when it is closed, and
// gives the median time of three syncs.
func tryDisk(dir string) (time.Duration, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR):
		return 0, errNotTried
	case err != nil:
		return 0, err
	}
	defer unix.Close(fd)
	var took [3]time.Duration
	page := make([]byte, 4096)
	for i := range took {
		began := time.Now()
		if _, err := unix.Pwrite(fd, page, int64(i*len(page))); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(fd); err != nil {
			return 0, err
		}
		took[i] = time.Since(began)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return 0, &lackError{"locks", err}
	}
	m, err := unix.Mmap(fd, 0, len(page), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 0, &lackError{"shared memory maps", err}
	}
	unix.Munmap(m)
	low, high := min(took[0], took[1]), max(took[0], took[1])
	return max(low, min(high, took[2])), nil
}

// fileSystem names a type of file system, and says whether it is memory.
func fileSystem(magic int64) (name string, memory bool) {
	switch magic {
	case unix.TMPFS_MAGIC:
		return "tmpfs", true
	case unix.RAMFS_MAGIC:
		return "ramfs", true
	case unix.EXT4_SUPER_MAGIC:
		return "ext4", false
	case unix.XFS_SUPER_MAGIC:
		return "xfs", false
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs", false
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs", false
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs", false
	case unix.NFS_SUPER_MAGIC:
		return "NFS", false
	case unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return "SMB", false
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE", false
	case unix.V9FS_MAGIC:
		return "9p", false
	case unix.MSDOS_SUPER_MAGIC:
		return "FAT", false
	}
	return fmt.Sprintf("a file system of type %#x", magic), false
}

// size shows a number of bytes.
func size(n uint64) string {
	for _, u := range []struct {
		bytes uint64
		name  string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.bytes {
			return fmt.Sprintf("%.3g %s", float64(n)/float64(u.bytes), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
