package fs

import (
	"bytes"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/hanwen/go-fuse/v2/splice"
	"golang.org/x/sys/unix"
)

// TestSpliced reads a remote log in pieces of every size, over and over, while its
// blocks are cleared and fetched again: no byte is ever another one.
func TestSpliced(t *testing.T) {
	a, b := newMachine(t, true), newMachine(t, true)
	want := make([]byte, 1<<20+12345)
	rand.NewChaCha8([32]byte{'s'}).Read(want)
	for rest := want; len(rest) > 0; {
		n := min(len(rest), 1000+rand.IntN(99_000)) // ends within pages
		a.append("core-3", string(rest[:n]))
		rest = rest[n:]
	}
	connect(t, a, b)
	m := remoteMount(t, b, 0)
	name := m.path(a.own.Key().String() + "/core-3/log")
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	c := b.remoteCore(a, "core-3")
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			from := rand.Uint64N(c.Info().Length)
			if _, err := c.Clear(t.Context(), from, from+4); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			f, err := os.Open(name)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			buf := make([]byte, 1<<20)
			for range 150 {
				off := rand.IntN(len(want))
				p := buf[:min(1+rand.IntN(300_000), len(want)-off)]
				if n, err := f.ReadAt(p, int64(off)); err != nil || !bytes.Equal(p, want[off:off+len(p)]) {
					t.Errorf("%d bytes at %d: %d, %v, or others", len(p), off, n, err)
					return
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	group.Wait()
}

// TestSplicedWhole: a read that is in the middle of a log is never cut, wherever
// its pages begin and however large the pipe is.
func TestSplicedWhole(t *testing.T) {
	a := newMachine(t, true)
	page := os.Getpagesize()
	block := make([]byte, 1<<20+2*page)
	rand.NewChaCha8([32]byte{'w'}).Read(block)
	a.append("core-3", string(block))
	m := mount(t, "", a.options())
	m.tree.kernel.refuses.Store(true)
	f := m.open("core-3/log")
	got := make([]byte, 1<<20)
	for size := 16 * page; size <= 1<<20; size *= 2 {
		for _, less := range []int{0, 1, 16, page, page + 1, page + 16, page + 17, 2*page - 2, 2*page - 1, 2 * page} {
			for _, off := range []int{0, 1, page / 2, page - 16, page - 1} {
				splice.ClearSplicePool() // pipes that are large enough by chance
				n, err := unix.Pread(int(f.Fd()), got[:size-less], int64(off))
				if err != nil || n != size-less || !bytes.Equal(got[:n], block[off:off+n]) {
					t.Errorf("%d bytes at %d: %d, %v, or others", size-less, off, n, err)
				}
			}
		}
	}
}
