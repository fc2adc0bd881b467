package replicate

import (
	"flag"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"multicore/hypercore/wire"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "simulate this seed alone; with -v the log has all that happened")
	simSeeds = flag.Uint64("sim.seeds", 20, "simulate the seeds from 1 to this one")
)

// sim is a network of hosts in one process and in virtual time. All that it
// does follows from its seed.
type sim struct {
	t       testing.TB
	seed    uint64
	plan    simPlan
	bug     simBug
	rand    *rand.Rand
	at      time.Duration
	seq     uint64
	events  simEvents
	touched []*simHost
	reading *simRead // the read that runs now
	over    bool     // no more operations
	blocks  int      // that may still be appended

	hosts []*simHost
	links []*simLink
	logs  []*simLog

	frames  int
	digest  uint64
	verbose bool
	trace   []simLine
	wrong   error // the first thing that was not as it should be
}

// simLine is a line of the trace, which is put into words when it is wanted.
type simLine struct {
	at    time.Duration
	text  string
	frame []byte
	from  *simEnd
}

// simTail is how much of the trace a failure shows.
const simTail = 150

var simTable = crc64.MakeTable(crc64.ECMA)

// hash adds to the digest of the run.
func (s *sim) hash(what uint64, b []byte) {
	s.digest = (s.digest^uint64(s.at)^what<<20)*0x9e3779b97f4a7c15 ^ crc64.Update(what, simTable, b)
}

func (s *sim) tell(format string, args ...any) {
	s.line(simLine{at: s.at, text: fmt.Sprintf(format, args...)})
}

// record adds a frame that a host takes to the trace.
func (s *sim) record(e *simEnd, frame []byte) {
	s.hash(uint64(e.host.id), frame)
	if len(frame) > 0 {
		s.line(simLine{at: s.at, frame: append([]byte(nil), frame...), from: e})
	}
}

func (s *sim) line(l simLine) {
	if s.verbose {
		s.t.Log(l)
		return
	}
	if len(s.trace) >= 2*simTail {
		s.trace = append(s.trace[:0], s.trace[simTail:]...)
	}
	s.trace = append(s.trace, l)
}

func (l simLine) String() string {
	if l.from == nil {
		return fmt.Sprintf("%12s  %s", l.at, l.text)
	}
	text := fmt.Sprintf("%12s  %s from %s:", l.at, l.from.host.name, l.from.other.host.name)
	wire.EachMessage(l.frame, func(channel, typ uint64, payload []byte) error {
		if channel == wire.ControlChannel {
			text += fmt.Sprintf(" control %d %x;", typ, payload)
			return nil
		}
		m, err := wire.Parse(typ, payload)
		switch v := m.(type) {
		case nil:
			text += fmt.Sprintf(" %d type %d %v;", channel, typ, err)
		case wire.Data:
			text += fmt.Sprintf(" %d %s;", channel, describeData(v))
		case wire.Request:
			text += fmt.Sprintf(" %d %s;", channel, describeRequest(v))
		default:
			text += fmt.Sprintf(" %d %T%+v;", channel, m, m)
		}
		return nil
	})
	return text
}

func describeRequest(q wire.Request) string {
	text := fmt.Sprintf("request %d fork %d priority %d", q.ID, q.Fork, q.Priority)
	if q.Block != nil {
		text += fmt.Sprintf(" block %+v", *q.Block)
	}
	if q.Hash != nil {
		text += fmt.Sprintf(" hash %+v", *q.Hash)
	}
	if q.Seek != nil {
		text += fmt.Sprintf(" seek %+v", *q.Seek)
	}
	if q.Upgrade != nil {
		text += fmt.Sprintf(" upgrade %+v", *q.Upgrade)
	}
	return text
}

func describeData(d wire.Data) string {
	text := fmt.Sprintf("data %d fork %d", d.ID, d.Fork)
	if d.Block != nil {
		text += fmt.Sprintf(" block %d of %d bytes, %d nodes", d.Block.Index, len(d.Block.Value), len(d.Block.Nodes))
	}
	if d.Hash != nil {
		text += fmt.Sprintf(" hash %d, %d nodes", d.Hash.Index, len(d.Hash.Nodes))
	}
	if d.Seek != nil {
		text += fmt.Sprintf(" seek %d", d.Seek.Bytes)
	}
	if d.Upgrade != nil {
		text += fmt.Sprintf(" upgrade %d+%d, %d nodes", d.Upgrade.Start, d.Upgrade.Length, len(d.Upgrade.Nodes))
	}
	return text
}

// violate notes that something is not as it should be, which ends the run.
func (s *sim) violate(format string, args ...any) {
	if s.wrong == nil {
		s.wrong = fmt.Errorf("at %s: %s", s.at, fmt.Sprintf(format, args...))
		s.tell("VIOLATION: %v", s.wrong)
	}
}

// fatal ends a run that cannot go on.
func (s *sim) fatal(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("seed %d: "+format, append([]any{s.seed}, args...)...)
}

// simulate runs a seed, with a bug in it or none, and says what was wrong.
func simulate(t *testing.T, seed uint64, bug simBug) (s *sim) {
	synctest.Test(t, func(t *testing.T) {
		s = &sim{t: t, seed: seed, bug: bug, rand: rand.New(rand.NewPCG(seed, 5)), verbose: *simSeed == seed && testing.Verbose()}
		s.plan = newSimPlan(s.rand)
		s.blocks = s.plan.blocks
		s.tell("seed %d: %s", seed, s.plan)
		s.build()
		s.act()
		s.run()
		s.end()
	})
	return s
}

// until lets things happen until done says so, looked at twice a second, and
// gives up after a time or where something is wrong.
func (s *sim) until(most time.Duration, done func() bool) bool {
	end := s.at + most
	over, well := false, false
	var look func()
	look = func() {
		well = done()
		if over = well || s.at >= end; !over {
			s.after(500*time.Millisecond, look)
		}
	}
	s.after(0, look)
	for !over && s.wrong == nil {
		s.next()
	}
	return well
}

// simPatience is in how much virtual time a network in which nothing more
// happens must come to rest.
const simPatience = 10 * time.Minute

// run is the whole of a run: things happen, then the network heals, and then
// all must be well.
func (s *sim) run() {
	s.until(s.plan.phase+time.Second, func() bool { return false })
	if s.over = true; s.wrong != nil {
		return
	}
	s.tell("operations end")
	for _, l := range s.links {
		l.block(false)
	}
	for _, h := range s.hosts {
		if s.start(h); s.wrong != nil {
			return
		}
		h.final()
	}
	for _, l := range s.logs {
		if len(l.blocks()) == 0 { // a fork without blocks cannot be proved
			l.append(s.hosts[l.writer].cores[l.id], []byte("last"))
		}
	}
	s.rest("the end of the operations")
	for _, h := range s.hosts {
		for _, l := range s.logs {
			for range 3 {
				s.look(h, l, 0)
			}
		}
	}
	s.rest("the last reads")
	if s.wrong == nil {
		s.verify()
	}
}

// rest waits until nothing is under way and all downloads are complete.
func (s *sim) rest(after string) {
	var why error
	if !s.until(simPatience, func() bool {
		why = s.busy()
		return why == nil
	}) {
		s.violate("%s after %s: %v", simPatience, after, why)
	}
}

// end ends all processes.
func (s *sim) end() {
	for _, h := range s.hosts {
		switch {
		case !h.up:
		case s.wrong != nil:
			h.kill(false)
		default:
			h.stop()
		}
	}
}

// fail reports a run that went wrong, and how to see it again.
func (s *sim) fail(t *testing.T) {
	tail := s.trace[max(0, len(s.trace)-simTail):]
	for _, l := range tail {
		t.Log(l)
	}
	t.Errorf("seed %d (%s): %v\nto see all of it: go test ./hypercore/replicate -run TestSimulation/%d$ -sim.seed=%d -v", s.seed, s.plan, s.wrong, s.seed, s.seed)
}

// A network of honest hosts, whatever happens to them, ends with the same logs
// everywhere. The seeds beyond the first 20 take longer:
//
//	go test ./hypercore/replicate -run TestSimulation -sim.seeds=1000 -timeout 2h
func TestSimulation(t *testing.T) {
	first, last := uint64(1), *simSeeds
	if testing.Short() {
		last = min(last, 2)
	}
	if *simSeed != 0 {
		first, last = *simSeed, *simSeed
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			s := simulate(t, seed, simBug{})
			if s.wrong != nil {
				s.fail(t)
			}
			t.Logf("%s: %d frames, %s of virtual time in %s, digest %x", s.plan, s.frames, s.at, time.Since(began), s.digest)
		})
	}
}

// The same seed gives the same frames at the same times.
func TestSimulationIsDeterministic(t *testing.T) {
	for _, seed := range []uint64{2, 4} {
		a, b := simulate(t, seed, simBug{}), simulate(t, seed, simBug{})
		if a.digest != b.digest || a.frames != b.frames {
			t.Errorf("seed %d: digests %x and %x, %d and %d frames", seed, a.digest, b.digest, a.frames, b.frames)
		}
	}
}
