package replicate_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net"
	"sync"

	"multicore/hypercore"
	"multicore/hypercore/replicate"
	"multicore/hypercore/storage"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// open makes a core in memory; pair is nil for a reader.
func open(key hypercore.Key, pair *hypercore.KeyPair) *hypercore.Core {
	c, err := hypercore.Open(hypercore.NewFlusher(storage.Memory(), nil), hypercore.Options{Key: key, KeyPair: pair})
	check(err)
	return c
}

// Two stores are joined by a stream: a connection that is private and has proved
// who is at its other end, such as TLS or Noise, of which both ends know a hash.
// The reader knows the key of the core, and reads the blocks that it wants.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	pair := hypercore.KeyPairFromSeed([32]byte{1})
	key := hypercore.DefaultManifest(pair.Public).Key()
	written, read := open(key, &pair), open(key, nil)
	for i := range 100 {
		_, err := written.Append(ctx, fmt.Appendf(nil, "block %d", i))
		check(err)
	}
	check(written.Flush(ctx)) // peers see what is on the disk

	writer, reader := replicate.New(replicate.Options{}), replicate.New(replicate.Options{})
	writer.Attach(written, replicate.AttachOptions{})
	reader.Attach(read, replicate.AttachOptions{})
	a, b := net.Pipe()
	var hash [64]byte
	rand.Read(hash[:])
	var serving sync.WaitGroup
	serving.Go(func() {
		writer.Serve(ctx, replicate.Conn{Stream: a, Initiator: true, HandshakeHash: hash, Peer: "reader"})
	})
	serving.Go(func() {
		reader.Serve(ctx, replicate.Conn{Stream: b, HandshakeHash: hash, Peer: "writer"})
	})

	check(read.Update(ctx))
	block, err := read.Get(ctx, 42)
	check(err)
	fmt.Printf("length %d, %q; block 41 is held: %v\n", read.Info().Length, block, read.Has(41))
	check(read.Download(ctx, 40, 60, nil))
	fmt.Println("after the download:", read.Has(41))

	check(written.Truncate(ctx, 50)) // readers follow
	for changed := read.Changed(); read.Info().Fork == 0; changed = read.Changed() {
		<-changed
	}
	fmt.Printf("fork %d, length %d\n", read.Info().Fork, read.Info().Length)

	cancel()
	serving.Wait()
	reader.Close()
	writer.Close()
	// Output:
	// length 100, "block 42"; block 41 is held: false
	// after the download: true
	// fork 1, length 50
}
