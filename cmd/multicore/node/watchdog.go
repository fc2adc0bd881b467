package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"multicore/hypercore"
)

// Watch tells whoever supervises the process whether its store answers.
type Watch struct {
	// Patience is how long a read of the database, a flush or a look at the
	// volume may take before the store counts as stuck; 0 is a minute.
	Patience time.Duration
	// Alive is called several times within Patience, while the store is not stuck.
	// nil: nobody wants to know.
	Alive func()
	// Stuck is called when the store stops to answer, with what does not end, and
	// with "" when it answers again. nil: nobody wants to know.
	Stuck func(what string)
}

const (
	defaultPatience = time.Minute
	// LooksPerPatience is how often the watchdog looks within Watch.Patience.
	LooksPerPatience = 4
	longestTick      = 5 * time.Second
	// overslept is how much later than it should a tick comes in a process that
	// was stopped, or to which the machine gave no time.
	overslept = 3 * time.Second
)

// watchdog notices a store that is stuck: a disk that does not answer leaves a
// system call hanging, which cannot be ended, so each look at the store has a
// goroutine of its own, and how long that takes is what the watchdog goes by.
// Safe for concurrent use.
type watchdog struct {
	log      *slog.Logger
	watch    Watch
	patience time.Duration
	tick     time.Duration
	looks    []*look
	working  sync.WaitGroup // goroutines of looks

	mu    sync.Mutex
	stuck string        // what does not end; "" while all answers
	since time.Duration // how long that has been so
}

// look is something that must end.
type look struct {
	what   string // `a read of the database`
	do     func(context.Context)
	done   chan struct{} // closed when the one under way has ended; nil where none is
	waited time.Duration // for that one, not counting time in which this process did not run
}

func newWatchdog(log *slog.Logger, w Watch, looks ...*look) *watchdog {
	d := &watchdog{log: log, watch: w, patience: w.Patience, looks: looks}
	if d.patience <= 0 {
		d.patience = defaultPatience
	}
	d.tick = max(min(d.patience/LooksPerPatience, longestTick), time.Millisecond)
	return d
}

// looksAt are what the watchdog of a store looks at.
func (n *Node) looksAt() []*look {
	return []*look{
		{what: "a read of the database", do: func(context.Context) { n.store.Setting(settingHadPeers) }},
		{what: "a write", do: func(context.Context) {
			n.eachOpen(func(_ string, c *hypercore.Core) { c.Barrier() })
		}},
		{what: "a flush", do: func(ctx context.Context) {
			if flush := n.store.Flusher().Underway(); flush != nil {
				select {
				case <-flush:
				case <-ctx.Done():
				}
			}
		}},
		{what: "a look at the volume", do: func(context.Context) {
			var s syscall.Statfs_t
			syscall.Statfs(n.store.Dir(), &s)
		}},
	}
}

// run watches until ctx ends. It leaves no look behind but such as are stuck.
func (d *watchdog) run(ctx context.Context) {
	ticks := time.NewTicker(d.tick)
	defer ticks.Stop()
	last := time.Now()
	for {
		now := time.Now() // not after the step, in which the process may be stopped as well
		d.step(ctx, now.Sub(last))
		last = now
		select {
		case <-ticks.C:
		case <-ctx.Done():
			if d.state() == "" {
				d.working.Wait()
			}
			return
		}
	}
}

// step is one tick, so long after the one before.
func (d *watchdog) step(ctx context.Context, passed time.Duration) {
	if passed > d.tick+overslept {
		d.log.Warn("this process did not run for a while: it was stopped, or the machine had no time for it", "time", passed.Round(100*time.Millisecond))
	}
	// The disk is not to blame for time in which nobody waited for it.
	passed = min(passed, 2*d.tick)
	slowest := ""
	for _, l := range d.looks {
		if l.ended(passed) {
			l.begin(ctx, &d.working)
		} else if l.waited > d.patience && slowest == "" {
			slowest = l.what
		}
	}
	d.judge(slowest, passed)
	if slowest == "" && d.watch.Alive != nil {
		d.watch.Alive()
	}
}

// ended says whether nothing is under way any more.
func (l *look) ended(passed time.Duration) bool {
	if l.done == nil {
		return true
	}
	select {
	case <-l.done:
		return true
	default:
		l.waited += passed
		return false
	}
}

func (l *look) begin(ctx context.Context, working *sync.WaitGroup) {
	done := make(chan struct{})
	l.done, l.waited = done, 0
	working.Go(func() {
		defer close(done)
		l.do(ctx)
	})
}

// judge says aloud, once, that the store is stuck or not any more.
func (d *watchdog) judge(what string, passed time.Duration) {
	text := ""
	if what != "" {
		text = fmt.Sprintf("%s takes longer than %v", what, d.patience)
	}
	d.mu.Lock()
	was, since := d.stuck, d.since
	if was != "" && text != "" {
		d.since += passed
		d.mu.Unlock()
		return
	}
	d.stuck, d.since = text, 0
	d.mu.Unlock()
	switch {
	case was == text:
		return
	case text != "":
		d.log.Error("the store does not answer: the disk or the file system below it may be stuck", "what", text)
	default:
		d.log.Warn("the store answers again", "after", (d.patience + since).Round(100*time.Millisecond))
	}
	if d.watch.Stuck != nil {
		d.watch.Stuck(text)
	}
}

// state is what does not end, "" while the store answers.
func (d *watchdog) state() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stuck
}
