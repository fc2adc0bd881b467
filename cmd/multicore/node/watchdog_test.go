package node

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// watched is a watchdog in fake time with one look, which hangs while hang is set.
type watched struct {
	*watchdog
	hang  atomic.Pointer[chan struct{}]
	alive atomic.Int64
	told  []string
	log   bytes.Buffer
	end   func()
}

func newWatched(patience time.Duration) *watched {
	w := new(watched)
	w.watchdog = newWatchdog(slog.New(slog.NewTextHandler(&w.log, nil)), Watch{
		Patience: patience,
		Alive:    func() { w.alive.Add(1) },
		Stuck:    func(what string) { w.told = append(w.told, what) },
	}, &look{what: "a look", do: func(context.Context) {
		if h := w.hang.Load(); h != nil {
			<-*h
		}
	}}, &look{what: "another", do: func(context.Context) {}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	w.end = func() { cancel(); <-done }
	return w
}

// A store that hangs is noticed once its time is over, said once, and so is that
// it answers again; who supervises hears nothing in between.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 8 * time.Second
		w := newWatched(patience)
		time.Sleep(20 * time.Second)
		if n := w.alive.Load(); n < 10 || w.state() != "" {
			t.Fatalf("%d signs of life in 20 s, state %q", n, w.state())
		}
		hang := make(chan struct{})
		w.hang.Store(&hang)
		time.Sleep(patience)
		if w.state() != "" {
			t.Errorf("stuck too soon: %s", w.state())
		}
		time.Sleep(2 * patience / LooksPerPatience)
		if got, want := w.state(), "a look takes longer than 8s"; got != want {
			t.Fatalf("state %q, want %q", got, want)
		}
		before := w.alive.Load()
		time.Sleep(time.Hour)
		if n := w.alive.Load(); n != before {
			t.Errorf("%d signs of life while stuck", n-before)
		}
		w.hang.Store(nil)
		close(hang)
		time.Sleep(2 * patience / LooksPerPatience)
		if w.state() != "" || w.alive.Load() == before {
			t.Errorf("answers again: state %q", w.state())
		}
		w.end()
		if strings.Join(w.told, "|") != "a look takes longer than 8s|" {
			t.Errorf("told %q", w.told)
		}
		for line, want := range map[string]int{"the store does not answer": 1, "the store answers again": 1, "after=1h0m": 1, "did not run": 0} {
			if n := strings.Count(w.log.String(), line); n != want {
				t.Errorf("%q is %d times in the log, want %d:\n%s", line, n, want, &w.log)
			}
		}
	})
}

// What takes long, but not too long, is no reason for anything.
func TestWatchdogWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(8 * time.Second)
		for range 50 {
			hang := make(chan struct{})
			w.hang.Store(&hang)
			time.Sleep(7 * time.Second)
			w.hang.Store(nil)
			close(hang)
			time.Sleep(3 * time.Second)
		}
		w.end()
		if len(w.told) > 0 || w.log.Len() > 0 {
			t.Errorf("told %q, log %s", w.told, &w.log)
		}
	})
}

// A process that was stopped notices, and does not blame the disk.
func TestWatchdogAfterStop(t *testing.T) {
	var log bytes.Buffer
	hang := make(chan struct{})
	d := newWatchdog(slog.New(slog.NewTextHandler(&log, nil)), Watch{Patience: time.Minute}, &look{what: "a look", do: func(context.Context) { <-hang }})
	for _, passed := range []time.Duration{0, d.tick, time.Hour, d.tick + overslept} {
		d.step(t.Context(), passed)
	}
	if d.state() != "" {
		t.Errorf("stuck: %s", d.state())
	}
	if n := strings.Count(log.String(), "did not run for a while"); n != 1 || !strings.Contains(log.String(), "time=1h0m") {
		t.Errorf("log: %s", &log)
	}
	for range 20 {
		d.step(t.Context(), d.tick)
	}
	if d.state() == "" {
		t.Error("what hangs is not noticed any more")
	}
	close(hang)
	d.working.Wait()
}

// A store that is closed leaves no look behind, and one that is watched answers.
func TestWatchdogOfStore(t *testing.T) {
	var alive atomic.Int64
	n, err := Open(t.Context(), Options{Dir: t.TempDir(), Create: true, Watch: Watch{Patience: 400 * time.Millisecond, Alive: func() { alive.Add(1) }}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for deadline := time.Now().Add(20 * time.Second); alive.Load() < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no sign of life")
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	after := alive.Load()
	for _, l := range n.watchdog.looks {
		select {
		case <-l.done:
		default:
			t.Errorf("%s is still under way", l.what)
		}
	}
	if n := alive.Load(); n != after {
		t.Error("a sign of life after the end")
	}
}
