package replicate

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing/synctest"

	"multicore/hypercore/storage"
)

// simLife is one run of a process; what it logs after its end is nobody's.
type simLife struct {
	slog.Handler
	host *simHost
	over bool
}

func (l *simLife) Enabled(context.Context, slog.Level) bool { return !l.over }
func (l *simLife) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	l.host.sim.logged(l.host, line)
	return nil
}

// simGate holds the rounds of a Flusher: it is what the core pace waits for in
// its Sync. pace has something to flush at all times, so a round is under way
// whenever something happens, and what changes is taken by the next one, all at
// once, when the simulation lets it: else rounds would run beside what happens.
type simGate struct {
	mu      sync.Mutex
	waiting chan error
	open    bool
}

func (g *simGate) wait() error {
	g.mu.Lock()
	if g.open {
		g.mu.Unlock()
		return nil
	}
	c := make(chan error, 1)
	g.waiting = c
	g.mu.Unlock()
	return <-c
}

// set opens or closes the gate for the rounds to come.
func (g *simGate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
}

// pass lets the round that waits go on, or fail.
func (g *simGate) pass(err error) {
	g.mu.Lock()
	c := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	if c != nil {
		c <- err
	}
	synctest.Wait()
}

// simStore has a gate before the Sync of one core.
type simStore struct {
	storage.Store
	pace storage.ID
	gate *simGate
	bug  *simBug
}

func (s *simStore) Files(id storage.ID) storage.Files {
	files := &simFiles{Files: s.Store.Files(id), bug: s.bug}
	if id == s.pace {
		files.gate = s.gate
	}
	return files
}

// SyncAll does not pass by the gate either.
func (s *simStore) SyncAll(list []storage.Files) []error {
	errs := make([]error, len(list))
	for i, f := range list {
		errs[i] = f.Sync()
	}
	return errs
}

type simFiles struct {
	storage.Files
	gate *simGate // nil: none
	bug  *simBug
}

func (f *simFiles) Sync() error {
	if f.gate != nil {
		if err := f.gate.wait(); err != nil {
			return err
		}
	}
	if f.bug.sync != nil {
		return f.bug.sync(f.Files)
	}
	return f.Files.Sync()
}

// logged takes a line that the host logs.
func (s *sim) logged(h *simHost, line string) {
	s.tell("%s logs: %s", h.name, line)
	for _, bad := range []string{"failed", "cannot", "damaged", "misbehaved", "were not committed"} {
		if strings.Contains(line, bad) {
			s.violate("%s logs: %s", h.name, line)
		}
	}
}
