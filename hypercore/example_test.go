package hypercore_test

import (
	"context"
	"fmt"
	"log"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// A writer appends two blocks. A reader, who has nothing but the key, verifies
// the head and one of the blocks.
func Example() {
	ctx := context.Background()
	pair := hypercore.KeyPairFromSeed([32]byte{1})
	key := hypercore.DefaultManifest(pair.Public).Key()

	flusher := hypercore.NewFlusher(storage.Memory(), nil)
	defer flusher.Close()
	writer, err := hypercore.Open(flusher, hypercore.Options{Key: key, KeyPair: &pair})
	if err != nil {
		log.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.Append(ctx, []byte("hello "), []byte("world\n")); err != nil {
		log.Fatal(err)
	}
	if err := writer.Flush(ctx); err != nil { // peers see what is durable
		log.Fatal(err)
	}

	other := hypercore.NewFlusher(storage.Memory(), nil)
	defer other.Close()
	reader, err := hypercore.Open(other, hypercore.Options{Key: key})
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	proof, err := writer.Prove(merkle.Request{
		Block:    &merkle.BlockRequest{Index: 1},
		Upgrade:  &merkle.UpgradeRequest{Length: writer.Head().Length},
		Manifest: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := reader.Apply(proof); err != nil {
		log.Fatal(err)
	}
	block, err := reader.Get(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d blocks, block 0 held: %v, block 1: %s", reader.Info().Length, reader.Has(0), block)
	// Output: 2 blocks, block 0 held: false, block 1: world
}
