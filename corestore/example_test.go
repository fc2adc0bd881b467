package corestore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"multicore/corestore"
	"multicore/hypercore"
)

// newStore makes a store in a directory of its own, and what removes it.
func newStore(o corestore.Options) (store *corestore.Store, remove func()) {
	dir, err := os.MkdirTemp("", "corestore")
	check(err)
	o.Create = true
	store, err = corestore.Open(dir, o)
	check(err)
	return store, func() {
		check(store.Close())
		check(os.RemoveAll(dir))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A store is a directory of named cores. What was flushed is there when it is
// opened again.
func Example() {
	ctx := context.Background()
	store, remove := newStore(corestore.Options{})
	core, err := store.OpenName(corestore.Namespace{}, "notes", 0)
	check(err)
	_, err = core.Append(ctx, []byte("first"))
	check(err)
	check(store.Close())
	defer remove()

	again, err := corestore.Open(store.Dir(), corestore.Options{})
	check(err)
	defer again.Close()
	core, err = again.OpenName(corestore.Namespace{}, "notes", 0)
	check(err)
	block, err := core.Get(ctx, 0)
	check(err)
	fmt.Printf("%s\n", block)
	// Output: first
}

// Keys follow from the primary key and the name: the same ones make the same core
// anywhere.
func ExampleStore_OpenName() {
	store, remove := newStore(corestore.Options{PrimaryKey: &[32]byte{1, 2, 3}})
	defer remove()
	notes, err := store.OpenName(corestore.Namespace{}, "notes", 0)
	check(err)
	other, err := store.OpenName(corestore.Namespace{}.Sub("work"), "notes", 0)
	check(err)
	fmt.Println(notes.Key())
	fmt.Println("the same in another namespace:", notes.Key() == other.Key())
	// Output:
	// 0ff363dd69f3d22de0669044c42acd5b8dc239ec5e25a7ad926418281f6b4ed1
	// the same in another namespace: false
}

// Who has a key has a replica. It is empty until peers are asked (package
// replicate), and cannot be written.
func ExampleStore_OpenKey() {
	writer, remove := newStore(corestore.Options{})
	defer remove()
	own, err := writer.OpenName(corestore.Namespace{}, "notes", 0)
	check(err)

	reader, remove := newStore(corestore.Options{})
	defer remove()
	replica, err := reader.OpenKey(own.Key())
	check(err)
	_, err = replica.Append(context.Background(), []byte("mine"))
	fmt.Println(own.Writable(), replica.Writable(), errors.Is(err, hypercore.ErrReadOnly))
	// Output: true false true
}

// The encryption key is given each time that a core is opened; it is not stored.
// Without it nothing is appended in the clear by mistake.
func ExampleStore_OpenName_encryption() {
	ctx := context.Background()
	store, remove := newStore(corestore.Options{})
	defer remove()
	core, err := store.OpenName(corestore.Namespace{}, "diary", 0)
	check(err)
	check(core.SetEncryption(hypercore.Encryption{Key: [32]byte{9}}))
	_, err = core.Append(ctx, []byte("dear diary"))
	check(err)
	check(core.Close())

	core, err = store.OpenName(corestore.Namespace{}, "diary", 0)
	check(err)
	_, err = core.Append(ctx, []byte("in the clear"))
	fmt.Println("without the key:", errors.Is(err, hypercore.ErrEncrypted))
	check(core.SetEncryption(hypercore.Encryption{Key: [32]byte{9}}))
	block, err := core.Get(ctx, 0)
	check(err)
	fmt.Printf("with the key: %s\n", block)
	// Output:
	// without the key: true
	// with the key: dear diary
}
