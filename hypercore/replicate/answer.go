package replicate

import (
	"errors"
	"fmt"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// work is what a loop has to do for the machine outside of it.
type work struct {
	request *request      // whose answer is to be applied, then given to applied
	proof   *merkle.Proof // the answer
	log     log
	session *hypercore.Reorganisation // of a forPath
	probed  *channel                  // whose head is to be compared with ours, then given to checked
}

// find matches an answer with its request. None: the answer is to be ignored.
func (ch *channel) find(id uint64) (*request, error) {
	if r := ch.requests[id]; r != nil {
		if r.applying || !r.ready {
			return nil, blame("answered request %d twice or too early", id)
		}
		return r, nil
	}
	switch {
	case id == 0 && ch.pushes < maxPushes:
		ch.pushes++
	case id > 0 && id <= ch.lastID && ch.lateLeft > 0:
		ch.lateLeft--
	default:
		return nil, blame("answered request %d, which was not asked", id)
	}
	return nil, nil
}

// answer takes data. Nothing of it is believed before Apply checked it.
func (m *machine) answer(ch *channel, d wire.Data, now time.Time) (work, error) {
	if w, ok, err := m.unasked(ch, d); ok {
		return w, err
	}
	r, err := ch.find(d.ID)
	if r == nil {
		return work{}, err
	}
	m.praise(r, now)
	if r.kind == forBlock || ch.peer.delivery.answers == 0 {
		ch.peer.delivery.measured(r, now)
		ch.peer.forgetLate()
	}
	fits, err := r.fits(&d.Proof)
	if err != nil {
		return work{}, err
	}
	if !fits {
		m.denied(r, now)
		return work{}, nil
	}
	r.applying = true
	w := work{request: r, proof: &d.Proof, log: ch.core.log}
	if g := ch.core.reorg; r.kind == forPath && g != nil {
		w.session = g.session
	}
	return w, nil
}

// praise notes that a peer answers.
func (m *machine) praise(r *request, now time.Time) {
	p := r.ch.peer
	p.hasAnswered(r, now)
	p.strikes = 0
	if !p.restUntil.IsZero() {
		m.wakeUp(p, now)
	}
}

func (p *peer) hasAnswered(r *request, now time.Time) {
	p.answered, p.anew = now, true
	if r.sent.After(p.newest) {
		p.newest = r.sent
	}
}

// fits says whether a proof answers r: false where it lacks what was asked for,
// an error where it holds what was not. The length of an upgrade may be another:
// a prover shows the prologue of a core by itself (spec 8.3).
func (r *request) fits(p *merkle.Proof) (bool, error) {
	switch {
	case p.Fork != r.fork:
		return false, nil
	case p.Block != nil && !r.mayBring(p.Block.Index),
		p.Hash != nil && (r.kind != forNode && r.kind != forSeek && r.kind != forPath || p.Hash.Index != r.hash.Index),
		p.Seek != nil && (r.kind != forSeek || p.Seek.Bytes != r.index),
		p.Upgrade != nil && (r.kind != forUpgrade && r.kind != forFork || p.Upgrade.Start != r.upgrade.Start),
		p.Manifest != nil && !r.manifest:
		return false, blame("answer to request %d holds what was not asked", r.id)
	case p.Upgrade != nil && len(p.Upgrade.Signature) > maxSignature:
		return false, blame("signature of %d bytes, at most %d", len(p.Upgrade.Signature), maxSignature)
	}
	switch r.kind {
	case forBlock:
		return p.Block != nil, nil
	case forNode, forSeek, forPath:
		return p.Hash != nil, nil
	case forUpgrade, forFork:
		return p.Upgrade != nil, nil
	default:
		return len(p.Manifest) > 0, nil
	}
}

// refused takes noData.
func (m *machine) refused(ch *channel, id uint64, now time.Time) error {
	if err := ch.refusedProbe(id); err != nil {
		return err
	}
	r, err := ch.find(id)
	if r == nil {
		return err
	}
	m.denied(r, now)
	return nil
}

// denied notes what a peer has not, so that it is not asked again at once.
func (m *machine) denied(r *request, now time.Time) {
	ch := r.ch
	ch.peer.hasAnswered(r, now)
	m.release(r)
	switch r.kind {
	case forBlock:
		if !ch.deny(r.index) {
			m.rest(ch.peer, now)
		}
	case forNode, forSeek:
		if r.fetch != nil {
			r.fetch.deny(ch)
		}
	case forUpgrade:
		if r.carries { // it may be that alone
			ch.deny(r.index)
			break
		}
		ch.noUpgrade = true
	case forManifest:
		ch.noManifest = true
	case forFork, forPath:
		m.deniedFork(r)
	}
	m.again(r, now)
	m.fill(ch.peer, now)
	m.checkRefresh(ch.core, now)
}

// deny notes that a block is not to be had of the peer. False: it lacks too
// much of what it announced.
func (ch *channel) deny(block uint64) bool {
	if ch.denied == nil {
		ch.denied = make(map[uint64]struct{})
	}
	ch.denied[block] = struct{}{}
	if len(ch.denied) <= maxDenied {
		return true
	}
	clear(ch.denied)
	return false
}

// settled ends a request that turned out to need no peer, or to be impossible.
func (m *machine) settled(r *request, err error, now time.Time) {
	f, c := r.fetch, r.ch.core
	m.release(r)
	if f != nil {
		m.finish(c, f, err)
	}
	m.fill(r.ch.peer, now)
}

// beyond ends a request that a peer cannot fulfil because its tree is shorter
// than the path we need; it is asked again once it has grown, or we know more.
func (m *machine) beyond(r *request, now time.Time) {
	m.release(r)
	if !r.ch.short {
		r.ch.short = true
		r.ch.peer.short = append(r.ch.peer.short, r.ch)
	}
	r.ch.shortAt = r.ch.core.proofs
	if r.fetch != nil {
		r.fetch.deny(r.ch)
	} else {
		r.ch.behind = true
	}
	m.again(r, now)
	m.fill(r.ch.peer, now)
}

// spoil pauses a core that the disk does not take.
func (m *machine) spoil(c *core, err error, now time.Time) {
	if c.broken == nil {
		c.broken, c.retryAt = err, now.Add(diskPause)
		m.watch(c)
		c.endSpans(err) // who waits is told
		said := c.paused != nil
		c.paused = err
		if !said { // once, however often it is tried again
			m.note("core cannot store what peers send, pausing", "core", c.id.String(), "err", err)
		}
	}
}

// applied takes the outcome of Apply for one answer.
func (m *machine) applied(r *request, err error, now time.Time) error {
	return m.appliedAll([]work{{request: r}}, []error{err}, now)
}

// appliedAll takes the outcomes of ApplyAll for answers of one peer about one
// core. An error is the peer's fault: its stream must end, and its requests stay
// in the books until removePeer moves them on.
func (m *machine) appliedAll(works []work, errs []error, now time.Time) error {
	taken, head := false, false
	for i, w := range works {
		on, fault := m.took(w.request, errs[i], now)
		if fault != nil {
			return fault
		}
		taken = taken || on
		head = head || on && (w.request.kind == forUpgrade || w.request.kind == forManifest)
	}
	if !taken {
		return nil
	}
	ch := works[0].request.ch
	m.reload(ch.core, now)
	m.checkHold(ch.core)
	if head {
		m.tryUpgrade(ch.core, now)
		m.checkRefresh(ch.core, now)
	}
	m.fill(ch.peer, now)
	return nil
}

// took takes the outcome of one answer, and says whether it was still waited
// for: the channel may have been closed meanwhile.
func (m *machine) took(r *request, err error, now time.Time) (on bool, fault error) {
	ch := r.ch
	if errors.Is(err, merkle.ErrMissingNode) && (ch.coming.fell(r) || ch.core.log.Info().Erased != r.erased) {
		err = hypercore.ErrStale // what the proof was to end at is not here any more
	}
	switch {
	case r.over && ch.core != nil && ch.core.frozen && doubtful(err):
		return false, nil // of the other log: that is why it is frozen
	case r.over:
		return false, faultOf(err)
	}
	r.applying = false
	if fault := faultOf(err); fault != nil {
		if m.doubt(r, err, fault, now) {
			return true, nil
		}
		return false, fault
	}
	f, c, twin := r.fetch, ch.core, r.twin
	m.release(r)
	switch {
	case err == nil:
		c.proofs++
		if r.kind == forUpgrade {
			ch.agree(r.upgrade.Start + r.upgrade.Length)
		}
		m.outrun(twin, now)
		if f != nil {
			m.finish(c, f, nil)
		}
	case isStale(err):
		m.again(r, now)
	default:
		if f != nil {
			m.finish(c, f, err)
		}
		m.spoil(c, err, now)
	}
	return true, nil
}

// isStale says that our own state moved on while a proof was under way.
func isStale(err error) bool { return errors.Is(err, hypercore.ErrStale) }

// faultOf gives the error that the peer is to blame for, if err is one.
func faultOf(err error) error {
	if errors.Is(err, hypercore.ErrBadProof) {
		return fmt.Errorf("%w: %w", ErrMisbehaved, err)
	}
	return nil
}
