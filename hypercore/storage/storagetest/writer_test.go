package storagetest_test

import (
	"bytes"
	"errors"
	"fmt"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// place is a head by its fork and length.
type place struct{ fork, length uint64 }

func (p place) before(q place) bool {
	return p.fork < q.fork || p.fork == q.fork && p.length < q.length
}

// writer is an own core.
type writer struct {
	w      *world
	id     byte
	pair   hypercore.KeyPair
	secret *hypercore.Encryption // nil: blocks are stored as they are
	c      *hypercore.Core

	log     [][]byte // acknowledged, or found after a crash
	pending [][]byte // behind it, of an append that failed
	fork    uint64
	durable int              // length that a power cut may not take back
	least   int              // shortest length to find
	cut     int              // of a truncation that failed, else -1
	absent  map[int]struct{} // blocks that were cleared, or adopted and not fetched: held and right, or not held

	seen  map[place]merkle.Hash // heads that peers could have seen
	shown place                 // the last of them

	reader *hypercore.Core // of a peer that stays connected; nil for none

	elsewhere *hypercore.Core // the key signed blocks there, which this core is to learn of; nil where there are none (any more)
	first     [][]byte        // those blocks
	adopting  bool            // a process died over it
}

func newWriter(w *world, id byte, read bool) *writer {
	a := &writer{w: w, id: id, pair: pair(id), cut: -1, absent: make(map[int]struct{}), seen: make(map[place]merkle.Hash)}
	if read {
		if w.chance(4) {
			a.secret = &hypercore.Encryption{Key: [32]byte{id, 's'}}
		}
		a.reader = a.elsewhereOpen(false)
	}
	return a
}

// newHeld is a writer in a store made from a primary key, which has signed blocks
// elsewhere.
func newHeld(w *world, id byte) *writer {
	a := newWriter(w, id, true)
	a.elsewhere = a.elsewhereOpen(true)
	for range 1 + w.r.IntN(3) {
		a.first = append(a.first, w.blocks(nil)...)
		a.mustFar(hypercore.AppendAll(w.ctx, []hypercore.Batch{{Core: a.elsewhere, Blocks: a.first[a.elsewhere.Info().Length:]}}))
		if w.chance(2) {
			n := w.r.IntN(len(a.first))
			a.mustFar(a.elsewhere.Truncate(w.ctx, uint64(n)))
			a.first = append(a.first[:n:n], w.blocks(nil)...)
			a.mustFar(hypercore.AppendAll(w.ctx, []hypercore.Batch{{Core: a.elsewhere, Blocks: a.first[n:]}}))
		}
	}
	a.mustFar(a.elsewhere.Flush(w.ctx))
	a.read(a.elsewhere, len(a.first))
	return a
}

// elsewhereOpen opens the core on another machine, which has a store for itself.
func (a *writer) elsewhereOpen(own bool) *hypercore.Core {
	f := hypercore.NewFlusher(storage.Memory(), nil)
	o := hypercore.Options{Key: key(a.id)}
	if own {
		o.KeyPair = &a.pair
	}
	c, err := hypercore.Open(f, o)
	if err == nil && a.secret != nil {
		err = c.SetEncryption(*a.secret)
	}
	a.mustFar(err)
	return c
}

func (a *writer) mustFar(err error) {
	if err != nil {
		a.w.fail("core %d, elsewhere: %v", a.id, err)
	}
}

func (a *writer) core() *hypercore.Core { return a.c }

func (a *writer) describe() string {
	return fmt.Sprintf("core %d: fork %d of %d blocks, %d durable, %d at least, %d pending, cut %d, %d absent, shown %v, adopting %v",
		a.id, a.fork, len(a.log), a.durable, a.least, len(a.pending), a.cut, len(a.absent), a.shown, a.adopting)
}

func (a *writer) crashed(cut bool) {
	if cut {
		a.least = min(a.least, a.durable)
	}
}

func (a *writer) open() {
	c, err := hypercore.Open(a.w.f, hypercore.Options{Key: key(a.id), KeyPair: &a.pair, Hold: len(a.first) > 0})
	if a.w.died(fmt.Sprintf("open core %d", a.id), err) {
		return
	}
	a.c = c
	if a.secret != nil && a.w.died("set encryption", c.SetEncryption(*a.secret)) {
		return
	}
	a.reopened()
}

// reopened compares what was found with what is known.
func (a *writer) reopened() {
	info := a.c.Info()
	if a.adopting && a.c.Head().Length >= uint64(len(a.first)) {
		a.adopted()
	}
	if a.cut >= 0 && info.Fork == a.fork+1 {
		a.truncated(a.cut)
	}
	a.cut, a.adopting = -1, false
	all := append(a.log[:len(a.log):len(a.log)], a.pending...)
	length := int(info.Length)
	if info.Fork != a.fork || length < a.least || length > len(all) {
		a.w.fail("core %d: fork %d of length %d after a crash, want fork %d of %d to %d", a.id, info.Fork, length, a.fork, a.least, len(all))
	}
	a.log, a.pending = all[:length], nil
	a.least = length
	for i := range a.absent {
		if i >= length {
			delete(a.absent, i)
		}
	}
	a.durable = min(a.durable, length)
	a.check("after a crash")
}

// check reads everything.
func (a *writer) check(when string) {
	for i, want := range a.log {
		if _, ok := a.absent[i]; ok && !a.c.Has(uint64(i)) {
			continue
		}
		if b, err := a.c.Block(uint64(i)); err != nil || !bytes.Equal(b, want) {
			a.w.fail("core %d: block %d %s: got %d bytes, %v, want %d", a.id, i, when, len(b), err, len(want))
		}
	}
	a.w.verify(a.id, a.c, when)
	a.noteHead()
}

func (w *world) verify(id byte, c *hypercore.Core, when string) {
	found, err := c.Verify(w.ctx, hypercore.VerifyOptions{})
	if err == nil && found.First != nil {
		err = found.First
	}
	if err != nil && w.m.Running() {
		w.fail("core %d: verify %s: %d damaged: %v", id, when, found.Damaged, err)
	}
}

// noteHead holds the head against those that peers may have seen: it goes on from
// them.
func (a *writer) noteHead() {
	h := a.c.Head()
	at := place{h.Fork, h.Length}
	if at.before(a.shown) {
		a.w.fail("core %d: head %v, peers have seen %v", a.id, at, a.shown)
	}
	if hash, ok := a.seen[at]; ok && hash != h.Hash() {
		a.w.fail("core %d: two heads at %v", a.id, at)
	} else if !ok && (h.Length > 0 || h.Fork > 0) {
		if err := a.c.Manifest().Verify(h.Tree, h.Signature); err != nil {
			a.w.fail("core %d: head %v: %v", a.id, at, err)
		}
	}
	a.seen[at], a.shown = h.Hash(), at
	if h.Fork == a.fork {
		a.durable = max(a.durable, int(h.Length))
		a.least = max(a.least, int(h.Length))
	}
}

func (a *writer) appended(blocks [][]byte) {
	a.log = append(a.log[:len(a.log):len(a.log)], blocks...)
	a.least = len(a.log)
}

func (a *writer) append(blocks [][]byte) {
	a.w.note("core %d: append %d", a.id, len(blocks))
	_, err := a.c.Append(a.w.ctx, blocks...)
	if a.w.died("append", err) {
		a.pending = blocks
		return
	}
	a.appended(blocks)
}

func (a *writer) truncated(n int) {
	a.log, a.pending = a.log[:n:n], nil
	a.fork++
	a.durable, a.least = n, n
	for i := range a.absent {
		if i >= n {
			delete(a.absent, i)
		}
	}
}

func (a *writer) step() {
	switch a.w.r.IntN(13) {
	case 12:
		if a.w.reopen(a.id, a.c) {
			a.durable = len(a.log)
			a.open()
		}
	case 0, 1:
		a.w.note("core %d: flush", a.id)
		n := len(a.log)
		if !a.w.died("flush", a.w.flush(a.c)) {
			a.durable = max(a.durable, n)
			a.noteHead()
		}
	case 2:
		a.truncate()
	case 3:
		a.clear()
	case 4:
		a.fill()
	case 5, 6:
		a.follow()
	case 7:
		if a.elsewhere != nil {
			a.adopt()
		} else if a.c.Info().Held {
			a.w.note("core %d: release", a.id)
			a.w.died("release", a.c.Release())
		}
	default:
		a.append(a.w.blocks(a.log))
	}
}

func (a *writer) truncate() {
	if a.c.Info().Held || len(a.log) == 0 {
		return
	}
	n := a.w.r.IntN(len(a.log))
	if a.w.chance(2) {
		n = max(0, len(a.log)-1-a.w.r.IntN(3))
	}
	a.w.apart(a.c)
	a.w.note("core %d: truncate %d to %d", a.id, len(a.log), n)
	err := a.c.Truncate(a.w.ctx, uint64(n))
	if errors.Is(err, hypercore.ErrNotHeld) && len(a.absent) > 0 {
		return // nodes that were never fetched
	}
	if a.w.died("truncate", err) {
		a.cut = n
		return
	}
	a.truncated(n)
	a.noteHead()
}

func (a *writer) clear() {
	if len(a.log) == 0 || a.reader == nil {
		return
	}
	from := a.w.r.IntN(len(a.log))
	to := min(len(a.log), from+1+a.w.r.IntN(8))
	// Not beyond the head of now: the flusher may go on, and what it makes durable
	// until then would be cleared as well.
	durable := int(a.c.Head().Length)
	to = min(to, durable)
	if from >= to {
		return
	}
	for i := from; i < to; i++ {
		// A block that nobody else has would be lost for good: the peer reads it first.
		a.absent[i] = struct{}{}
	}
	a.read(a.c, durable)
	a.w.note("core %d: clear %d to %d", a.id, from, to)
	if a.w.bug == punchFirst {
		a.punch(from, to)
	}
	var err error
	a.w.st.freely(func() { _, err = a.c.Clear(a.w.ctx, uint64(from), uint64(to)) })
	if a.w.died("clear", err) {
		return
	}
	for i := from; i < to; i++ {
		if a.c.Has(uint64(i)) {
			a.w.fail("core %d: block %d is held after it was cleared", a.id, i)
		}
	}
}

// punch is what Clear does at its end.
func (a *writer) punch(from, to int) {
	var off, n int64
	for i, b := range a.log[:max(from, to)] {
		size := int64(len(b))
		if a.secret != nil {
			size += 8 // of padding
		}
		if i < from {
			off += size
		} else {
			n += size
		}
	}
	a.w.died("punch", a.w.st.Files(storage.ID(a.c.DiscoveryKey())).Punch(off, n))
}

// fill fetches blocks that are not held from the peer that has them.
func (a *writer) fill() {
	if a.reader == nil || a.elsewhere != nil || a.reader.Head().Fork != a.fork {
		return
	}
	for i := range len(a.log) {
		if _, ok := a.absent[i]; !ok || a.c.Has(uint64(i)) || !a.reader.Has(uint64(i)) || uint64(i) >= a.c.Head().Length || a.w.chance(3) {
			continue
		}
		a.w.apart(a.c)
		a.w.note("core %d: fetch %d", a.id, i)
		err := fetch(a.reader, a.c, uint64(i))
		if errors.Is(err, hypercore.ErrStale) && a.w.m.Running() {
			continue
		}
		if a.w.died("fetch", err) {
			return
		}
		return
	}
}

// follow has the peer take the head, and so makes sure that no head is missing
// or contradicted later.
func (a *writer) follow() {
	if a.reader != nil && a.elsewhere == nil && !a.w.dead {
		a.noteHead()
		a.read(a.c, a.w.r.IntN(len(a.log)+1))
	}
}

// read brings the peer to the head of a core, and the last blocks before some
// length to it.
func (a *writer) read(from *hypercore.Core, to int) {
	h := from.Head()
	if h.Length == 0 {
		return // there is nothing to prove
	}
	var err error
	if a.reader.Head().Fork < h.Fork {
		err = follow(from, a.reader)
	}
	if err == nil {
		err = upgrade(from, a.reader)
	}
	for i := range min(uint64(to), h.Length) {
		if err == nil && from.Has(i) && !a.reader.Has(i) {
			err = fetch(from, a.reader, i)
		}
	}
	a.w.died(fmt.Sprintf("a peer of core %d reads it", a.id), err)
}

// adopt has the core learn of what its key signed elsewhere.
func (a *writer) adopt() {
	a.w.apart(a.c)
	a.w.note("core %d: adopt %d in front of %d", a.id, len(a.first), len(a.log))
	var err error
	if a.elsewhere.Head().Fork > a.c.Head().Fork {
		err = follow(a.elsewhere, a.c)
	} else {
		err = upgrade(a.elsewhere, a.c)
	}
	if a.w.died("adopt", err) {
		a.adopting = true
		return
	}
	a.adopted()
	a.check("after adopting")
}

func (a *writer) adopted() {
	for i := range a.first {
		a.absent[i] = struct{}{}
	}
	a.log = append(a.first[:len(a.first):len(a.first)], a.log...)
	a.durable, a.least = len(a.log), len(a.log)
	a.fork = a.elsewhere.Head().Fork
	a.elsewhere = nil
}

// finish: all of it can be had again, and a new peer verifies it.
func (a *writer) finish() {
	if a.elsewhere != nil {
		a.adopt()
	}
	if err := a.c.Release(); err != nil {
		a.w.fail("core %d: release: %v", a.id, err)
	}
	if err := a.w.flush(nil); err != nil {
		a.w.fail("core %d: flush: %v", a.id, err)
	}
	a.noteHead()
	if h := a.c.Head(); h.Fork != a.fork || int(h.Length) != len(a.log) {
		a.w.fail("core %d: head of fork %d and length %d at last, want %d and %d", a.id, h.Fork, h.Length, a.fork, len(a.log))
	}
	if a.reader == nil {
		return
	}
	a.read(a.c, len(a.log))
	for i, want := range a.log {
		if !a.c.Has(uint64(i)) {
			continue // nor need the peer, after a truncation
		}
		if b, err := a.reader.Block(uint64(i)); err != nil || !bytes.Equal(b, want) {
			a.w.fail("core %d: a peer's block %d: got %d bytes, %v, want %d", a.id, i, len(b), err, len(want))
		}
	}
	a.w.verify(a.id, a.reader, "of the peer")
}
