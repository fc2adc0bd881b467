package storagetest_test

import (
	"bytes"
	"errors"
	"fmt"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
)

// replica is a core of somebody else's, who appends and truncates elsewhere.
type replica struct {
	w      *world
	id     byte
	writer *hypercore.Core
	c      *hypercore.Core

	logs        [][][]byte          // what each fork came to be, the last of them growing
	least, most uint64              // forks that it may be in
	length      uint64              // of fork least, durable
	held        map[uint64]struct{} // of fork least, durable and not cleared since
}

func newReplica(w *world, id byte) *replica {
	p := pair(id)
	c, err := hypercore.Open(w.far, hypercore.Options{Key: key(id), KeyPair: &p})
	a := &replica{w: w, id: id, writer: c, logs: make([][][]byte, 1), held: make(map[uint64]struct{})}
	a.mustFar(err)
	return a
}

func (a *replica) mustFar(err error) {
	if err != nil {
		a.w.fail("core %d, elsewhere: %v", a.id, err)
	}
}

func (a *replica) core() *hypercore.Core { return a.c }

func (a *replica) describe() string {
	return fmt.Sprintf("core %d: a replica in fork %d to %d, %d blocks and %d held are durable", a.id, a.least, a.most, a.length, len(a.held))
}

func (a *replica) crashed(bool) {}

func (a *replica) open() {
	c, err := hypercore.Open(a.w.f, hypercore.Options{Key: key(a.id)})
	if a.w.died(fmt.Sprintf("open core %d", a.id), err) {
		return
	}
	a.c = c
	info := c.Info()
	switch {
	case info.Fork < a.least || info.Fork > a.most:
		a.w.fail("core %d: fork %d after a crash, want %d to %d", a.id, info.Fork, a.least, a.most)
	case info.Fork > a.least:
		a.length = 0
		clear(a.held)
	case info.Length < a.length:
		a.w.fail("core %d: length %d after a crash, %d was durable", a.id, info.Length, a.length)
	}
	a.least, a.most = info.Fork, info.Fork
	for i := range a.held {
		if !c.Has(i) {
			a.w.fail("core %d: block %d of fork %d is not held after a crash, and was durable", a.id, i, info.Fork)
		}
	}
	a.check("after a crash")
}

func (a *replica) check(when string) {
	info := a.c.Info()
	log := a.logs[info.Fork]
	for i := range info.Length {
		if !a.c.Has(i) {
			continue
		}
		if b, err := a.c.Block(i); err != nil || !bytes.Equal(b, log[i]) {
			a.w.fail("core %d: block %d of fork %d is held %s: got %d bytes, %v, want %d", a.id, i, info.Fork, when, len(b), err, len(log[i]))
		}
	}
	a.w.verify(a.id, a.c, when)
}

// durable notes what a power cut may not take back from now on.
func (a *replica) durable() {
	info := a.c.Info()
	a.least, a.most, a.length = info.Fork, info.Fork, info.Length
	clear(a.held)
	for i := range info.Length {
		if a.c.Has(i) {
			a.held[i] = struct{}{}
		}
	}
}

// grow changes the log where it is written.
func (a *replica) grow() {
	ctx, fork := a.w.ctx, len(a.logs)-1
	if log := a.logs[fork]; len(log) > 0 && a.w.chance(6) {
		n := a.w.r.IntN(len(log))
		a.mustFar(a.writer.Truncate(ctx, uint64(n)))
		a.logs = append(a.logs, log[:n:n])
		fork++
	}
	blocks := a.w.blocks(a.logs[fork])
	_, err := a.writer.Append(ctx, blocks...)
	a.mustFar(err)
	a.mustFar(a.writer.Flush(ctx))
	log := a.logs[fork]
	a.logs[fork] = append(log[:len(log):len(log)], blocks...)
}

func (a *replica) step() {
	if a.w.chance(2) {
		a.grow()
	}
	h := a.writer.Head()
	switch a.w.r.IntN(7) {
	case 6:
		if a.w.reopen(a.id, a.c) {
			a.durable()
			a.open()
		}
	case 0:
		a.w.note("core %d: flush", a.id)
		if !a.w.died("flush", a.w.flush(a.c)) {
			a.durable()
		}
	case 1:
		a.clear()
	case 2:
		if a.c.Head().Fork >= h.Fork {
			return
		}
		a.w.apart(a.c)
		a.w.note("core %d: reorganise to fork %d", a.id, h.Fork)
		a.most = h.Fork
		if !a.w.died("reorganise", follow(a.writer, a.c)) {
			a.durable()
		}
	default:
		if a.c.Head().Fork != h.Fork {
			return
		}
		a.w.note("core %d: upgrade to %d", a.id, h.Length)
		if a.w.chance(2) && a.w.died("upgrade", upgrade(a.writer, a.c)) {
			return
		}
		a.fetchSome()
	}
}

// fetchSome fetches a block, or many as one frame has them.
func (a *replica) fetchSome() {
	n := a.c.Head().Length
	if n == 0 {
		return
	}
	from := a.w.r.Uint64N(n)
	a.w.note("core %d: fetch from %d", a.id, from)
	if a.w.chance(2) {
		a.w.apart(a.c)
		a.applied(fetch(a.writer, a.c, from))
		return
	}
	var proofs []*merkle.Proof
	for i := from; i < min(n, from+1+a.w.r.Uint64N(12)); i++ {
		nodes, err := a.c.Missing(2 * i)
		if a.w.died("missing", err) {
			return
		}
		p, err := a.writer.Prove(merkle.Request{Fork: a.c.Head().Fork, Block: &merkle.BlockRequest{Index: i, Nodes: nodes}})
		a.mustFar(err)
		proofs = append(proofs, p)
	}
	a.w.apart(a.c)
	for _, err := range a.c.ApplyAll(proofs) {
		a.applied(err)
	}
}

// applied takes the error of a proof, which may have come too late for the state
// of the core, but is never bad.
func (a *replica) applied(err error) {
	if !errors.Is(err, hypercore.ErrStale) {
		a.w.died("apply", err)
	}
}

func (a *replica) clear() {
	n := a.c.Head().Length
	if n == 0 {
		return
	}
	from := a.w.r.Uint64N(n)
	to := min(n, from+1+a.w.r.Uint64N(6))
	a.w.note("core %d: clear %d to %d", a.id, from, to)
	for i := from; i < to; i++ {
		delete(a.held, i)
	}
	var err error
	a.w.st.freely(func() { _, err = a.c.Clear(a.w.ctx, from, to) })
	a.w.died("clear", err)
}

// finish: it can fetch all that there is.
func (a *replica) finish() {
	h := a.writer.Head()
	if h.Length == 0 {
		return
	}
	if a.c.Head().Fork < h.Fork {
		a.w.died("reorganise", follow(a.writer, a.c))
	}
	a.w.died("upgrade", upgrade(a.writer, a.c))
	for i := range h.Length {
		for tries := 0; !a.c.Has(i) && tries < 3; tries++ {
			a.applied(fetch(a.writer, a.c, i))
		}
	}
	if got := a.c.Info().Contiguous; got != h.Length {
		a.w.fail("core %d: %d blocks are held at last, want %d", a.id, got, h.Length)
	}
	a.check("at last")
}
