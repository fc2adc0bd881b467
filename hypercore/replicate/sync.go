package replicate

import (
	"cmp"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// due is what a channel has to say. It is put into words only when the stream
// takes it, so that a burst of appends becomes one sync and one range.
type due uint8

const (
	dueSync  due = 1 << iota
	dueRange     // our leading blocks
	dueNews      // blocks stored since
	dueWants     // answers to wants
)

func (m *machine) dirty(ch *channel, what due) {
	if ch.state != open {
		return
	}
	ch.what |= what
	if !ch.listed {
		ch.listed = true
		ch.peer.due = append(ch.peer.due, ch)
	}
	m.wake(ch.peer)
}

// sync describes our side of a channel. Where the log itself must say whether
// it can prove the upgrade, probe is that upgrade (spec 13.2).
func (ch *channel) sync() (s wire.Sync, probe *merkle.UpgradeRequest) {
	c := ch.core
	same := ch.them.fork == c.fork
	s = wire.Sync{
		Fork: c.fork, Length: c.length,
		Uploading: true, Downloading: len(c.attached) > 0,
		HasManifest: c.hasManifest,
	}
	if same {
		s.RemoteLength = ch.them.length
	}
	switch {
	case !same:
	case ch.them.length == 0:
		s.CanUpgrade = true
	case ch.them.length >= c.length:
	case c.contiguous == c.length:
		s.CanUpgrade = true
	default:
		probe = &merkle.UpgradeRequest{Start: ch.them.length, Length: c.length - ch.them.length}
	}
	return s, probe
}

// synced takes the peer's sync.
func (m *machine) synced(ch *channel, s wire.Sync, now time.Time) {
	c, before := ch.core, ch.them
	ch.them = them{
		synced: true, fork: s.Fork, length: s.Length,
		canUpgrade: s.CanUpgrade, uploading: s.Uploading, downloading: s.Downloading,
		hasManifest: s.HasManifest,
	}
	same := s.Fork == c.fork
	if same {
		ch.them.acked = s.RemoteLength
	}
	if ch.them != before {
		ch.noUpgrade, ch.noManifest, ch.noFork, ch.behind = false, false, false, false
		ch.forgive()
	}
	switch {
	case s.Fork > c.fork:
		m.tryReorganise(c, now)
	case same && s.Length < c.length:
		m.dirty(ch, dueSync)
	}
	if len(c.attached) == 0 && !s.Downloading {
		m.closeChannel(ch, now)
		m.forget(c)
		return
	}
	m.survey(ch)
	m.compare(ch, now)
	m.tryUpgrade(c, now)
	m.eager(ch, now)
	m.checkRefresh(c, now)
	m.checkHold(c)
}

// checkHold ends the hold of a core once a peer has answered for it and has
// nothing longer.
func (m *machine) checkHold(c *core) {
	if !c.held || c.upgrade != nil || c.reorg != nil {
		return
	}
	for _, ch := range c.channels {
		if ch.them.synced && ch.them.fork == c.fork && ch.them.length <= c.length {
			m.holds = append(m.holds, c.log)
			return
		}
	}
}

// tryUpgrade asks the most reliable peer, of equals the one that has most, for a
// longer head, one peer at a time (spec 13.3), or for the manifest of a core that
// is still empty everywhere.
func (m *machine) tryUpgrade(c *core, now time.Time) {
	if c.upgrade != nil || len(c.attached) == 0 || !c.grows() {
		return
	}
	var best *channel
	for _, ch := range c.channels {
		if ch.upgrades(now) && ch.them.acked == c.length &&
			(best == nil || cmp.Or(cmp.Compare(best.peer.late, ch.peer.late), cmp.Compare(ch.them.length, best.them.length)) > 0) {
			best = ch
		}
	}
	if best != nil {
		c.upgrade = &request{
			kind:     forUpgrade,
			upgrade:  merkle.UpgradeRequest{Start: c.length, Length: best.them.length - c.length},
			manifest: !c.hasManifest && best.them.hasManifest,
		}
		m.ask(best, c.upgrade, now)
		return
	}
	for _, ch := range c.channels {
		if ch.introduces(now) {
			c.upgrade = &request{kind: forManifest, manifest: true}
			m.ask(ch, c.upgrade, now)
			return
		}
	}
}

// upgrades says whether the peer offers a longer head.
func (ch *channel) upgrades(now time.Time) bool {
	return ch.usable(now) && !ch.noUpgrade && ch.them.canUpgrade && ch.them.length > ch.core.length
}

// introduces says whether the peer has nothing but the manifest, which we lack.
func (ch *channel) introduces(now time.Time) bool {
	return ch.usable(now) && !ch.noManifest && ch.them.hasManifest &&
		ch.them.length == 0 && !ch.core.hasManifest && ch.core.length == 0
}

// usable says whether the peer may be asked anything on this channel.
func (ch *channel) usable(now time.Time) bool {
	return ch.state == open && ch.them.synced && ch.them.uploading && !ch.doubted() &&
		ch.them.fork == ch.core.fork && !ch.peer.resting(now)
}

// moved takes an event of the log.
func (m *machine) moved(c *core, e hypercore.Event, now time.Time) {
	switch e.Kind {
	case hypercore.Appended:
		return // peers see nothing of it before it is durable
	case hypercore.Failed:
		c.broken, c.retryAt = hypercore.ErrFailed, time.Time{}
		m.note("core failed and is fetched no more", "core", c.id.String())
		for _, f := range c.fetching() {
			m.finish(c, f, hypercore.ErrFailed)
		}
		c.waiting = nil
		m.endRefreshes(c, hypercore.ErrFailed)
		c.endSpans(hypercore.ErrFailed)
	case hypercore.Conflicted:
		m.freeze(c, now)
		return
	case hypercore.Truncated:
		m.truncated(c, e.From, e.To, now)
		return
	case hypercore.Damaged:
		m.reload(c, now)
		m.cleared(c, e.From, e.To)
		m.missed(c, extent{e.From, e.To}, now)
		return
	case hypercore.Cleared:
		m.forgoAhead(c, extent{e.From, e.To}, now) // or it would come again
		m.reload(c, now)
		m.cleared(c, e.From, e.To)
		return
	case hypercore.Stored:
		if c.paused != nil {
			c.paused = nil
			m.note("core stores again what peers send", "core", c.id.String())
		}
		c.came = now
		m.reload(c, now)
		m.announce(c, e.From, e.To)
		m.stored(c, e.From, e.To)
		m.progress(c, e.From, e.To, now)
		return
	}
	m.reload(c, now)
	if e.Kind == hypercore.Durable && e.From < c.length { // the length may have been seen before
		m.announce(c, e.From, min(e.To, c.length))
		m.progress(c, e.From, c.length, now)
	}
}

// reload looks at the log's head again and tells the peers what changed.
func (m *machine) reload(c *core, now time.Time) {
	length, fork, manifest, held := c.length, c.fork, c.hasManifest, c.held
	c.load()
	if c.length == length && c.fork == fork && c.hasManifest == manifest && c.held == held {
		return
	}
	if c.fork != fork || c.length != length {
		c.came = now
	}
	if c.fork != fork || c.length < length {
		c.restartSpans()
	}
	for _, ch := range c.channels {
		if c.fork != fork || c.length < length {
			ch.cursor, ch.surveyed = 0, 0
		}
		if c.fork != fork {
			ch.agreed, ch.compared = 0, time.Time{}
		}
		ch.noUpgrade = false
		m.dirty(ch, dueSync)
		m.survey(ch)
	}
	m.tryUpgrade(c, now)
	for _, ch := range c.channels {
		m.eager(ch, now)
	}
	m.checkRefresh(c, now)
}
