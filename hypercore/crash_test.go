package hypercore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"testing"

	"multicore/hypercore/storage"
)

// crash is an own core over files that a test can damage.
type crash struct {
	t  testing.TB
	fs storage.FS
	st storage.Store
	f  *Flusher
	id DiscoveryKey
}

func newCrash(t testing.TB) *crash {
	fsys := storage.MemoryFS()
	st := storage.MemoryOn(fsys)
	return &crash{t: t, fs: fsys, st: st, f: NewFlusher(st, nil), id: testKey(1).Discovery()}
}

func (k *crash) check(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// open opens the core as its writer.
func (k *crash) open() (*Core, error) {
	pair := testPair(1)
	return Open(k.f, Options{Key: testKey(1), KeyPair: &pair})
}

// small is block i of these logs, short so that every cut can be tried.
func small(i uint64) []byte { return bytes.Repeat([]byte{byte('a' + i)}, int(i*2%5)) }

func (k *crash) grow(c *Core, to uint64) {
	k.t.Helper()
	for i := c.Info().Length; i < to; i++ {
		_, err := c.Append(context.Background(), small(i))
		k.check(err)
	}
}

// write makes a log of some length with a durable head of another, as a crash
// between append and flush leaves it.
func (k *crash) write(durable, length uint64) {
	k.t.Helper()
	c, err := k.open()
	k.check(err)
	k.grow(c, durable)
	k.check(c.Flush(context.Background()))
	records := k.records()
	k.grow(c, length)
	k.check(c.Close())
	k.restore(records)
}

// recordName is where a record is.
type recordName struct{ bucket, key string }

// records copies all records of the core.
func (k *crash) records() map[recordName][]byte {
	all := make(map[recordName][]byte)
	k.check(k.st.View(func(tx storage.Tx) error {
		for _, bucket := range []string{coreBucket, headBucket, bitfieldBucket} {
			if err := tx.Bucket(bucket).Scan(k.id[:], func(key, value []byte) error {
				all[recordName{bucket, string(key)}] = bytes.Clone(value)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	}))
	return all
}

// restore brings back earlier records.
func (k *crash) restore(records map[recordName][]byte) {
	now := k.records()
	k.check(k.st.Update(func(tx storage.Tx) error {
		for name := range now {
			if err := tx.Bucket(name.bucket).Delete([]byte(name.key)); err != nil {
				return err
			}
		}
		for name, value := range records {
			if err := tx.Bucket(name.bucket).Put([]byte(name.key), value); err != nil {
				return err
			}
		}
		return nil
	}))
}

// file opens `blocks` or `tree`.
func (k *crash) file(name string) storage.File {
	dir := path.Join("cores", k.id.String())
	if err := k.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		k.t.Fatal(err)
	}
	f, err := k.fs.Open(path.Join(dir, name), true)
	k.check(err)
	return f
}

func (k *crash) size(name string) int64 {
	n, err := k.file(name).Size()
	k.check(err)
	return n
}

// read gives the whole content of a file.
func (k *crash) read(name string) []byte {
	b := make([]byte, k.size(name))
	if len(b) > 0 {
		_, err := k.file(name).ReadAt(b, 0)
		k.check(err)
	}
	return b
}

// replace sets the content of a file.
func (k *crash) replace(name string, content []byte) {
	f := k.file(name)
	k.check(f.Truncate(0))
	_, err := f.WriteAt(content, 0)
	k.check(err)
}

// recovered opens the core and checks that it is a prefix of what was written,
// not shorter than the durable head, and that it grows on as if nothing had
// happened: a fresh replica verifies every block. It gives the length found.
func (k *crash) recovered(durable, length uint64) uint64 {
	k.t.Helper()
	c, err := k.open()
	k.check(err)
	got := c.Info().Length
	if got < durable || got > length {
		k.t.Fatalf("recovered length %d of %d, durable %d", got, length, durable)
	}
	next := func(i uint64) []byte {
		if i < got {
			return small(i)
		}
		return bytes.Repeat([]byte{byte('A' + i)}, int(i*3%4))
	}
	checkBlocks(k.t, c, got, next)
	for i := got; i < got+4; i++ {
		_, err := c.Append(context.Background(), next(i))
		k.check(err)
	}
	k.check(c.Flush(context.Background()))
	f := NewFlusher(storage.Memory(), nil)
	r, err := Open(f, Options{Key: testKey(1)})
	k.check(err)
	var blocks []uint64
	for i := range got + 4 {
		blocks = append(blocks, i)
	}
	transfer(k.t, c, r, blocks...)
	checkBlocks(k.t, r, got+4, next)
	k.check(r.Close())
	k.check(c.Close())
	if c, err = k.open(); err != nil {
		k.t.Fatal(err)
	}
	checkBlocks(k.t, c, got+4, next)
	k.check(c.Close())
	return got
}

// checkBlocks is checkLog by blocks alone.
func checkBlocks(t testing.TB, c *Core, length uint64, block func(uint64) []byte) {
	t.Helper()
	if info := c.Info(); info.Length != length || info.Contiguous != length {
		t.Fatalf("length %d, contiguous %d, want %d", info.Length, info.Contiguous, length)
	}
	for i := range length {
		if got, err := c.Block(i); err != nil || !slices.Equal(got, block(i)) {
			t.Fatalf("block %d: %q, %v, want %q", i, got, err, block(i))
		}
	}
}
