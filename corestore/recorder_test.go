package corestore

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// gated is a Store whose updates fail or wait.
type gated struct {
	storage.Store
	full    atomic.Bool
	gate    chan struct{} // an update takes one, if it is not nil
	updates atomic.Int32
}

func (g *gated) Update(fn func(storage.Tx) error) error {
	if g.gate != nil {
		<-g.gate
	}
	g.updates.Add(1)
	if g.full.Load() {
		return syscall.ENOSPC
	}
	return g.Store.Update(fn)
}

func named(i byte, name string) origin {
	return origin{key: hypercore.Key{i}, named: true, name: name}
}

func wantOrigin(t *testing.T, r *recorder, want origin) {
	t.Helper()
	if got, found, err := r.lookup(want.key.Discovery()); got != want || !found || err != nil {
		t.Errorf("got %+v, %v, %v, want %+v", got, found, err, want)
	}
	if !want.named {
		return
	}
	if key, found, err := r.alias(want.ns, want.name); key != want.key || !found || err != nil {
		t.Errorf("name %q: found %v, %v", want.name, found, err)
	}
}

// TestRecordsTogether: what is opened while a transaction runs waits for one
// more, not for one each, and is found meanwhile.
func TestRecordsTogether(t *testing.T) {
	st := &gated{Store: storage.Memory(), gate: make(chan struct{}, 2)}
	r := newRecorder(st, slog.New(slog.DiscardHandler))
	var all []origin
	for i := range byte(100) {
		o := named(i, string(rune('a'+i)))
		all = append(all, o)
		check(t, r.remember(o))
		wantOrigin(t, r, o)
	}
	st.gate <- struct{}{}
	st.gate <- struct{}{}
	check(t, r.flush())
	if n := st.updates.Load(); n > 2 {
		t.Errorf("%d transactions, want at most 2", n)
	}
	if len(r.pending)+len(r.names) > 0 {
		t.Errorf("%d records and %d names are left in memory", len(r.pending), len(r.names))
	}
	for _, o := range all {
		wantOrigin(t, newRecorder(st, nil), o)
	}
	check(t, r.remember(all[0]))
	check(t, r.flush())
	if n := st.updates.Load(); n > 2 {
		t.Error("what was recorded is recorded again")
	}
}

// TestRecordsFullDisk: what could not be written stays, and is written later.
func TestRecordsFullDisk(t *testing.T) {
	st := &gated{Store: storage.Memory()}
	st.full.Store(true)
	r := newRecorder(st, slog.New(slog.DiscardHandler))
	o := named(1, "log")
	check(t, r.remember(o))
	if err := r.flush(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	wantOrigin(t, r, o)
	st.full.Store(false)
	check(t, r.flush())
	wantOrigin(t, newRecorder(st, nil), o)
}
