package hypercore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// lending is an own core on a disk that fails when told to, with its file lent.
type lending struct {
	t      *testing.T
	dir    string
	faults *storagetest.Faults
	f      *Flusher
	c      *Core
	b      *Backing
}

func lend(t *testing.T, length uint64) *lending {
	t.Helper()
	l := &lending{t: t, dir: t.TempDir()}
	l.faults = &storagetest.Faults{FS: storage.DirFS(l.dir)}
	st, err := storage.Open(l.dir, storage.Options{Create: true, FS: l.faults})
	if err != nil {
		t.Fatal(err)
	}
	l.f = flusherOf(t, st)
	l.c = own(t, l.f, 1)
	fill(t, l.c, length)
	mustFlush(t, l.c)
	if l.b, err = l.c.Backing(); errors.Is(err, errors.ErrUnsupported) && os.Getenv("CI") != "true" {
		t.Skip("the file system cannot reserve room: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.giveBack)
	return l
}

func (l *lending) giveBack() {
	l.t.Helper()
	if err := l.b.Return(); err != nil {
		l.t.Error(err)
	}
	l.b.File().Close()
}

// file is all that who reads past the core can read.
func (l *lending) file() string {
	l.t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(l.b.File(), 0, 1<<40))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

// fails has calls on the files of a store fail that match.
func (l *lending) fails(err error, match func(op storagetest.Op, name string) bool) {
	l.faults.Hook(func(op storagetest.Op, name string) error {
		if match(op, name) {
			return err
		}
		return nil
	})
}

// allocated is the room that the file of blocks takes, in bytes.
func (l *lending) allocated() int64 {
	l.t.Helper()
	var s unix.Stat_t
	if err := unix.Stat(filepath.Join(l.dir, "cores", l.c.id.String(), "blocks"), &s); err != nil {
		l.t.Fatal(err)
	}
	return s.Blocks * 512
}

func logOf(length uint64, block func(uint64) []byte) string {
	var b bytes.Buffer
	for i := range length {
		b.Write(block(i))
	}
	return b.String()
}

// TestBackingRefused: an append that is refused, at whatever step, is not seen in
// a file that is lent.
func TestBackingRefused(t *testing.T) {
	l := lend(t, 3)
	want := logOf(3, blockOf)
	large := bytes.Repeat([]byte{'x'}, 2*reserveAhead)
	for _, op := range []storagetest.Op{storagetest.Reserve, storagetest.Write} {
		full := true // until a write to the tree was refused; what undoes it goes through
		l.fails(syscall.ENOSPC, func(o storagetest.Op, name string) bool {
			if o == storagetest.Write && strings.HasSuffix(name, "blocks") {
				t.Errorf("%s fails, and blocks are written", op)
			}
			if o != op || op == storagetest.Write && !strings.HasSuffix(name, "tree") || !full {
				return false
			}
			full = op == storagetest.Reserve
			return true
		})
		if _, err := l.c.Append(t.Context(), large); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%s: %v", op, err)
		}
		l.faults.Hook(nil)
		if got := l.file(); got != want {
			t.Fatalf("%s: %d bytes are seen, want %d", op, len(got), len(want))
		}
	}
	fill(t, l.c, 5)
	if got, want := l.file(), logOf(5, blockOf); got != want || l.b.ByteLength() != uint64(len(want)) {
		t.Fatalf("%q of %d bytes, want %q", got, l.b.ByteLength(), want)
	}
	checkLog(t, l.c, 5, blockOf)
}

// TestBackingTorn: what was seen in the file is not cut again. The core fails,
// and has it when it is opened anew.
func TestBackingTorn(t *testing.T) {
	l := lend(t, 3)
	l.fails(syscall.EIO, func(op storagetest.Op, name string) bool {
		return op == storagetest.Write && strings.HasSuffix(name, "blocks")
	})
	if _, err := l.c.Append(t.Context(), []byte("torn")); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	l.faults.Hook(nil)
	if got, want := l.file(), logOf(3, blockOf); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	if l.b.Whole() {
		t.Error("the file of a failed core is the log")
	}
	l.c.Close()
	l.c = own(t, l.f, 1)
	checkLog(t, l.c, 3, blockOf)
	fill(t, l.c, 4)
}

// TestBackingFollowed: who reads to the end of the file, and then asks for the
// size, as tail does, never sees a shorter one, and each byte once.
func TestBackingFollowed(t *testing.T) {
	l := lend(t, 0)
	const blocks = 2000
	var group sync.WaitGroup
	group.Go(func() {
		other := own(t, l.f, 2)
		for i := uint64(0); i < blocks; i += 2 {
			if err := AppendAll(context.Background(), []Batch{
				{l.c, [][]byte{blockOf(i), blockOf(i + 1)}}, {other, [][]byte{[]byte("elsewhere")}},
			}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	want := logOf(blocks, blockOf)
	var got []byte
	buf := make([]byte, 64<<10)
	for end := time.Now().Add(time.Minute); len(got) < len(want); {
		n, err := l.b.File().ReadAt(buf, int64(len(got)))
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
		if size := l.b.ByteLength(); size < uint64(len(got)) {
			t.Fatalf("%d bytes were read, and the size is %d", len(got), size)
		}
		if time.Now().After(end) {
			t.Fatal("it does not grow")
		}
	}
	group.Wait()
	if string(got) != want {
		t.Fatal("other bytes were read than appended")
	}
}

// TestBackingCleared: what is cleared stays readable in a file that is lent, and
// the room is free soon after.
func TestBackingCleared(t *testing.T) {
	l := lend(t, 0)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if _, err := l.c.Append(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, l.c)
	mapped, err := unix.Mmap(int(l.b.File().Fd()), 0, len(big), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := l.c.Clear(t.Context(), 0, 1); err != nil || n != (Amount{1, uint64(len(big))}) {
		t.Fatal(n, err)
	}
	if l.file() != string(big) {
		t.Fatal("cleared bytes are gone from a file that is lent")
	}
	if l.b.Whole() {
		t.Error("the file of a core that was cleared is the log")
	}
	if _, err := l.c.Backing(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("lent again: %v", err)
	}
	l.giveBack()
	l.c.punchAgain()
	if !bytes.Equal(mapped, big) {
		t.Fatal("cleared bytes are gone from a file that is mapped")
	}
	if err := unix.Munmap(mapped); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); l.allocated() >= int64(len(big)); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the file takes %d bytes", l.allocated())
		}
	}
}

// TestBackingClosed: what is still to be freed is freed when the core is closed.
func TestBackingClosed(t *testing.T) {
	l := lend(t, 0)
	const size = 1 << 20
	if _, err := l.c.Append(t.Context(), bytes.Repeat([]byte{'x'}, size)); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, l.c)
	if _, err := l.c.Clear(t.Context(), 0, 1); err != nil {
		t.Fatal(err)
	}
	l.giveBack()
	if err := l.c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := l.allocated(); n >= size {
		t.Errorf("the file takes %d bytes", n)
	}
}

// TestBackingReturned: the room beyond the end is given back.
func TestBackingReturned(t *testing.T) {
	l := lend(t, 0)
	before := l.allocated()
	fill(t, l.c, 3)
	if l.allocated() < reserveAhead {
		t.Fatalf("%d bytes are reserved", l.allocated())
	}
	l.giveBack()
	mustFlush(t, l.c)
	if after := l.allocated(); after > before+filePage {
		t.Errorf("%d bytes before, %d after", before, after)
	}
	checkLog(t, l.c, 3, blockOf)
}

// TestBackingAdopted: a file that is lent never has the holes of a head that was
// adopted, nor those of a core that goes on in a copy.
func TestBackingAdopted(t *testing.T) {
	for tail := range uint64(3) {
		testBackingAdopted(t, tail, true)
		testBackingAdopted(t, tail, false)
	}
}

// testBackingAdopted appends so many blocks that move. lent: the loan goes on;
// else somebody has the file open still.
func testBackingAdopted(t *testing.T, tail uint64, lent bool) {
	t.Helper()
	l := lend(t, 4)
	if !lent {
		if err := l.b.Return(); err != nil {
			t.Fatal(err)
		}
	}
	source := own(t, newFlusher(t), 1)
	fill(t, source, 9)
	mustFlush(t, source)
	l.c.mu.Lock()
	l.c.settling = true // or what is appended is signed at once
	l.c.mu.Unlock()
	for i := range tail {
		if _, err := l.c.Append(t.Context(), late(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := upgrade(source, l.c); err != nil {
		t.Fatal(err)
	}
	if got, want := l.file(), logOf(4, blockOf); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	if l.b.Whole() {
		t.Error("the file is the log still")
	}
	checkAdopted(t, l.c, 4, 9, tail)
	for i := uint64(8); i >= 4; i-- {
		if err := fetchBlock(source, l.c, i); err != nil {
			t.Fatal(err)
		}
	}
	checkLog(t, l.c, 9+tail, moved(9))
	if got, want := l.file(), logOf(4, blockOf); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	if err := l.c.Settled(); err != nil {
		t.Fatal(err)
	}
	again, err := l.c.Backing()
	if err != nil {
		t.Fatal(err)
	}
	old := l.b
	l.b = again
	if got, want := l.file(), logOf(9+tail, moved(9)); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	old.Return()
	old.File().Close()
	if !again.Whole() {
		t.Error("the end of an earlier loan ends the next one")
	}
}

// TestBackingAdoptedLater: where a copy cannot be made the core fails, and adopts
// when it is opened anew, with the file still in use.
func TestBackingAdoptedLater(t *testing.T) {
	l := lend(t, 4)
	source := own(t, newFlusher(t), 1)
	fill(t, source, 9)
	mustFlush(t, source)
	l.c.mu.Lock()
	l.c.settling = true // or what is appended is signed at once
	l.c.mu.Unlock()
	if _, err := l.c.Append(t.Context(), late(0), late(1)); err != nil {
		t.Fatal(err)
	}
	l.fails(syscall.ENOSPC, func(op storagetest.Op, name string) bool {
		return op == storagetest.Write && strings.HasSuffix(name, "blocks.new")
	})
	if err := upgrade(source, l.c); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	l.faults.Hook(nil)
	l.c.Close()
	l.c = own(t, l.f, 1, func(o *Options) { o.Settle = true })
	checkAdopted(t, l.c, 4, 9, 2)
	if got, want := l.file(), logOf(4, blockOf); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

// TestBackingTruncated: the file is cut with the log.
func TestBackingTruncated(t *testing.T) {
	l := lend(t, 6)
	if err := l.c.Truncate(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if got, want := l.file(), logOf(3, blockOf); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	refill(t, l.c, 5, forked(1))
	if got, want := l.file(), logOf(3, blockOf)+string(forked(1)(3))+string(forked(1)(4)); got != want || !l.b.Whole() {
		t.Fatalf("%q, want %q", got, want)
	}
}

// TestBackingNot: the file of some cores is not their log.
func TestBackingNot(t *testing.T) {
	for name, open := range map[string]func(f *Flusher) *Core{
		"remote":    func(f *Flusher) *Core { return replica(t, f, 1) },
		"held":      func(f *Flusher) *Core { return own(t, f, 1, held(0)) },
		"encrypted": func(f *Flusher) *Core { return encrypt(t, own(t, f, 1)) },
	} {
		if _, err := open(flusherOf(t, diskStore(t))).Backing(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := own(t, newFlusher(t), 1).Backing(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("in memory: %v", err)
	}
}
