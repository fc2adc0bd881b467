package fs

import (
	"context"
	"crypto/rand"
	"errors"
	"syscall"
	"testing"

	"multicore/hypercore"
)

// leaving is a Source without peers that is taken away while somebody waits.
type leaving struct {
	hypercore.Source
	core *hypercore.Core
}

func (l *leaving) Connected() bool { return false }

func (l *leaving) Refresh(ctx context.Context) error {
	<-ctx.Done()
	l.core.SetSource(nil)
	return errors.Join(ctx.Err(), hypercore.ErrNoPeers)
}

// A wait for a length may end because the core leaves the network.
func TestLearnWithoutSource(t *testing.T) {
	a := newMachine(t, false)
	var key hypercore.Key
	rand.Read(key[:])
	c, err := a.store.OpenKey(key)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 1)
	defer cancel()
	c.SetSource(&leaving{core: c.Core})
	if _, err := learn(ctx, c.Core); errno(err) != syscall.EHOSTUNREACH {
		t.Errorf("got %v, want EHOSTUNREACH", err)
	}
}
