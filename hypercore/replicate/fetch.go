package replicate

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// want names one thing that a log lacks: a block, a node of the tree, or the
// nodes that a seek for a byte needs.
type want struct {
	kind  kind // forBlock, forNode, forSeek
	index uint64
}

// fetch is a want that somebody waits for. All who want the same share it.
type fetch struct {
	want    want
	waiters int
	request *request // under way; nil while no peer has been asked
	listed  bool     // in core.waiting
	refused []*channel
	over    bool
	done    chan struct{} // closed when over
	err     error
}

// fetch joins the waiters of a want.
func (m *machine) fetch(c *core, w want, now time.Time) *fetch {
	f := c.fetches[w]
	if f == nil {
		f = &fetch{want: w, done: make(chan struct{})}
		if c.fetches == nil {
			c.fetches = make(map[want]*fetch)
		}
		c.fetches[w] = f
		if w.kind == forBlock && c.log.Has(w.index) {
			f.waiters++
			m.finish(c, f, nil)
			return f
		}
		if w.kind == forBlock {
			c.followed(w.index)
		}
		if r := c.inflight[w.index]; w.kind == forBlock && r != nil && r.fetch == nil {
			r.fetch, f.request = f, r // a download asks for it already
		} else {
			m.assign(c, f, now)
		}
	}
	f.waiters++
	return f
}

// leave ends the interest of one waiter. After the last one the peer is told
// not to answer.
func (m *machine) leave(c *core, f *fetch, now time.Time) {
	f.waiters--
	if f.waiters > 0 || f.over {
		return
	}
	r := f.request
	m.finish(c, f, nil)
	if w := f.want; w.kind == forBlock && c.wishes(w.index) {
		if r == nil { // the download may have passed it by
			m.missed(c, extent{w.index, w.index + 1}, now)
		}
		return
	}
	if r == nil {
		return
	}
	for _, x := range [2]*request{r, r.twin} {
		if x != nil && !x.applying && !x.over {
			m.cancel(x)
			m.fill(x.ch.peer, now)
		}
	}
}

// finish ends a fetch for all its waiters. A request under way stays in the
// books, as a download, until it is answered or cancelled.
func (m *machine) finish(c *core, f *fetch, err error) {
	if f.over {
		return
	}
	f.over, f.err = true, err
	if f.request != nil {
		f.request.fetch = nil
		f.request = nil
	}
	if delete(c.fetches, f.want); len(c.fetches) == 0 {
		c.fetches = nil
	}
	close(f.done)
}

// stored ends the fetches of blocks that are held now.
func (m *machine) stored(c *core, from, to uint64) {
	if len(c.fetches) == 0 {
		return
	}
	if to-from <= uint64(len(c.fetches)) {
		for i := from; i < to; i++ {
			if f := c.fetches[want{forBlock, i}]; f != nil {
				m.finish(c, f, nil)
			}
		}
		return
	}
	for _, f := range c.fetching() {
		if w := f.want; w.kind == forBlock && w.index >= from && w.index < to {
			m.finish(c, f, nil)
		}
	}
}

// fetching lists the fetches in an order that is the same in every run.
func (c *core) fetching() []*fetch {
	return slices.SortedFunc(maps.Values(c.fetches), func(a, b *fetch) int {
		return cmp.Or(cmp.Compare(a.want.kind, b.want.kind), cmp.Compare(a.want.index, b.want.index))
	})
}

// deny notes that a peer could not give it.
func (f *fetch) deny(ch *channel) {
	if !f.denied(ch) {
		f.refused = append(f.refused, ch)
	}
}

func (f *fetch) denied(ch *channel) bool {
	for _, x := range f.refused {
		if x == ch {
			return true
		}
	}
	return false
}

// forgive lets a peer be asked again for what it could not give, after what it
// has changed.
func (ch *channel) forgive() {
	for _, f := range ch.core.waiting {
		f.refused = without(f.refused, ch)
	}
}

// refresh is somebody who waits until the peers have said how long the log is.
type refresh struct {
	since time.Time
	done  chan struct{}
	err   error
}

func (m *machine) addRefresh(c *core, now time.Time) *refresh {
	r := &refresh{since: now, done: make(chan struct{})}
	c.refreshes = append(c.refreshes, r)
	m.watch(c)
	m.checkRefresh(c, now)
	return r
}

// leaveRefresh ends the interest of a waiter.
func (m *machine) leaveRefresh(c *core, r *refresh) { c.refreshes = without(c.refreshes, r) }

// checkRefresh ends the waits for a newer length once some peer has the core
// open, each such peer has said what it has (or had its time to), and no longer
// head that one offers is still to come. Who offers one and does not take note
// of our length, without which it is not asked for, is waited for no longer.
func (m *machine) checkRefresh(c *core, now time.Time) {
	if len(c.refreshes) == 0 || len(c.channels) == 0 || c.grows() && c.upgrade != nil || c.reorg != nil {
		return
	}
	c.refreshes = slices.DeleteFunc(c.refreshes, func(r *refresh) bool {
		if c.grows() && slices.ContainsFunc(c.channels, func(ch *channel) bool { return ch.delays(r, now) }) {
			return false
		}
		close(r.done)
		return true
	})
}

// delays says whether a newer length may still come from the peer.
func (ch *channel) delays(r *refresh, now time.Time) bool {
	opened := now.Sub(ch.opened) <= stallAfter
	switch {
	case !ch.them.synced:
		return opened
	case ch.upgrades(now):
		return ch.them.acked == ch.core.length || opened || now.Sub(r.since) <= stallAfter
	}
	return ch.introduces(now)
}

func (m *machine) endRefreshes(c *core, err error) {
	for _, r := range c.refreshes {
		r.err = err
		close(r.done)
	}
	c.refreshes = nil
}
