package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"multicore/hypercore"
)

// remoteMount mounts the own multicore of a machine, to read others below it.
func remoteMount(t *testing.T, b *machine, timeout time.Duration) *mnt {
	t.Helper()
	o := b.options()
	o.ReadTimeout = timeout
	return mount(t, "", o)
}

// TestRemoteTree reads another machine's multicore below the own root.
func TestRemoteTree(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	a.append("", "hi\n", "hello\n", "world\n")
	connect(t, a, b)
	m := remoteMount(t, b, 0)
	key := a.own.Key().String()
	own := len(strings.Fields(m.names("")))

	// Looking at the directory opens nothing and waits for nothing.
	if info, err := os.Lstat(m.path(key)); err != nil || !info.IsDir() {
		t.Fatal(info, err)
	}
	if strings.Contains(m.names(""), key) {
		t.Error("listed before it was opened")
	}
	m.want(key+"/core-3/log", "hello\nworld\n")
	m.want(key+"/core-2/blocks/0", "hi\n")
	m.want(key+"/core-3/1", "world\n")
	m.want(key+"/key", key+"\n")
	m.want(key+"/main/key", key+"\n")
	m.want(key+"/core-3/length", "2\n")
	m.want(key+"/status.json", m.read("status.json"))
	if got := m.read(key + "/core-3/info.json"); !strings.Contains(got, key+"/core-3") {
		t.Errorf("info.json: %s", got)
	}
	if got, want := m.names(key), "core-2 core-3 key main status.json"; got != want {
		t.Errorf("lists %q, want %q", got, want)
	}
	if got, want := m.names(key+"/core-3"), "blocks byte-length discovery-key follow info.json key length log"; got != want {
		t.Errorf("core-3 lists %q, want %q", got, want)
	}
	if got := m.names(""); !strings.Contains(got, key) || len(strings.Fields(got)) != own+1 {
		t.Errorf("root lists %q after it was opened", got)
	}
	for name, want := range map[string]string{strings.ToUpper(key): key, a.own.Key().ZBase32(): key} {
		if got, err := os.Readlink(m.path(name)); got != want || err != nil {
			t.Errorf("%s links to %q, %v", name, got, err)
		}
		m.want(name+"/core-2/log", "hi\n")
	}
	for _, name := range []string{"append", "core-3/append", "core-4", key, "core-3/2", "core-3/blocks/2"} {
		_, err := os.Lstat(m.path(key + "/" + name))
		m.fails(name, err, syscall.ENOENT)
	}
	m.fails("write", os.WriteFile(m.path(key+"/append"), []byte("x"), 0o644), syscall.EROFS)
	m.fails("rm", os.Remove(m.path(key+"/core-3/log")), syscall.EROFS)
	m.fails("rmdir", syscall.Rmdir(m.path(key)), syscall.EROFS)
	m.fails("mv", os.Rename(m.path(key), m.path("x")), syscall.EROFS)
}

// TestRemoteRoot mounts one remote multicore as the root.
func TestRemoteRoot(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, false)
	a.append("", "hello\n")
	connect(t, a, b)
	m := mount(t, "", b.rootOptions(b.remote(a.own.Key())))
	m.want("core-3/log", "hello\n")
	if got, want := m.names(""), "core-2 core-3 key main status.json"; got != want {
		t.Errorf("lists %q, want %q", got, want)
	}
	if got := m.read("core-3/info.json"); !strings.Contains(got, a.own.Key().String()+"/core-3") {
		t.Errorf("info.json: %s", got)
	}
	_, err := os.Lstat(m.path(strings.Repeat("ab", 32)))
	m.fails("another key", err, syscall.ENOENT)
	m.want(a.own.Key().String()+"/core-3/log", "hello\n")
}

// TestUnknownKey has a key that nobody has: everything that would need to know
// it fails, nothing looks empty.
func TestUnknownKey(t *testing.T) {
	b := newMachine(t, true)
	m := remoteMount(t, b, 100*time.Millisecond)
	key := strings.Repeat("ab", 32)
	if _, err := os.Lstat(m.path(key)); err != nil {
		t.Fatal(err)
	}
	m.want(key+"/key", key+"\n")
	for _, name := range []string{"core-2", "main/log", "main/blocks", "main/length", "main/0", "core-3/log", "core-3/blocks/0", "main/info.json"} {
		began := time.Now()
		_, err := os.Stat(m.path(key + "/" + name))
		m.fails("stat "+name, err, syscall.EHOSTUNREACH)
		if took := time.Since(began); took < 90*time.Millisecond || took > 5*time.Second {
			t.Errorf("stat %s took %v", name, took)
		}
		_, err = os.ReadFile(m.path(key + "/" + name))
		m.fails("read "+name, err, syscall.EHOSTUNREACH)
	}
	_, err := os.ReadDir(m.path(key))
	m.fails("list", err, syscall.EHOSTUNREACH)
	_, err = os.ReadDir(m.path(key + "/main"))
	m.fails("list main", err, syscall.EHOSTUNREACH)
	_, err = os.Lstat(m.path(key + "/nothing"))
	m.fails("stat nothing", err, syscall.ENOENT)
}

// TestMissingBlock reads what no peer in reach has.
func TestMissingBlock(t *testing.T) {
	a, b, c := newMachine(t, true), newMachine(t, true), newMachine(t, false)
	a.append("core-3", "first\n", "second\n", "third\n")
	// c keeps the head and the first block only, and b meets nobody else.
	cut := connect(t, a, c)
	viaC := mount(t, "", c.rootOptions(c.remote(a.own.Key())))
	viaC.want("core-3/0", "first\n")
	cut()
	connect(t, c, b)
	m := remoteMount(t, b, 500*time.Millisecond)
	key := a.own.Key().String()
	m.want(key+"/core-3/0", "first\n")
	m.want(key+"/core-3/length", "3\n")
	_, err := os.ReadFile(m.path(key + "/core-3/2"))
	m.fails("read", err, syscall.ETIMEDOUT, syscall.EHOSTUNREACH)
	_, err = os.ReadFile(m.path(key + "/core-3/log"))
	m.fails("read log", err, syscall.ETIMEDOUT, syscall.EHOSTUNREACH)
	// What is there is read before the error.
	f, err := os.Open(m.path(key + "/core-3/log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	m.fails("read all of log", err, syscall.ETIMEDOUT, syscall.EHOSTUNREACH)
	if string(got) != "first\n" {
		t.Errorf("before the error: %q", got)
	}
}

// TestReadAhead reads the start of a log in a row: blocks behind it come
// without being asked for. A single read brings what it covers only.
func TestReadAhead(t *testing.T) {
	const n, size = 500, 1000
	a, b := newMachine(t, true), newMachine(t, true)
	var list []string
	for i := range n {
		list = append(list, strings.Repeat(string(rune('a'+i%26)), size))
	}
	a.append("core-3", list...)
	connect(t, a, b)
	m := remoteMount(t, b, 0)
	key := a.own.Key()
	f, err := os.Open(m.path(key.String() + "/core-3/log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 2*size)
	read := func(off int64) {
		t.Helper()
		if _, err := syscall.Pread(int(f.Fd()), p, off); err != nil {
			t.Fatal(err)
		}
		if i := off / size; string(p) != list[i]+list[i+1] {
			t.Fatalf("read at %d: %.10q…", off, p)
		}
	}
	read(0)
	read(300 * size)
	read(100 * size)
	if got := held(b, key.String(), "core-3"); got != 6 {
		t.Errorf("%d blocks fetched by three reads apart, want 6", got)
	}
	for i := int64(102); i < 310; i += 2 {
		read(i * size)
	}
	cores, err := b.remote(key).Cores(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	c := find(cores, "core-3")
	until(t, "read-ahead", c.Changed, func() bool { return c.Has(499) && c.Has(350) })
	if c.Has(50) {
		t.Error("a block before the reader was fetched")
	}
}

// TestKnownHeadsNeedNobody goes offline: what was learned answers at once, and
// a block whose size is not known fails at once.
func TestKnownHeadsNeedNobody(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	var list []string
	for i := range 64 {
		list = append(list, fmt.Sprintf("message %d\n", i))
	}
	a.append("core-3", list...)
	cut := connect(t, a, b)
	m := remoteMount(t, b, 0)
	key := a.own.Key().String()
	m.want(key+"/core-3/7", list[7])
	m.want(key+"/core-3/length", "64\n")
	m.want(key+"/core-2/length", "0\n")
	cut()

	began := time.Now()
	m.want(key+"/core-3/7", list[7])
	m.want(key+"/core-3/blocks/7", list[7])
	m.want(key+"/core-2/log", "")
	if got := len(strings.Fields(m.names(key + "/core-3/blocks"))); got != 64 {
		t.Errorf("%d blocks listed, want 64", got)
	}
	info, err := os.Stat(m.path(key + "/core-3/log"))
	if want := int64(len(strings.Join(list, ""))); err != nil || info.Size() != want {
		t.Errorf("log: size %v, %v, want %d", info, err, want)
	}
	_, err = os.Stat(m.path(key + "/core-3/blocks/40"))
	m.fails("stat of a block of unknown size", err, syscall.EHOSTUNREACH)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestStatOfRemoteBlock asks a peer for the size of a block and not for the
// block.
func TestStatOfRemoteBlock(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	var list []string
	for i := range 64 {
		list = append(list, strings.Repeat("x", i+5))
	}
	a.append("core-3", list...)
	connect(t, a, b)
	m := remoteMount(t, b, 0)
	key := a.own.Key().String()
	for _, i := range []int{40, 0, 63} {
		info, err := os.Stat(m.path(fmt.Sprintf("%s/core-3/blocks/%d", key, i)))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != int64(len(list[i])) {
			t.Errorf("block %d: size %d, want %d", i, info.Size(), len(list[i]))
		}
	}
	if got := held(b, key, "core-3"); got != 0 {
		t.Errorf("%d blocks fetched, want none", got)
	}
}

// held counts the blocks of a remote core that a machine has.
func held(b *machine, key, name string) int {
	b.t.Helper()
	k, err := hypercore.ParseKey(key)
	if err != nil {
		b.t.Fatal(err)
	}
	cores, err := b.remote(k).Cores(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	n := 0
	for _, c := range cores {
		if c.Name == name {
			for i := range c.Core.Info().Length {
				if c.Core.Has(i) {
					n++
				}
			}
		}
	}
	return n
}

// TestReadInTheMiddle fetches what it covers and no more.
func TestReadInTheMiddle(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	var list []string
	for i := range 1000 {
		list = append(list, fmt.Sprintf("message %04d\n", i))
	}
	a.append("core-3", list...)
	connect(t, a, b)
	m := remoteMount(t, b, 0)
	key := a.own.Key().String()
	f, err := os.Open(m.path(key + "/core-3/log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 30)
	if _, err := f.ReadAt(p, 500*13+7); err != nil {
		t.Fatal(err)
	}
	if got, want := string(p), strings.Join(list[500:504], "")[7:37]; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := held(b, key, "core-3"); got != 3 {
		t.Errorf("%d blocks fetched, want 3", got)
	}
	// Read in a row the log is the same as at the writer.
	if got, want := m.read(key+"/core-3/log"), strings.Join(list, ""); got != want {
		t.Errorf("log differs: %d bytes, want %d", len(got), len(want))
	}
}

// TestRemoteTail sees lines of another machine, each once and in order.
func TestRemoteTail(t *testing.T) {
	const n = 500
	a, b := newMachine(t, true), newMachine(t, true)
	a.append("", "line number 0\n")
	connect(t, a, b)
	writer := mount(t, "", a.options())
	m := remoteMount(t, b, 0)
	tail := exec.Command("tail", "-n", "+1", "-s", "0.05", "-f", m.path(a.own.Key().String()+"/core-3/log"))
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { tail.Process.Kill(); tail.Wait() }()
	stop := context.AfterFunc(deadline(t), func() { tail.Process.Kill() })
	defer stop()
	writer.sh(fmt.Sprintf(`for i in $(seq %d); do echo "line number $i" >> $M/append; done`, n-1))
	want := lines(n)
	got := make([]byte, len(want))
	if k, err := io.ReadFull(out, got); err != nil || string(got) != want {
		t.Errorf("tail printed %d of %d bytes as wanted, %v", same(string(got[:k]), want), len(want), err)
	}
}

func TestErrno(t *testing.T) {
	for _, test := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{context.Canceled, syscall.EINTR},
		{errors.Join(context.Canceled, hypercore.ErrNoPeers), syscall.EINTR},
		{errors.Join(context.DeadlineExceeded, hypercore.ErrNoPeers), syscall.EHOSTUNREACH},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), syscall.ETIMEDOUT},
		{fmt.Errorf("x: %w", hypercore.ErrBadProof), syscall.EIO},
		{hypercore.ErrFailed, syscall.EIO},
		{fmt.Errorf("write: %w", &os.PathError{Op: "write", Err: syscall.ENOSPC}), syscall.ENOSPC},
		{&os.PathError{Op: "open", Err: syscall.ENOENT}, syscall.EIO},
		{hypercore.ErrPastEnd, syscall.ENOENT},
		{hypercore.ErrReadOnly, syscall.EROFS},
		{errors.New("what"), syscall.EIO},
	} {
		if got := errno(test.err); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
}
