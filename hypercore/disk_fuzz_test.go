package hypercore

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

func FuzzBitfieldPage(f *testing.F) {
	f.Add(uint64(0), []byte{1})
	f.Add(uint64(3), bytes.Repeat([]byte{0xff}, pageBytes))
	f.Add(uint64(1<<40), []byte{0, 0, 7})
	f.Fuzz(func(t *testing.T, n uint64, record []byte) {
		var b bitfield
		if err := b.load(n, record); err != nil {
			if len(b.pages) > 0 {
				t.Fatal("a page that was refused is there")
			}
			return
		}
		if again := b.pages[n].appendRecord(nil); !bytes.Equal(again, record) {
			t.Fatalf("page of %d bytes is written again as %d", len(record), len(again))
		}
		first, ok := b.next(0)
		if !ok || first/pageBits != n || !b.has(first) {
			t.Fatalf("first bit is %d, %t", first, ok)
		}
		b.set(0, 3)
		b.clear(first, first+1)
		if b.has(first) {
			t.Fatalf("bit %d is set after it was cleared", first)
		}
	})
}

// FuzzSignature: nobody but the signers makes a signature.
func FuzzSignature(f *testing.F) {
	pair := testPair(1)
	signer := Signer{PublicKey: [32]byte(pair.Public)}
	tree := merkle.Tree{Length: 1, Roots: []merkle.Node{{Size: 3, Hash: merkle.Hash{1}}}}
	for version := range uint64(2) {
		good, err := pair.Sign(DefaultManifest(pair.Public), tree)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(version, uint64(1), good)
		f.Add(version, uint64(1<<40), append([]byte{2}, bytes.Repeat([]byte{1}, 300)...))
	}
	f.Fuzz(func(t *testing.T, version, length uint64, signature []byte) {
		m := &Manifest{Version: version % 2, Quorum: 1, AllowPatch: true, Signers: []Signer{signer}}
		bare := merkle.Tree{Fork: 1, Length: length % (merkle.MaxLength + 1)}
		if err := m.Verify(bare, signature); err == nil {
			t.Fatal("a signature from nowhere is good")
		}
	})
}

// diskNodes reads nodes from a fuzzer's bytes: a size and a hash each.
func diskNodes(b []byte) (list []merkle.Node) {
	for i := uint64(0); len(b) >= treeNodeBytes && i < 200; i++ {
		n := merkle.Node{Index: i, Size: binary.LittleEndian.Uint64(b) & merkle.MaxSize, Hash: merkle.Hash(b[8:treeNodeBytes])}
		if b = b[treeNodeBytes:]; n.Hash != (merkle.Hash{}) {
			list = append(list, n)
		}
	}
	return list
}

// FuzzOpen opens a core from a disk that tells anything, but signs what it tells,
// and uses it: it may be damaged, and nothing worse.
func FuzzOpen(f *testing.F) {
	source := own(f, newFlusher(f), 1)
	fill(f, source, 7)
	mustFlush(f, source)
	var tree []byte
	for index := range uint64(13) {
		n, _, err := source.files.Node(index)
		if err != nil {
			f.Fatal(err)
		}
		tree = append(binary.LittleEndian.AppendUint64(tree, n.Size), n.Hash[:]...)
	}
	blocks := make([]byte, source.Info().ByteLength)
	if _, err := source.files.ReadBlocks(blocks, 0); err != nil {
		f.Fatal(err)
	}
	for _, flags := range []byte{0, 1, 3, 5, 7} {
		f.Add(flags, byte(7), byte(7), byte(0), []byte{}, tree, blocks)
		f.Add(flags, byte(4), byte(2), byte(3), []byte{0xf8}, tree, blocks)
		f.Add(flags, byte(6), byte(6), byte(0), []byte{}, tree[:9*treeNodeBytes], blocks[:len(blocks)/2])
		f.Add(flags, byte(0), byte(0), byte(0), []byte{}, tree, blocks)
	}
	f.Fuzz(func(t *testing.T, flags, length, contiguous, tail byte, page, tree, blocks []byte) {
		mine := flags&1 != 0
		st := storage.Memory()
		id := testKey(1).Discovery()
		files := st.Files(storage.ID(id))
		nodes := diskNodes(tree)
		if files.WriteNodes(nodes) != nil || files.WriteBlocks(blocks, 0) != nil {
			t.Fatal("the files cannot be written")
		}
		head := headRecord{contiguous: uint64(contiguous), cut: flags&2 != 0, grown: time.UnixMicro(1)}
		roots, err := readRoots(files, uint64(length))
		if err == nil {
			signed := merkle.Tree{Length: uint64(length), Roots: roots}
			if signed.ByteLength() > merkle.MaxSize {
				return // no record can tell of more
			}
			pair := testPair(1)
			if head.signature, err = pair.Sign(DefaultManifest(pair.Public), signed); err != nil {
				return
			}
			head.tree = recordTree(signed)
		}
		if more, err := readRoots(files, uint64(length)+uint64(tail)); err == nil && tail > 0 && mine {
			r := recordTree(merkle.Tree{Length: uint64(length) + uint64(tail), Roots: more})
			if r.size <= merkle.MaxSize {
				head.tail = &r
			}
		}
		info := coreRecord{key: testKey(1), own: mine, held: flags&4 != 0 && mine}
		err = st.Update(func(tx storage.Tx) error {
			return putRecords(tx, id, info.append(nil), &head, map[uint64][]byte{0: bytes.TrimRight(page, "\x00")})
		})
		if err != nil {
			t.Fatal(err)
		}
		useFromDisk(t, st, mine)
	})
}

// useFromDisk opens the core and does a little of everything with it.
func useFromDisk(t *testing.T, st storage.Store, mine bool) {
	t.Helper()
	ctx := t.Context()
	f := NewFlusher(st, nil)
	defer f.Close()
	o := Options{Key: testKey(1)}
	if pair := testPair(1); mine {
		o.KeyPair = &pair
	}
	c, err := Open(f, o)
	if err != nil {
		return
	}
	defer c.Close()
	length := c.Info().Length
	for i := range min(length, 20) {
		if b, err := c.Block(i); err == nil && len(b) > MaxBlock {
			t.Fatalf("block %d has %d bytes", i, len(b))
		}
		c.Prove(merkle.Request{Block: &merkle.BlockRequest{Index: i}})
		c.Missing(2 * i)
	}
	var p [64]byte
	c.ReadAt(ctx, p[:], 3)
	c.Seek(ctx, 5)
	found, err := c.Verify(ctx, VerifyOptions{Repair: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Clear(ctx, 1, 3); err != nil && mine {
		return // where nodes are lost nobody knows what to free
	}
	if !mine {
		return
	}
	at, err := c.Append(ctx, []byte("more"))
	if err != nil {
		return
	}
	if b, err := c.Block(at); found.Damaged == 0 && (err != nil || string(b) != "more") {
		t.Fatalf("block %d of length %d: %q, %v", at, length, b, err)
	}
	if err := c.Flush(ctx); err != nil {
		return
	}
	c.Truncate(ctx, at/2)
}
