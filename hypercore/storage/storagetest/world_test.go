package storagetest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"

	"multicore/hypercore"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// world is a Machine with cores of every kind on one store, which live, die and
// lose power as one seed has it, and all that is known of them from outside.
type world struct {
	ctx  context.Context
	r    *rand.Rand
	m    *storagetest.Machine
	bug  bug
	st   *paced
	f    *hypercore.Flusher
	far  *hypercore.Flusher // of other machines, which never die
	held []*writer
	all  []actor
	cuts int
	done []string // in the life that is running
	dead bool     // the process ended before its time
}

// actor is a core on the Machine, and what it must be after a crash.
type actor interface {
	open()            // after a crash; it checks what it finds
	step()            // does one thing
	crashed(cut bool) // the process ended; the power too
	finish()          // at last: it goes on as if nothing had happened
	describe() string // what is known, for who looks for the cause of a violation
	core() *hypercore.Core
}

// violation is what must not be.
type violation struct{ text string }

func (w *world) fail(format string, args ...any) {
	panic(violation{fmt.Sprintf(format, args...)})
}

func (w *world) note(format string, args ...any) {
	w.done = append(w.done, fmt.Sprintf(format, args...))
}

// died is called with the error of an operation and says whether the process is
// gone. In a process that runs there are no errors.
func (w *world) died(what string, err error) bool {
	if err == nil {
		return false
	}
	if w.m.Running() {
		w.fail("%s: %v", what, err)
	}
	w.note("died in %s", what)
	w.dead = true
	return true
}

// apart lets the flusher finish where it has the core, which the next operation
// would have to wait for.
func (w *world) apart(c *hypercore.Core) {
	if w.st.busy(storage.ID(c.DiscoveryKey())) {
		w.st.freely(func() {})
	}
}

// flush is Flush of one core, or of all.
func (w *world) flush(c *hypercore.Core) (err error) {
	w.st.freely(func() {
		if c != nil {
			err = c.Flush(w.ctx)
		} else {
			err = w.f.Flush(w.ctx)
		}
	})
	return err
}

// reopen closes a core that is then to be opened again.
func (w *world) reopen(id byte, c *hypercore.Core) bool {
	w.note("core %d: close and open", id)
	var err error
	w.st.freely(func() { err = c.Close() })
	return !w.died("close", err)
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.r.IntN(n) == 0 }

// blocks makes some, or takes some that were written before: what a cut left
// over would look right beside them.
func (w *world) blocks(log [][]byte) [][]byte {
	if len(log) > 0 && w.chance(3) {
		from := w.r.IntN(len(log))
		return log[from:min(len(log), from+1+w.r.IntN(4))]
	}
	blocks := make([][]byte, 1+w.r.IntN(5))
	for i := range blocks {
		blocks[i] = make([]byte, w.r.IntN([]int{3, 60, 60, 700, 1500}[w.r.IntN(5)]))
		for j := range blocks[i] {
			blocks[i][j] = byte(w.r.Uint32())
		}
	}
	return blocks
}

const stepsOfLife = 24

// life runs the process from start to crash.
func (w *world) life(last bool) {
	w.done, w.dead = w.done[:0], false
	syncs := 0
	machine := w.m.BootOn(func(fsys storage.FS) storage.FS { return lazyFS{fsys, w.bug, &syncs} })
	w.st = newPaced(machine, w.bug)
	w.f = hypercore.NewFlusher(w.st, nil)
	defer func() { // also after a violation: nobody may be left in the bubble
		w.m.Kill()
		w.st.freely(func() { w.f.Close() })
		w.st.Close()
	}()
	if !last && w.chance(8) { // while it recovers
		w.m.KillAfter(1 + w.r.IntN(40))
	}
	if w.chance(12) {
		w.note("hold all")
		if w.died("hold", w.st.Update(hypercore.HoldOwn)) {
			return
		}
	}
	for _, a := range w.all {
		a.open()
		if w.dead {
			return
		}
		synctest.Wait()
	}
	if last {
		for _, a := range w.all {
			a.finish()
			synctest.Wait()
		}
		return
	}
	if w.chance(6) {
		w.m.KillAfter(1 + w.r.IntN(400))
	} else {
		w.m.KillAfter(1 + w.r.IntN(70))
	}
	for range stepsOfLife {
		w.step()
		if w.dead {
			return
		}
		synctest.Wait()
	}
}

func (w *world) step() {
	switch w.r.IntN(12) {
	case 0, 1, 2:
		w.note("flusher goes on")
		w.st.step()
	case 3:
		w.note("flush all")
		if w.died("flush of all", w.flush(nil)) {
			return
		}
		for _, a := range w.all {
			if a, ok := a.(*writer); ok {
				a.durable = len(a.log)
			}
		}
	case 4:
		w.appendAll()
	default:
		w.all[w.r.IntN(len(w.all))].step()
	}
}

// appendAll appends to several writers at once.
func (w *world) appendAll() {
	var batches []hypercore.Batch
	var to []*writer
	for _, a := range w.all {
		if a, ok := a.(*writer); ok && (len(w.all) > 64 || w.chance(2)) {
			to = append(to, a)
			batches = append(batches, hypercore.Batch{Core: a.c, Blocks: w.blocks(a.log)})
		}
	}
	if len(to) == 0 {
		return
	}
	if w.st.idle() { // else the first of them could be in a round of its own, or not
		to[0].append(w.blocks(nil))
		if w.dead {
			return
		}
		synctest.Wait()
	}
	w.note("append to %d cores", len(to))
	err := hypercore.AppendAll(w.ctx, batches)
	for i, a := range to {
		if err != nil {
			a.pending = batches[i].Blocks
		} else {
			a.appended(batches[i].Blocks)
		}
	}
	w.died("append to several", err)
}

// run is one seed: lives with crashes in between. It gives the power cuts that
// were survived, and the violation that ended it.
func run(t *testing.T, seed uint64, lives int, b bug) (cuts int, trace string, err error) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{ctx: t.Context(), r: rand.New(rand.NewPCG(seed, 7)), m: storagetest.NewMachine(), bug: b,
			far: hypercore.NewFlusher(storage.Memory(), nil)}
		life := 0
		var all strings.Builder
		defer func() {
			cuts, trace = w.cuts, all.String()
			switch v := recover().(type) {
			case nil:
			case violation:
				var known []string
				for _, a := range w.all {
					known = append(known, a.describe())
				}
				err = fmt.Errorf("seed %d, life %d: %s\nin that life: %s\nknown:\n%s", seed, life, v.text,
					strings.Join(w.done, "; "), strings.Join(known, "\n"))
			default:
				err = errors.Join(fmt.Errorf("seed %d, life %d: panic: %v\n%s", seed, life, v, debug.Stack()))
			}
		}()
		w.populate(seed)
		for ; life < lives; life++ {
			last := life == lives-1
			w.life(last)
			fmt.Fprintf(&all, "%d: %s\n", life, strings.Join(w.done, "; "))
			if last {
				return
			}
			cut := !w.chance(5)
			if cut {
				w.m.PowerCut(w.r)
				w.cuts++
			} else {
				w.m.Kill()
			}
			for _, a := range w.all {
				a.crashed(cut)
			}
		}
	})
	return cuts, trace, err
}

// populate gives a world its cores. One in sixteen has so many that a round
// syncs the whole volume.
func (w *world) populate(seed uint64) {
	if seed%16 == 15 {
		for i := range byte(66) {
			w.all = append(w.all, newWriter(w, i, false))
		}
		return
	}
	w.all = append(w.all, newWriter(w, 0, true), newWriter(w, 1, true), newReplica(w, 2), newHeld(w, 3))
}
