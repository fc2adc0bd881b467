package node

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/corestore/multicore"
	"multicore/hypercore"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// A read that follows a core ends when the disk fails under the core, and status
// says so.
func TestFollowEndsWithFailedCore(t *testing.T) {
	faults := &storagetest.Faults{FS: storage.MemoryFS()}
	st := storage.MemoryOn(faults)
	f := hypercore.NewFlusher(st, nil)
	pair := hypercore.KeyPairFromSeed([32]byte{1})
	core, err := hypercore.Open(f, hypercore.Options{Key: hypercore.DefaultManifest(pair.Public).Key(), KeyPair: &pair})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		core.Close()
		f.Close()
		st.Close()
	}()
	seen := make(chan string, 10)
	rd := &reader{timeout: time.Second, emit: func(it control.Item) error {
		seen <- string(it.Block)
		return nil
	}}
	ended := make(chan error, 1)
	go func() {
		ended <- rd.follow(t.Context(), []multicore.Named{{Name: "core-3", Core: core}})
	}()
	if _, err := core.Append(t.Context(), []byte("one")); err != nil {
		t.Fatal(err)
	}
	for <-seen != "one" {
	}
	if err := core.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := &Node{}
	if c := n.core("core-3", core); c.Failed != "" {
		t.Errorf("status says %q", c.Failed)
	}
	faults.Hook(func(op storagetest.Op, _ string) error {
		if op == storagetest.Sync {
			return syscall.EIO
		}
		return nil
	})
	if _, err := core.Append(context.Background(), []byte("two")); err == nil {
		core.Flush(context.Background())
	}
	select {
	case err := <-ended:
		if !errors.Is(err, hypercore.ErrFailed) || !errors.Is(err, syscall.EIO) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("waits on")
	}
	if c := n.core("core-3", core); c.Failed == "" {
		t.Error("status says nothing of the failure")
	}
}
