package hypercore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// Get reads a block, from peers where it is not held here.
func ExampleCore_Get() {
	ctx := context.Background()
	core := newLog("one", "two", "three")
	block, err := core.Get(ctx, 1)
	check(err)
	fmt.Printf("%s\n", block)
	_, err = core.Get(ctx, 3)
	fmt.Println(errors.Is(err, hypercore.ErrPastEnd), err)
	// Output:
	// two
	// true block 3 of 3: past the end of the core
}

// Seek finds the block of a byte, by the sizes in the tree: no block is read.
func ExampleCore_Seek() {
	core := newLog("one", "two", "three")
	i, within, err := core.Seek(context.Background(), 8)
	check(err)
	fmt.Println("byte 8 is byte", within, "of block", i)
	// Output: byte 8 is byte 2 of block 2
}

// ReadAt reads the log as one stretch of bytes, and fetches just the blocks that
// these lie in.
func ExampleCore_ReadAt() {
	core := newLog("one ", "two ", "three")
	p := make([]byte, 8)
	n, err := core.ReadAt(context.Background(), p, 4)
	check(err)
	fmt.Printf("%q\n", p[:n])
	// Output: "two thre"
}

// A snapshot keeps its length. Its Reader is an io.ReadSeeker and an io.ReaderAt,
// so the packages that read files read logs.
func ExampleSnapshot_NewReader() {
	ctx := context.Background()
	core := newLog("first line\nsecond", " line\n")
	snapshot := core.Snapshot()
	_, err := core.Append(ctx, []byte("after it\n"))
	check(err)
	lines := bufio.NewScanner(snapshot.NewReader(ctx))
	for lines.Scan() {
		fmt.Println(lines.Text())
	}
	check(lines.Err())
	p := make([]byte, 4)
	_, err = snapshot.NewReader(ctx).ReadAt(p, 18)
	check(err)
	fmt.Printf("%q\n", p)
	// Output:
	// first line
	// second line
	// "line"
}

// What a truncation removed is gone from snapshots too, whatever came in its
// place.
func ExampleCore_Snapshot() {
	ctx := context.Background()
	core := newLog("one", "two", "three")
	snapshot := core.Snapshot()
	check(core.Truncate(ctx, 2))
	_, err := core.Append(ctx, []byte("another three"))
	check(err)
	kept, err := snapshot.Get(ctx, 1)
	check(err)
	_, err = snapshot.Get(ctx, 2)
	fmt.Printf("length %d, block 1: %s, block 2 is gone: %v\n", snapshot.Length(), kept, errors.Is(err, hypercore.ErrTruncated))
	// Output: length 3, block 1: two, block 2 is gone: true
}

// Whoever has the same blocks has the same tree hash, of that length and of each
// shorter one.
func ExampleCore_TreeHash() {
	short, long := newLog("one", "two"), newLog("one", "two", "three")
	a, err := short.TreeHash(2)
	check(err)
	b, err := long.TreeHash(2)
	check(err)
	c, err := long.TreeHash(3)
	check(err)
	fmt.Println(a == b, a == c)
	// Output: true false
}

// A proof shows that a block is in the log, to whoever has the key. Apply stores
// nothing that does not verify.
func ExampleCore_Prove() {
	ctx := context.Background()
	writer := newLog("one", "two", "three")
	check(writer.Flush(ctx))
	proof, err := writer.Prove(merkle.Request{
		Block:    &merkle.BlockRequest{Index: 2},
		Upgrade:  &merkle.UpgradeRequest{Length: writer.Head().Length},
		Manifest: true,
	})
	check(err)

	reader, err := hypercore.Open(hypercore.NewFlusher(storage.Memory(), nil), hypercore.Options{Key: writer.Key()})
	check(err)
	forged := *proof
	forged.Block = &merkle.BlockProof{Index: 2, Value: []byte("a lie"), Nodes: proof.Block.Nodes}
	fmt.Println("forged:", errors.Is(reader.Apply(&forged), hypercore.ErrBadProof))
	check(reader.Apply(proof))
	block, err := reader.Get(ctx, 2)
	check(err)
	fmt.Printf("of %d blocks, block 2: %s\n", reader.Info().Length, block)
	// Output:
	// forged: true
	// of 3 blocks, block 2: three
}

// Has tells what is here from what peers would have to be asked for.
func ExampleCore_Has() {
	ctx := context.Background()
	core := newLog("one", "two")
	check(core.Flush(ctx))
	_, err := core.Clear(ctx, 0, 1)
	check(err)
	fmt.Println(core.Has(0), core.Has(1), core.Has(2))
	// Output: false true false
}

// Verify reads all that is held and checks each hash and the signature.
func ExampleCore_Verify() {
	ctx := context.Background()
	core := newLog("one", "two", "three")
	check(core.Flush(ctx))
	found, err := core.Verify(ctx, hypercore.VerifyOptions{})
	check(err)
	fmt.Println(found.Blocks, "blocks are right,", found.Damaged, "places are damaged")
	// Output: 3 blocks are right, 0 places are damaged
}

// library is a Source: it has the blocks of a writer, and is asked for those that
// a reader lacks. Package replicate has the one that asks peers.
type library struct{ writer, reader *hypercore.Core }

func (l library) fetch(r merkle.Request) error {
	proof, err := l.writer.Prove(r)
	if err != nil {
		return err
	}
	return l.reader.Apply(proof)
}

func (l library) FetchBlock(_ context.Context, i uint64) error {
	nodes, err := l.reader.Missing(2 * i)
	if err != nil {
		return err
	}
	return l.fetch(merkle.Request{Block: &merkle.BlockRequest{Index: i, Nodes: nodes}})
}

func (l library) FetchNode(_ context.Context, index uint64) error {
	nodes, err := l.reader.Missing(index)
	if err != nil {
		return err
	}
	return l.fetch(merkle.Request{Hash: &merkle.HashRequest{Index: index, Nodes: nodes}})
}

func (l library) FetchSeek(_ context.Context, bytes uint64) error {
	hash, done, err := l.reader.SeekPath(bytes)
	if err != nil || done {
		return err
	}
	return l.fetch(merkle.Request{Hash: &hash, Seek: &merkle.SeekRequest{Bytes: bytes}})
}

func (l library) Refresh(context.Context) error {
	have, has := l.reader.Info().Length, l.writer.Head().Length
	if have >= has {
		return nil
	}
	return l.fetch(merkle.Request{Upgrade: &merkle.UpgradeRequest{Start: have, Length: has - have}, Manifest: true})
}

func (library) Connected() bool { return true }

// A Source fetches what a core lacks: Update asks for a longer head, Get, Seek,
// ReadAt and Download for blocks.
func ExampleSource() {
	ctx := context.Background()
	writer := newLog("one ", "two ", "three")
	check(writer.Flush(ctx))
	reader, err := hypercore.Open(hypercore.NewFlusher(storage.Memory(), nil), hypercore.Options{Key: writer.Key()})
	check(err)
	reader.SetSource(library{writer, reader})
	check(reader.Update(ctx))
	text := make([]byte, 5)
	if _, err := reader.ReadAt(ctx, text, 8); err != io.EOF {
		check(err)
	}
	fmt.Printf("%q; block 0 is held: %v\n", text, reader.Has(0))
	// Output: "three"; block 0 is held: false
}

// Download fetches what is missing of a range and says how far it is.
func ExampleCore_Download() {
	ctx := context.Background()
	writer := newLog("one ", "two ", "three")
	check(writer.Flush(ctx))
	reader, err := hypercore.Open(hypercore.NewFlusher(storage.Memory(), nil), hypercore.Options{Key: writer.Key()})
	check(err)
	reader.SetSource(library{writer, reader})
	var last string
	check(reader.Download(ctx, 1, 3, func(held, total uint64) {
		last = fmt.Sprintf("%d of %d blocks", held, total)
	}))
	fmt.Println(last)
	// Output: 2 of 2 blocks
}
