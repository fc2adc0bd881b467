package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOwnTree(t *testing.T) {
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	a.append("", "hi\n", "abcd", "hello\n", "é\n", "\n")

	if got, want := m.names(""), "append core-2 core-3 key main status.json"; got != want {
		t.Errorf("root lists %q, want %q", got, want)
	}
	if got, want := m.names("core-3"), "append blocks byte-length discovery-key follow info.json key length log"; got != want {
		t.Errorf("core-3 lists %q, want %q", got, want)
	}
	if got, want := m.names("core-2/blocks"), "0 1 2 3"; got != want {
		t.Errorf("core-2/blocks lists %q, want %q", got, want)
	}
	m.want("key", a.own.Key().String()+"\n")
	m.want("status.json", `{"v":1}`+"\n")
	m.want("main/key", a.own.Key().String()+"\n")
	m.want("core-3/key", a.core("core-3").Key().String()+"\n")
	m.want("core-3/discovery-key", a.core("core-3").DiscoveryKey().String()+"\n")
	m.want("core-2/length", "4\n")
	m.want("core-2/byte-length", "11\n")
	m.want("core-3/info.json", string(coreInfo("core-3", a.core("core-3"))))
	m.want("core-2/log", "hi\nabcdé\n\n")
	m.want("core-3/log", "hello\n")
	m.want("core-2/blocks/0", "hi\n")
	m.want("core-2/blocks/2", "é\n")
	m.want("core-2/3", "\n")
	main := m.read("main/blocks/0")
	if want := fmt.Sprintf(`{"otherKeys":["%s","%s"]}`, a.core("core-2").Key(), a.core("core-3").Key()); main != want {
		t.Errorf("block 0 of main is %q, want %q", main, want)
	}
	m.want("core-1/log", main)
	m.want("core-1/info.json", string(coreInfo("main", a.core("main"))))
	for _, name := range []string{"core-4", "core-02", "core-0", "core-", "core-1026", "nothing", ".git", "core-2/4", "core-2/blocks/4",
		"core-2/blocks/00", "core-2/blocks/+1", "core-2/blocks/-1", "core-2/blocks/18446744073709551616", "core-2/blocks/1e1", "core-2/follow-x",
		strings.Repeat("x", 255), strings.Repeat("x", 1000), strings.Repeat("é", 26), "\xff\xfe", "a\nb", strings.Repeat("0", 63), strings.Repeat("g", 64)} {
		_, err := os.Lstat(m.path(name))
		m.fails(name, err, syscall.ENOENT)
	}
}

func TestAttributes(t *testing.T) {
	a := newMachine(t, true)
	before := time.Now().Add(-time.Second)
	m := mount(t, "", a.options())
	a.append("", "hello\n")
	for name, mode := range map[string]os.FileMode{
		"": os.ModeDir | 0o555, "core-2": os.ModeDir | 0o555, "core-2/blocks": os.ModeDir | 0o555,
		"append": 0o200, "core-2/append": 0o200,
		"key": 0o444, "status.json": 0o444, "core-3/log": 0o444, "core-3/blocks/0": 0o444, "core-3/length": 0o444, "core-3/info.json": 0o444,
	} {
		info, err := os.Stat(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("%s: mode %v, want %v", name, info.Mode(), mode)
		}
		st := info.Sys().(*syscall.Stat_t)
		if int(st.Uid) != os.Getuid() || int(st.Gid) != os.Getgid() {
			t.Errorf("%s: owner %d:%d", name, st.Uid, st.Gid)
		}
		if strings.HasSuffix(name, "append") || info.IsDir() {
			continue
		}
		if want := int64(len(m.read(name))); info.Size() != want {
			t.Errorf("%s: size %d, reads %d", name, info.Size(), want)
		}
	}
	grown := a.core("core-3").Info().Grown
	info, err := os.Stat(m.path("core-3/log"))
	if err != nil {
		t.Fatal(err)
	}
	if !info.ModTime().Equal(grown) || grown.Before(before) {
		t.Errorf("log: time %v, core grew at %v", info.ModTime(), grown)
	}
	var ours, theirs syscall.Statfs_t
	if err := errors.Join(syscall.Statfs(m.Path(), &ours), syscall.Statfs(a.dir, &theirs)); err != nil {
		t.Fatal(err)
	}
	if ours.Blocks != theirs.Blocks || ours.Bsize != theirs.Bsize {
		t.Errorf("statfs: got %d × %d, want %d × %d", ours.Blocks, ours.Bsize, theirs.Blocks, theirs.Bsize)
	}
}

func TestOwnKeyLinks(t *testing.T) {
	a := newMachine(t, true)
	m := mount(t, "", a.options())
	a.append("", "hello\n")
	hex := a.own.Key().String()
	for name, target := range map[string]string{
		hex:                   ".",
		strings.ToUpper(hex):  hex,
		a.own.Key().ZBase32(): hex,
	} {
		got, err := os.Readlink(m.path(name))
		if err != nil || got != target {
			t.Errorf("%s: links to %q (%v), want %q", name, got, err, target)
		}
		m.want(name+"/core-3/log", "hello\n")
	}
	if got, want := m.names(""), "append core-2 core-3 key main status.json"; !strings.Contains(got, hex) || len(strings.Fields(got)) != len(strings.Fields(want))+1 {
		t.Errorf("root lists %q after the own key was opened", got)
	}
}

// TestInodes mounts twice: the same paths have the same numbers, different ones
// different numbers.
func TestInodes(t *testing.T) {
	a := newMachine(t, true)
	a.append("", "hi\n", "hello\n", "world\n")
	paths := []string{"", "append", "key", "main", "core-2", "core-2/log", "core-3", "core-3/log", "core-3/blocks", "core-3/blocks/0", "core-3/blocks/1",
		"core-2/blocks/0", "core-1", a.own.Key().String()}
	dir := filepath.Join(t.TempDir(), "mnt")
	numbers := func() map[string]uint64 {
		needFUSE(t)
		m, err := Mount(dir, a.options())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Unmount()
		out := make(map[string]uint64)
		for _, p := range paths {
			info, err := os.Lstat(filepath.Join(dir, p))
			if err != nil {
				t.Fatal(err)
			}
			out[p] = info.Sys().(*syscall.Stat_t).Ino
		}
		short, err := os.Stat(filepath.Join(dir, "core-3/1"))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := short.Sys().(*syscall.Stat_t).Ino, out["core-3/blocks/1"]; got != want {
			t.Errorf("core-3/1 has inode %d, core-3/blocks/1 %d", got, want)
		}
		return out
	}
	first, second := numbers(), numbers()
	seen := make(map[uint64]string)
	for _, p := range paths {
		if first[p] != second[p] {
			t.Errorf("%s: inode %d, then %d", p, first[p], second[p])
		}
		if other, ok := seen[first[p]]; ok {
			t.Errorf("%s and %s have the same inode", p, other)
		}
		seen[first[p]] = p
	}
}

// TestListingNumbers checks that listing and stat agree on inodes and types.
func TestListingNumbers(t *testing.T) {
	a := newMachine(t, true)
	a.append("", "hi\n", "hello\n", "world\n")
	m := mount(t, "", a.options())
	out := m.sh(`cd $M && for d in . core-3 core-3/blocks; do (cd $d && ls -iU | sort -k2 >/tmp/$$.a; stat -c '%i %n' * | sort -k2 >/tmp/$$.b; sed -i 's/^ *//' /tmp/$$.a; diff /tmp/$$.a /tmp/$$.b; rm /tmp/$$.a /tmp/$$.b); done`)
	if out != "" {
		t.Errorf("listing and stat differ:\n%s", out)
	}
	if got, want := m.sh(`find $M -type d | wc -l; find $M -type f | wc -l`), "7\n31\n"; got != want {
		t.Errorf("find: %q, want %q", got, want)
	}
}

func TestRefusals(t *testing.T) {
	a := newMachine(t, true)
	a.append("", "hi\n", "hello\n")
	m := mount(t, "", a.options())
	refused := func(what string, err error) {
		t.Helper()
		m.fails(what, err, syscall.EROFS, syscall.EACCES)
	}
	for _, name := range []string{"key", "status.json", "core-3/log", "core-3/blocks/0", "core-3/length", "core-3/info.json", "core-2/0"} {
		p := m.path(name)
		for _, flags := range []int{os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND | os.O_CREATE, os.O_TRUNC} {
			f, err := os.OpenFile(p, flags, 0o644)
			refused(fmt.Sprintf("open %s with %#x", name, flags), err)
			if err == nil {
				f.Close()
			}
		}
		refused("truncate "+name, os.Truncate(p, 0))
		refused("chmod "+name, os.Chmod(p, 0o600))
		refused("chown "+name, os.Chown(p, 1, 1))
		refused("touch "+name, os.Chtimes(p, time.Now(), time.Now()))
	}
	for _, name := range []string{"append", "key", "core-3/log", "core-3/blocks/0", "core-3/append"} {
		refused("rm "+name, os.Remove(m.path(name)))
		refused("mv "+name, os.Rename(m.path(name), m.path("moved")))
		refused("ln "+name, os.Link(m.path(name), m.path("linked")))
	}
	for _, name := range []string{"core-2", "core-2/blocks", "main"} {
		refused("rmdir "+name, syscall.Rmdir(m.path(name)))
		refused("mv "+name, os.Rename(m.path(name), m.path("moved")))
		for _, new := range []string{name + "/new", "new"} {
			refused("mkdir", os.Mkdir(m.path(new), 0o755))
			refused("create", os.WriteFile(m.path(new), []byte("x"), 0o644))
			refused("symlink", os.Symlink("a", m.path(new)))
			refused("mknod", syscall.Mknod(m.path(new), syscall.S_IFIFO|0o644, 0))
		}
	}
	tmp, err := os.OpenFile(m.Path(), os.O_RDWR|0x410000 /* O_TMPFILE */, 0o644)
	m.fails("O_TMPFILE", err, syscall.EROFS, syscall.EACCES, syscall.EOPNOTSUPP)
	if err == nil {
		tmp.Close()
	}
	m.fails("setxattr", syscall.Setxattr(m.path("key"), "user.a", []byte("b"), 0), syscall.EROFS, syscall.EOPNOTSUPP)
	refused("access", syscall.Access(m.path("core-3/log"), 2))
	refused("access of append", syscall.Access(m.path("append"), 4))
	m.fails("chmod append", os.Chmod(m.path("append"), 0o777), syscall.EROFS)
	m.want("core-3/log", "hello\n")
	m.want("core-2/log", "hi\n")
}

// TestReadOnly mounts the own multicore without append files.
func TestReadOnly(t *testing.T) {
	a := newMachine(t, true)
	o := a.options()
	o.ReadOnly = true
	m := mount(t, "", o)
	if got, want := m.names(""), "core-2 core-3 key main status.json"; got != want {
		t.Errorf("root lists %q, want %q", got, want)
	}
	for _, name := range []string{"append", "core-2/append"} {
		_, err := os.Lstat(m.path(name))
		m.fails(name, err, syscall.ENOENT)
		m.fails("write "+name, os.WriteFile(m.path(name), []byte("x"), 0o644), syscall.EROFS)
	}
}

// TestOffsets reads log at every offset and size, and far beyond its end.
func TestOffsets(t *testing.T) {
	a := newMachine(t, true)
	a.append("core-3", "one", "", "three", "x", strings.Repeat("long ", 10))
	m := mount(t, "", a.options())
	whole := m.read("core-3/log")
	if len(whole) != 59 {
		t.Fatalf("log is %q", whole)
	}
	f, err := os.Open(m.path("core-3/log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off := range len(whole) + 2 {
		for size := 1; size <= len(whole)+2; size += 7 {
			p := make([]byte, size)
			n, _ := f.ReadAt(p, int64(off))
			from := min(off, len(whole))
			if got, want := string(p[:n]), whole[from:min(from+size, len(whole))]; got != want {
				t.Fatalf("read of %d at %d: %q, want %q", size, off, got, want)
			}
		}
	}
	for _, off := range []int64{1 << 32, 1<<62 + 5, 1<<63 - 2} {
		if n, err := syscall.Pread(int(f.Fd()), make([]byte, 1), off); n != 0 || err != nil {
			t.Errorf("read at %d: %d bytes, %v", off, n, err)
		}
	}
	m.want("core-3/blocks/1", "")
}

// TestSmallReads reads each kind of file a few bytes at a time.
func TestSmallReads(t *testing.T) {
	a := newMachine(t, true)
	a.append("", "hello\n", strings.Repeat("long ", 2000))
	m := mount(t, "", a.options())
	for _, name := range []string{"key", "status.json", "core-3/info.json", "core-3/length", "core-3/log", "core-3/blocks/1"} {
		f, err := os.Open(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var got []byte
		for p := make([]byte, 3); ; {
			n, err := f.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if want := m.read(name); string(got) != want {
			t.Errorf("%s: %.100q by threes, %.100q at once", name, got, want)
		}
	}
}

// TestBlocksAreListedByName lists more blocks than fit into one answer, from the
// start and again after a rewind.
func TestBlocksAreListedByName(t *testing.T) {
	const n = 20_000
	a := newMachine(t, true)
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = []byte{byte(i)}
	}
	if err := a.own.Append(context.Background(), "core-3", blocks); err != nil {
		t.Fatal(err)
	}
	m := mount(t, "", a.options())
	d, err := os.Open(m.path("core-3/blocks"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil || len(names) != n {
		t.Fatalf("%d names, want %d: %v", len(names), n, err)
	}
	for i, name := range names {
		if name != fmt.Sprint(i) {
			t.Fatalf("entry %d is %q", i, name)
		}
	}
	a.append("core-3", "x")
	if _, err := d.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	if names, err = d.Readdirnames(-1); err != nil || len(names) != n+1 {
		t.Fatalf("%d names after a rewind, want %d: %v", len(names), n+1, err)
	}
	m.want("core-3/blocks/19999", string([]byte{19999 & 0xff}))
}
