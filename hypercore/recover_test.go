package hypercore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"multicore/hypercore/storage"
)

// sizeAt are the sizes of the files of a log of small blocks.
func sizeAt(length uint64) (blocks, tree int64) {
	for i := range length {
		blocks += int64(len(small(i)))
	}
	return blocks, int64(firstBeyond(length)) * treeNodeBytes
}

// cuts are the ends that a file is cut at: for `tree` each node boundary, and
// within each node.
func treeCuts(from, to int64) []int64 {
	var list []int64
	for n := from; n < to; n += treeNodeBytes {
		list = append(list, n, n+9, n+treeNodeBytes-1)
	}
	return append(list, to)
}

// TestRecoverEveryCut cuts both files of small logs at every place beyond the
// durable head.
func TestRecoverEveryCut(t *testing.T) {
	for length := range uint64(6) {
		for durable := range length + 1 {
			whole := newCrash(t)
			whole.write(durable, length)
			blocks, tree, records := whole.read("blocks"), whole.read("tree"), whole.records()
			minBlocks, minTree := sizeAt(durable)
			for b := minBlocks; b <= int64(len(blocks)); b++ {
				for _, n := range treeCuts(minTree, int64(len(tree))) {
					k := newCrash(t)
					k.replace("blocks", blocks[:b])
					k.replace("tree", tree[:n])
					k.restore(records)
					got := k.recovered(durable, length)
					if b == int64(len(blocks)) && n == int64(len(tree)) && got != length {
						t.Fatalf("durable %d: %d of %d blocks recovered from whole files", durable, got, length)
					}
				}
			}
		}
	}
}

// TestRecoverGarbage overwrites the ends of both files, from every place on,
// with what a power cut may leave there.
func TestRecoverGarbage(t *testing.T) {
	for _, garbage := range []byte{0, 0xff} {
		for length := range uint64(5) {
			for durable := range length + 1 {
				whole := newCrash(t)
				whole.write(durable, length)
				blocks, tree, records := whole.read("blocks"), whole.read("tree"), whole.records()
				minBlocks, minTree := sizeAt(durable)
				spoil := func(b []byte, from int64) []byte {
					b = append(bytes.Clone(b), make([]byte, 3*treeNodeBytes)...)
					for i := from; i < int64(len(b)); i++ {
						b[i] = garbage
					}
					return b
				}
				for b := minBlocks; b <= int64(len(blocks)); b++ {
					for _, n := range treeCuts(minTree, int64(len(tree))) {
						k := newCrash(t)
						k.replace("blocks", spoil(blocks, b))
						k.replace("tree", spoil(tree, n))
						k.restore(records)
						k.recovered(durable, length)
					}
				}
			}
		}
	}
}

// TestRecoverLostNodes takes single nodes away, as writes that came out of
// order do.
func TestRecoverLostNodes(t *testing.T) {
	for length := range uint64(9) {
		for durable := range length + 1 {
			for index := firstBeyond(durable); index < firstBeyond(length); index++ {
				k := newCrash(t)
				k.write(durable, length)
				k.check(k.st.Files(storage.ID(k.id)).EraseNodes([]uint64{index}))
				k.recovered(durable, length)
			}
			for _, index := range spanning(durable) {
				k := newCrash(t)
				k.write(durable, length)
				k.check(k.st.Files(storage.ID(k.id)).EraseNodes([]uint64{index}))
				k.recovered(durable, length)
			}
		}
	}
}

// TestDamageBelowHead truncates the files of an own core below its durable
// head, and flips bytes of its roots: an error that says where, and nothing
// changes.
func TestDamageBelowHead(t *testing.T) {
	const length = 7
	whole := newCrash(t)
	whole.write(length, length)
	blocks, tree, records := whole.read("blocks"), whole.read("tree"), whole.records()
	try := func(name string, b, n []byte, r map[recordName][]byte) {
		t.Helper()
		k := newCrash(t)
		k.replace("blocks", b)
		k.replace("tree", n)
		k.restore(r)
		c, err := k.open()
		var damage *DamageError
		if !errors.Is(err, ErrDamaged) || !errors.As(err, &damage) {
			t.Fatalf("%s: %v, %v", name, c, err)
		}
		if !bytes.Equal(k.read("blocks"), b) || !bytes.Equal(k.read("tree"), n) || fmt.Sprint(k.records()) != fmt.Sprint(r) {
			t.Fatalf("%s: changed by opening", name)
		}
	}
	for b := range blocks {
		try(fmt.Sprintf("blocks cut at %d", b), blocks[:b], tree, records)
	}
	for n := range tree {
		try(fmt.Sprintf("tree cut at %d", n), blocks, tree[:n], records)
	}
	for _, root := range []int{3, 9, 12} { // of length 7
		for i := root * treeNodeBytes; i < (root+1)*treeNodeBytes; i++ {
			bad := bytes.Clone(tree)
			bad[i] ^= 1
			try(fmt.Sprintf("tree byte %d", i), blocks, bad, records)
		}
	}
	for name, value := range records {
		for i := range value {
			if i == 0 && value[0]^2 > recordVersion {
				continue // a later version: another error
			}
			bad := make(map[recordName][]byte)
			for n, v := range records {
				bad[n] = bytes.Clone(v)
			}
			bad[name][i] ^= 2
			try(fmt.Sprintf("%s record, byte %d", name.bucket, i), blocks, tree, bad)
		}
		bad := make(map[recordName][]byte)
		for n, v := range records {
			bad[n] = bytes.Clone(v)
		}
		bad[name] = append([]byte{recordVersion + 1}, value[1:]...)
		k := newCrash(t)
		k.restore(bad)
		if _, err := k.open(); !errors.Is(err, storage.ErrNewer) || errors.Is(err, ErrDamaged) {
			t.Fatalf("%s record of a later version: %v", name.bucket, err)
		}
	}
}

// TestReplicaDropsWhatIsMissing cuts the blocks of a replica: what is gone is
// fetched again.
func TestReplicaDropsWhatIsMissing(t *testing.T) {
	const length = 9
	source := newCrash(t)
	source.write(length, length)
	c, err := source.open()
	source.check(err)
	total, _ := sizeAt(length)
	for cut := range total {
		for mask := range 1 << length {
			if mask%7 != 0 { // a sample of the sets of blocks
				continue
			}
			k := newCrash(t)
			r, err := Open(k.f, Options{Key: testKey(1)})
			k.check(err)
			transfer(t, c, r)
			for i := range uint64(length) {
				if mask>>i&1 == 1 {
					transfer(t, c, r, i)
				}
			}
			k.check(r.Close())
			if b := k.read("blocks"); int64(len(b)) > cut {
				k.replace("blocks", b[:cut])
			}
			r, err = Open(k.f, Options{Key: testKey(1)})
			k.check(err)
			for i := range uint64(length) {
				block, err := r.Block(i)
				if r.Has(i) && (err != nil || !bytes.Equal(block, small(i))) {
					t.Fatalf("cut %d, mask %b: block %d: %q, %v", cut, mask, i, block, err)
				}
				if end, _ := sizeAt(i + 1); mask>>i&1 == 1 && end < cut && !r.Has(i) {
					t.Fatalf("cut %d, mask %b: block %d is given up", cut, mask, i)
				}
				transfer(t, c, r, i)
			}
			checkBlocks(t, r, length, small)
			k.check(r.Close())
		}
	}
}

// TestCutMark finishes a cut that was begun: what lies beyond the head goes, even
// where it agrees.
func TestCutMark(t *testing.T) {
	for length := range uint64(7) {
		for durable := range length + 1 {
			k := newCrash(t)
			k.write(durable, length)
			records := k.records()
			name := recordName{headBucket, string(k.id[:])}
			if records[name] == nil {
				continue // nothing was ever recorded
			}
			head, err := parseHeadRecord(records[name])
			k.check(err)
			head.cut = true
			records[name] = head.append(nil)
			k.restore(records)
			if got := k.recovered(durable, length); got != durable {
				t.Fatalf("%d blocks behind a cut at %d", got, durable)
			}
		}
	}
}

// An empty block that was appended behind blocks that are not held, and so beyond
// the end of the file, is there after a crash.
func TestRecoverEmptyBlockBeyondTheFile(t *testing.T) {
	ctx := context.Background()
	source := own(t, newFlusher(t), 1)
	fill(t, source, 5)
	mustFlush(t, source)
	st := &counting{Store: storage.Memory()}
	f := flusherOf(t, st)
	c := own(t, f, 1, func(o *Options) { o.Hold = true })
	if err := upgrade(source, c); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, c)
	dead := error(syscall.EIO)
	st.fail.Store(&dead)
	if _, err := c.Append(ctx, nil); err != nil {
		t.Fatal(err)
	}
	c.Close()
	st.fail.Store(nil)
	c = own(t, f, 1)
	if length := c.Info().Length; length != 6 {
		t.Fatalf("length %d after a crash, want 6", length)
	}
	if b, err := c.Block(5); err != nil || len(b) != 0 {
		t.Fatalf("%q, %v", b, err)
	}
}
