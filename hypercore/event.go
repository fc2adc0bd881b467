package hypercore

import (
	"slices"
	"sync"
)

// EventKind says what happened to a core.
type EventKind int

const (
	Appended   EventKind = iota // own blocks [From, To) are readable here
	Durable                     // the head that peers may see moved from From to To; own cores only
	Upgraded                    // the remote head moved from From to To, or an own head was adopted
	Stored                      // remote blocks [From, To) are held now
	Cleared                     // the blocks [From, To) are not held any more
	Damaged                     // the blocks [From, To) were damaged, are not held any more and should be fetched again
	Failed                      // the core answers ErrFailed from now on
	Truncated                   // the log has a higher fork, and of length To only the blocks before From stayed
	Conflicted                  // the core is frozen (see Conflict)
)

// Event is one change of a core.
type Event struct {
	Kind     EventKind
	From, To uint64
}

// events delivers what happens to a core to its subscribers, in order, on the
// goroutine of whoever caused it or of another that is delivering already.
type events struct {
	mu          sync.Mutex
	subscribers []*subscriber // replaced, never changed in place
	queue       []Event
	delivering  bool
}

type subscriber struct {
	fn   func(Event)
	gone bool
}

// Subscribe calls fn for each event from now on, in order, one at a time and
// without locks of the core held. fn must not block: appends wait for it. After
// cancel returns no call of fn begins.
func (c *Core) Subscribe(fn func(Event)) (cancel func()) {
	e := &c.events
	e.mu.Lock()
	defer e.mu.Unlock()
	sub := &subscriber{fn: fn}
	e.subscribers = append(slices.Clone(e.subscribers), sub)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		sub.gone = true
		e.subscribers = slices.DeleteFunc(slices.Clone(e.subscribers), func(s *subscriber) bool { return s == sub })
	}
}

// add queues an event. The caller holds Core.mu, which gives the order.
func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.subscribers) > 0 {
		e.queue = append(e.queue, ev)
	}
}

// deliver calls the subscribers for what is queued, unless somebody does
// already. No lock of the core may be held.
func (e *events) deliver() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.delivering {
		return
	}
	e.delivering = true
	for len(e.queue) > 0 {
		ev := e.queue[0]
		e.queue = e.queue[1:]
		for _, sub := range e.subscribers {
			if sub.gone {
				continue
			}
			e.mu.Unlock()
			sub.fn(ev)
			e.mu.Lock()
		}
	}
	e.queue = nil
	e.delivering = false
}

// Changed is closed at the next change of Info or of the blocks held. Take it
// before looking, or a change in between is missed.
func (c *Core) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// notify wakes those who wait for a change. The caller holds c.mu.
func (c *Core) notify() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}
