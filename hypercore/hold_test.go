package hypercore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

func held(unheld uint64) func(*Options) {
	return func(o *Options) { o.Hold, o.Unheld = true, unheld }
}

// late is block i of what a restored store appends.
func late(i uint64) []byte { return bytes.Repeat(fmt.Appendf(nil, "late %d,", i), int(i*5%4)) }

func TestHold(t *testing.T) {
	stores(t, func(t *testing.T, f *Flusher) {
		c := own(t, f, 1, held(1))
		fill(t, c, 4)
		mustFlush(t, c)
		if info := c.Info(); info.Length != 4 || info.Durable != 1 || !info.Held {
			t.Fatalf("%+v", info)
		}
		if h := c.Head(); h.Length != 1 || c.Manifest().Verify(h.Tree, h.Signature) != nil {
			t.Fatalf("head of length %d", h.Length)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = own(t, f, 1)
		checkLog(t, c, 4, blockOf)
		fill(t, c, 6)
		if info := c.Info(); info.Durable != 1 || !info.Held {
			t.Fatalf("%+v", info)
		}
		if err := c.Release(); err != nil {
			t.Fatal(err)
		}
		mustFlush(t, c)
		if info := c.Info(); info.Durable != 6 || info.Held {
			t.Fatalf("%+v", info)
		}
		c.Close()
		c = own(t, f, 1, held(0))
		if info := c.Info(); info.Held || info.Length != 6 {
			t.Fatalf("hold on a core that was there: %+v", info)
		}
	})
}

// TestHeldTailIsDurable: what was flushed while held is missed like anything
// below a head.
func TestHeldTailIsDurable(t *testing.T) {
	k := newCrash(t)
	pair := testPair(1)
	c, err := Open(k.f, Options{Key: testKey(1), KeyPair: &pair, Hold: true})
	k.check(err)
	k.grow(c, 6)
	k.check(c.Close())
	blocks, tree := k.read("blocks"), k.read("tree")
	for b := range blocks {
		k.replace("blocks", blocks[:b])
		if _, err := k.open(); !errors.Is(err, ErrDamaged) {
			t.Fatalf("blocks cut at %d: %v", b, err)
		}
	}
	k.replace("blocks", blocks)
	for n := range tree {
		k.replace("tree", tree[:n])
		if _, err := k.open(); !errors.Is(err, ErrDamaged) {
			t.Fatalf("tree cut at %d: %v", n, err)
		}
	}
}

// restored is a store that goes on from a backup of `backup` blocks and
// appended `tail` more while held.
func restored(t testing.TB, f *Flusher, backup, tail uint64) *Core {
	t.Helper()
	c := own(t, f, 1, held(backup))
	fill(t, c, backup)
	for i := range tail {
		if _, err := c.Append(context.Background(), late(i)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// moved is the log after a head of `length` blocks was adopted.
func moved(length uint64) func(uint64) []byte {
	return func(i uint64) []byte {
		if i < length {
			return blockOf(i)
		}
		return late(i - length)
	}
}

func TestAdopt(t *testing.T) {
	source := own(t, newFlusher(t), 1)
	for length := range uint64(11) {
		fill(t, source, length)
		mustFlush(t, source)
		for backup := range length {
			for tail := range uint64(5) {
				f := newFlusher(t)
				c := restored(t, f, backup, tail)
				mustFlush(t, c)
				var events []Event
				c.Subscribe(func(e Event) { events = append(events, e) })
				if err := upgrade(source, c); err != nil {
					t.Fatalf("backup %d, tail %d, length %d: %v", backup, tail, length, err)
				}
				checkAdopted(t, c, backup, length, tail)
				want := fmt.Sprint([]Event{{Upgraded, backup, length}, {Appended, length, length + tail}})
				if tail == 0 {
					want = fmt.Sprint([]Event{{Upgraded, backup, length}})
				}
				if got := fmt.Sprint(events); got != want {
					t.Fatalf("events %s, want %s", got, want)
				}
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				c = own(t, f, 1)
				checkAdopted(t, c, backup, length, tail)
				finishAdopted(t, source, c, length, tail)
			}
		}
	}
}

// checkAdopted: the head is the adopted one, the tail lies behind it, and what
// lies between is not held.
func checkAdopted(t testing.TB, c *Core, backup, length, tail uint64) {
	t.Helper()
	if info := c.Info(); info.Length != length+tail || info.Durable != length || !info.Held || c.Head().Length != length {
		t.Fatalf("%+v", info)
	}
	for i := range length + tail {
		block, err := c.Block(i)
		if i >= backup && i < length {
			if !errors.Is(err, ErrNotHeld) {
				t.Fatalf("block %d is held: %q, %v", i, block, err)
			}
		} else if err != nil || !bytes.Equal(block, moved(length)(i)) {
			t.Fatalf("block %d: %q, %v, want %q", i, block, err, moved(length)(i))
		}
	}
}

// finishAdopted fetches what is missing, ends the hold and has a fresh replica
// verify the whole log.
func finishAdopted(t testing.TB, source, c *Core, length, tail uint64) {
	t.Helper()
	var all []uint64
	for i := range length + tail {
		all = append(all, i)
		if !c.Has(i) {
			transfer(t, source, c, i)
		}
	}
	checkLog(t, c, length+tail, moved(length))
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, c)
	r := replica(t, newFlusher(t), 1)
	transfer(t, c, r, all...)
	checkLog(t, r, length+tail, moved(length))
}

// TestAdoptCrash kills the store at each of its steps.
func TestAdoptCrash(t *testing.T) {
	const length = 7
	source := own(t, newFlusher(t), 1)
	fill(t, source, length)
	mustFlush(t, source)
	for _, backup := range []uint64{0, 1, 3, 4, 6} {
		for _, tail := range []uint64{1, 2, 5} {
			for step := int64(1); ; step++ {
				faults := &storagetest.Faults{FS: storage.MemoryFS()}
				st := &counting{Store: storage.MemoryOn(faults)}
				f := flusherOf(t, st)
				c := restored(t, f, backup, tail)
				mustFlush(t, c)
				dead := error(syscall.EIO)
				var ops atomic.Int64
				die := func() error {
					if ops.Add(1) < step {
						return nil
					}
					return dead
				}
				faults.Hook(func(storagetest.Op, string) error { return die() })
				st.before.Store(&die)
				err := upgrade(source, c)
				faults.Hook(nil)
				st.before.Store(nil)
				if err == nil {
					break
				}
				c.Close()
				c = own(t, f, 1)
				if c.Info().Length == backup+tail {
					if c.Head().Length != backup {
						t.Fatalf("step %d: head of length %d, log of %d", step, c.Head().Length, c.Info().Length)
					}
					checkLog(t, c, backup+tail, func(i uint64) []byte {
						return moved(backup)(i)
					})
					if err := upgrade(source, c); err != nil {
						t.Fatal(err)
					}
				}
				checkAdopted(t, c, backup, length, tail)
				finishAdopted(t, source, c, length, tail)
			}
		}
	}
}

// TestAdoptWhileAppending: nothing appended is lost or doubled, whatever the
// flusher and the readers do.
func TestAdoptWhileAppending(t *testing.T) {
	const length, tail = 40, 200
	source := own(t, newFlusher(t), 1)
	fill(t, source, length)
	mustFlush(t, source)
	c := restored(t, newFlusher(t), 5, 0)
	mustFlush(t, c)
	var work sync.WaitGroup
	stop := make(chan struct{})
	work.Go(func() {
		for i := range uint64(tail) {
			if _, err := c.Append(context.Background(), late(i)); err != nil {
				t.Error(err)
			}
		}
	})
	work.Go(func() {
		if err := upgrade(source, c); err != nil {
			t.Error(err)
		}
	})
	var readers sync.WaitGroup
	readers.Go(func() {
		for i := uint64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			n := c.Info().Length
			if n == 0 {
				continue
			}
			block, err := c.Block(i % n)
			if err != nil && !errors.Is(err, ErrNotHeld) {
				t.Errorf("block %d: %v", i%n, err)
			}
			if err == nil && i%n < 5 && !bytes.Equal(block, blockOf(i%n)) {
				t.Errorf("block %d: %q", i%n, block)
			}
			c.Flush(context.Background())
		}
	})
	work.Wait()
	close(stop)
	readers.Wait()
	mustFlush(t, c)
	checkAdopted(t, c, 5, length, tail)
	finishAdopted(t, source, c, length, tail)
}

// A tail that does not match its hashes is not moved: nothing changes, and the
// core can be opened as before.
func TestAdoptDamagedTail(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		f := newFlusher(t)
		source, c := own(t, newFlusher(t), 1), own(t, f, 1, held(2))
		if encrypted {
			encrypt(t, source)
			encrypt(t, c)
		}
		fill(t, source, 6)
		mustFlush(t, source)
		fill(t, c, 5)
		mustFlush(t, c)
		off, _, err := c.LocalExtent(4)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.files.WriteBlocks([]byte("x"), int64(off+4*c.padding()+3)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := upgrade(source, c); !errors.Is(err, ErrDamaged) {
				t.Fatalf("encrypted: %v: %v", encrypted, err)
			}
			if info := c.Info(); info.Length != 5 || info.Durable != 2 || info.Failed != nil {
				t.Fatalf("encrypted: %v: %+v", encrypted, info)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if c = own(t, f, 1); encrypted {
				encrypt(t, c)
			}
		}
	}
}

// What the record of a move says is held is on the disk by then, also blocks of
// an own core that were fetched a moment ago.
func TestAdoptSyncsBefore(t *testing.T) {
	source := own(t, newFlusher(t), 1)
	fill(t, source, 6)
	mustFlush(t, source)
	faults := &storagetest.Faults{FS: storage.MemoryFS()}
	st := &counting{Store: storage.MemoryOn(faults)}
	c := own(t, flusherOf(t, st), 1, held(0))
	transfer(t, source, c)
	mustFlush(t, c)
	fill(t, source, 9)
	mustFlush(t, source)

	dirty := make(map[string]bool)
	var mu sync.Mutex
	faults.Hook(func(op storagetest.Op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		switch op {
		case storagetest.Write:
			dirty[name] = true
		case storagetest.Sync:
			delete(dirty, name)
		case storagetest.SyncVolume:
			clear(dirty)
		}
		return nil
	})
	c.queued.Store(true) // no round starts
	defer c.queued.Store(false)
	for i := range uint64(6) {
		if err := fetchBlock(source, c, i); err != nil {
			t.Fatal(err)
		}
	}
	stop, asked := errors.New("stop"), false
	before := func() error {
		mu.Lock()
		defer mu.Unlock()
		if asked = true; len(dirty) > 0 {
			t.Errorf("not on the disk: %v", dirty)
		}
		return stop
	}
	st.before.Store(&before)
	if err := upgrade(source, c); !errors.Is(err, stop) || !asked {
		t.Fatal(asked, err)
	}
}

// Records that are damaged keep nobody from holding the other cores; one of a
// later version does, since that would open it.
func TestHoldOwnDamaged(t *testing.T) {
	st := storage.Memory()
	f := flusherOf(t, st)
	for n := range byte(3) {
		c := own(t, f, n)
		fill(t, c, 2)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	change := func(bucket string, n byte, fn func([]byte)) {
		t.Helper()
		if err := st.Update(func(tx storage.Tx) error {
			id := testKey(n).Discovery()
			b := bytes.Clone(tx.Bucket(bucket).Get(id[:]))
			fn(b)
			return tx.Bucket(bucket).Put(id[:], b)
		}); err != nil {
			t.Fatal(err)
		}
	}
	change(coreBucket, 0, func(b []byte) { b[9]++ })
	change(headBucket, 1, func(b []byte) { b[9]++ })
	if err := st.Update(HoldOwn); err != nil {
		t.Fatal(err)
	}
	if c := own(t, f, 2); !c.Info().Held {
		t.Fatal("a core with good records is not held")
	}
	for n := range byte(2) {
		pair := testPair(n)
		if _, err := Open(f, Options{Key: testKey(n), KeyPair: &pair}); !errors.Is(err, ErrDamaged) {
			t.Fatalf("core %d: %v", n, err)
		}
	}
	change(headBucket, 1, func(b []byte) { b[9]-- })
	if c := own(t, f, 1); !c.Info().Held {
		t.Fatal("a core whose head record could not be read is not held")
	}
	change(coreBucket, 0, func(b []byte) { b[0] = recordVersion + 1 })
	if err := st.Update(HoldOwn); !errors.Is(err, storage.ErrNewer) {
		t.Fatal(err)
	}
}
