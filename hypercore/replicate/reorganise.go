package replicate

import (
	"cmp"
	"errors"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// Following a writer that truncated (spec 9):
//
//	sync with a higher fork -> forFork: its head from length 0 -> Core.Reorganise
//	  -> forPath, as long as paths of the new tree decide which blocks stay
//	  -> Install -> Truncated -> drop, sync
//
// The paths may come from any peer of that fork. Where none gives them, what is
// known is installed, and the other blocks are fetched again.

// reorganising is a core on its way to a higher fork, with one request at a time
// over all peers.
type reorganising struct {
	fork       uint64
	request    *request                  // under way
	session    *hypercore.Reorganisation // once the head has verified
	path       merkle.HashRequest        // to be asked next, where more is set
	more       bool
	denied     []*channel // that had no such path
	installing bool
}

// leads says whether the peer offers a higher fork than ours. One that was
// truncated to nothing cannot be proved before something is in it.
func (ch *channel) leads(now time.Time) bool {
	return ch.state == open && ch.them.synced && ch.them.uploading && !ch.peer.resting(now) && !ch.doubted() &&
		ch.them.fork > ch.core.fork && ch.them.length > 0 && !ch.noFork
}

// tryReorganise goes on with a change to a higher fork, or begins one.
func (m *machine) tryReorganise(c *core, now time.Time) {
	g := c.reorg
	if g != nil && (g.request != nil || g.installing) {
		return
	}
	if len(c.attached) == 0 || c.broken != nil {
		c.reorg = nil
		return
	}
	if g != nil && g.session != nil {
		m.askPath(c, g, now)
		return
	}
	c.reorg = nil
	var best *channel
	for _, ch := range c.channels {
		if ch.leads(now) && (best == nil || cmp.Or(cmp.Compare(best.peer.late, ch.peer.late),
			cmp.Compare(ch.them.fork, best.them.fork), cmp.Compare(ch.them.length, best.them.length)) > 0) {
			best = ch
		}
	}
	if best == nil {
		return
	}
	r := &request{kind: forFork, fork: best.them.fork, upgrade: merkle.UpgradeRequest{Length: best.them.length},
		manifest: !c.hasManifest && best.them.hasManifest}
	c.reorg = &reorganising{fork: r.fork, request: r}
	m.watch(c)
	m.ask(best, r, now)
}

// askPath asks some peer of the new fork for the next path. Where none can give
// it the change is to be installed as it is, at the next tick.
func (m *machine) askPath(c *core, g *reorganising, now time.Time) {
	if !g.more {
		return
	}
	var best *channel
	for _, ch := range c.channels {
		if ch.leads(now) && ch.them.fork == g.fork && ch.them.length >= g.session.Tree().Length && !contains(g.denied, ch) &&
			(best == nil || ch.peer.late < best.peer.late) {
			best = ch
		}
	}
	if best == nil {
		g.more = false
		return
	}
	g.request = &request{kind: forPath, fork: g.fork, hash: g.path}
	m.ask(best, g.request, now)
}

func contains(list []*channel, ch *channel) bool {
	for _, x := range list {
		if x == ch {
			return true
		}
	}
	return false
}

// deniedFork notes that a peer did not give what we need of its fork.
func (m *machine) deniedFork(r *request) {
	if g := r.ch.core.reorg; r.kind == forPath && g != nil {
		g.denied = append(g.denied, r.ch)
	} else if r.fork == r.ch.them.fork {
		r.ch.noFork = true
	}
}

// reorganise does for an answer about a higher fork what perform does for others.
func (c *conn) reorganise(w work) error {
	session := w.session
	var err error
	if session == nil {
		session, err = w.log.Reorganise(w.proof)
	} else {
		err = session.Add(w.proof)
	}
	var path merkle.HashRequest
	var more bool
	if err == nil {
		path, more, err = session.Next()
	}
	install := false
	c.swarm.do(func(m *machine, now time.Time) {
		install, err = m.reorganised(w.request, session, path, more, err, now)
	})
	if install {
		c.swarm.install(w.request.ch.core, session)
	}
	return err
}

// reorganised takes the outcome of a step. An error is the peer's fault.
func (m *machine) reorganised(r *request, session *hypercore.Reorganisation, path merkle.HashRequest, more bool, err error, now time.Time) (install bool, fault error) {
	if r.over {
		return false, faultOf(err)
	}
	r.applying = false
	if fault := faultOf(err); fault != nil {
		return false, fault
	}
	c := r.ch.core
	g := c.reorg
	if g != nil && g.request != r {
		g = nil // ours was given up, and another began
	}
	m.release(r)
	switch {
	case g == nil:
	case err == nil:
		g.session, g.path, g.more = session, path, more
		g.installing = !more
	case isStale(err):
		c.reorg = nil
	default:
		c.reorg = nil
		m.spoil(c, err, now)
	}
	m.tryReorganise(c, now)
	m.fill(r.ch.peer, now)
	return g != nil && g.installing, nil
}

// installation is a change that waits for no path any more.
type installation struct {
	core    *core
	session *hypercore.Reorganisation
}

// dueInstalls gives the changes for which no peer has a path.
func (m *machine) dueInstalls() (list []installation) {
	for _, c := range m.busy {
		if g := c.reorg; g != nil && g.session != nil && g.request == nil && !g.more && !g.installing {
			g.installing = true
			list = append(list, installation{c, g.session})
		}
	}
	return list
}

// install takes a higher fork. It must not be called out of a core's event, which
// may come while other cores are being written.
func (s *Swarm) install(c *core, session *hypercore.Reorganisation) {
	err := session.Install()
	s.do(func(m *machine, now time.Time) {
		if g := c.reorg; g != nil && g.session == session {
			c.reorg = nil
		}
		if err != nil && !isStale(err) && !errors.Is(err, hypercore.ErrClosed) {
			m.spoil(c, err, now)
		}
		m.reload(c, now)
		m.tryReorganise(c, now)
		m.tryUpgrade(c, now)
		m.checkRefresh(c, now)
		m.checkHold(c)
	})
}

// truncated follows the log to a higher fork: what was asked of the old one is
// void, and peers are told what is gone.
func (m *machine) truncated(c *core, from, to uint64, now time.Time) {
	c.load()
	c.restartSpans()
	for _, ch := range c.channels {
		if from < to {
			m.tell(ch, wire.Range{Drop: true, Start: from, Length: to - from})
		}
		ch.news = clip(ch.news, from)
		ch.cursor, ch.plan, ch.surveyed, ch.denied = 0, nil, 0, nil
		ch.agreed, ch.compared = 0, time.Time{}
		if ch.probe != nil && !ch.probe.checking {
			ch.probe = nil // it was about a log that we have left
		}
		ch.behind, ch.short, ch.noUpgrade, ch.noManifest, ch.noFork = false, false, false, false, false
		ch.forgive()
	}
	var void []*request
	for _, ch := range c.channels {
		for _, r := range ch.underWay() {
			if !r.applying && r.fork < c.fork {
				void = append(void, r)
			}
		}
	}
	for _, r := range void {
		m.cancel(r)
	}
	for _, f := range c.fetching() {
		// Who waits looks again, and finds the end of the log or another node.
		if f.want.kind != forBlock || f.want.index >= c.length {
			m.finish(c, f, nil)
		}
	}
	for _, ch := range c.channels {
		m.dirty(ch, dueSync)
		m.survey(ch)
	}
	for _, r := range void {
		m.again(r, now)
	}
	m.tryReorganise(c, now)
	m.tryUpgrade(c, now)
	for _, ch := range c.channels {
		m.eager(ch, now)
	}
	m.checkRefresh(c, now)
	m.checkHold(c)
}

// clip drops what lies at or beyond a block.
func clip(list []extent, end uint64) []extent {
	kept := list[:0]
	for _, e := range list {
		if e.to = min(e.to, end); e.from < e.to {
			kept = append(kept, e)
		}
	}
	return kept
}
