package hypercore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// newCore makes a writable core in memory.
func newCore() *hypercore.Core {
	pair := hypercore.KeyPairFromSeed([32]byte{1})
	c, err := hypercore.Open(hypercore.NewFlusher(storage.Memory(), nil), hypercore.Options{
		Key:     hypercore.DefaultManifest(pair.Public).Key(),
		KeyPair: &pair,
	})
	check(err)
	return c
}

// newLog is newCore with a block for each text.
func newLog(texts ...string) *hypercore.Core {
	c := newCore()
	for _, text := range texts {
		_, err := c.Append(context.Background(), []byte(text))
		check(err)
	}
	return c
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Append gives the index of the first block, and what it added can be read at
// once. Flush waits until it is on the disk, and peers may see it.
func ExampleCore_Append() {
	ctx := context.Background()
	core := newCore()
	for _, batch := range [][][]byte{{[]byte("one")}, {[]byte("two"), []byte("three")}} {
		first, err := core.Append(ctx, batch...)
		check(err)
		fmt.Println("first of", len(batch), "is block", first)
	}
	check(core.Flush(ctx))
	fmt.Println("length", core.Info().Length, "durable", core.Info().Durable)
	// Output:
	// first of 1 is block 0
	// first of 2 is block 1
	// length 3 durable 3
}

// Batches for several cores are appended wholly or not at all.
func ExampleAppendAll() {
	ctx := context.Background()
	flusher := hypercore.NewFlusher(storage.Memory(), nil)
	defer flusher.Close()
	var cores [2]*hypercore.Core
	for i := range cores {
		pair := hypercore.KeyPairFromSeed([32]byte{byte(i)})
		key := hypercore.DefaultManifest(pair.Public).Key()
		core, err := hypercore.Open(flusher, hypercore.Options{Key: key, KeyPair: &pair})
		check(err)
		cores[i] = core
	}
	check(hypercore.AppendAll(ctx, []hypercore.Batch{
		{Core: cores[0], Blocks: [][]byte{[]byte("a"), []byte("b")}},
		{Core: cores[1], Blocks: [][]byte{[]byte("c")}},
	}))
	fmt.Println(cores[0].Info().Length, cores[1].Info().Length)
	// Output: 2 1
}

// Truncate drops the end of a core. The fork says that it did, to readers too,
// which follow it.
func ExampleCore_Truncate() {
	ctx := context.Background()
	core := newLog("one", "two", "three")
	check(core.Truncate(ctx, 1))
	_, err := core.Append(ctx, []byte("another two"))
	check(err)
	block, err := core.Get(ctx, 1)
	check(err)
	fmt.Printf("fork %d, length %d, block 1: %s\n", core.Info().Fork, core.Info().Length, block)
	// Output: fork 1, length 2, block 1: another two
}

// Clear makes room: the blocks stay in the log and can be fetched again from
// peers that have them, of which there are none here.
func ExampleCore_Clear() {
	ctx := context.Background()
	core := newLog("one", "two", "three")
	check(core.Flush(ctx))
	cleared, err := core.Clear(ctx, 0, 2)
	check(err)
	_, err = core.Get(ctx, 0)
	fmt.Printf("cleared %d blocks, %d bytes; length %d\n", cleared.Blocks, cleared.Bytes, core.Info().Length)
	fmt.Println("block 0 is held:", core.Has(0), "and was not found:", errors.Is(err, hypercore.ErrNotHeld))
	// Output:
	// cleared 2 blocks, 6 bytes; length 3
	// block 0 is held: false and was not found: true
}

// User data stays on this machine, with the core.
func ExampleCore_SetUserData() {
	core := newCore()
	check(core.SetUserData("last read", []byte("42")))
	value, err := core.UserData("last read")
	check(err)
	fmt.Printf("%s\n", value)
	// Output: 42
}

// With encryption the blocks that are stored, and exchanged with peers, are
// encrypted; who gives no key sees those, 8 bytes longer each.
func ExampleCore_SetEncryption() {
	ctx := context.Background()
	core := newCore()
	check(core.SetEncryption(hypercore.Encryption{Key: [32]byte{7: 42}}))
	_, err := core.Append(ctx, []byte("secret"))
	check(err)
	block, err := core.Get(ctx, 0)
	check(err)
	check(core.Flush(ctx))
	fmt.Printf("%s: %d bytes of text, %d bytes stored\n", block, core.Info().ByteLength, core.Head().ByteLength())
	// Output: secret: 6 bytes of text, 14 bytes stored
}

// Subscribers hear of each change, in order.
func ExampleCore_Subscribe() {
	ctx := context.Background()
	core := newCore()
	cancel := core.Subscribe(func(e hypercore.Event) {
		switch e.Kind {
		case hypercore.Appended:
			fmt.Println("appended blocks", e.From, "to", e.To)
		case hypercore.Truncated:
			fmt.Println("dropped blocks", e.From, "to", e.To)
		}
	})
	defer cancel()
	_, err := core.Append(ctx, []byte("one"), []byte("two"))
	check(err)
	check(core.Truncate(ctx, 1))
	// Output:
	// appended blocks 0 to 2
	// dropped blocks 1 to 2
}

// Changed wakes who waits for a state. It is taken before looking, so that no
// change is missed.
func ExampleCore_Changed() {
	core := newCore()
	go func() {
		_, err := core.Append(context.Background(), []byte("one"))
		check(err)
	}()
	for {
		changed := core.Changed()
		if core.Info().Length > 0 {
			break
		}
		<-changed
	}
	fmt.Println("it has grown")
	// Output: it has grown
}
