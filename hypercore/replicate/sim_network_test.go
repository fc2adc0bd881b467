package replicate

import (
	"container/heap"
	"errors"
	"io"
	"slices"
	"time"

	"multicore/hypercore/wire"
)

// simEvent is something that happens at a time. Of the same time, the one that
// was put first comes first.
type simEvent struct {
	at  time.Duration
	seq uint64
	fn  func()
}

type simEvents []simEvent

func (q simEvents) Len() int { return len(q) }
func (q simEvents) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q simEvents) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simEvents) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simEvents) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = simEvent{}
	*q = old[:len(old)-1]
	return e
}

// after has fn called once d has passed.
func (s *sim) after(d time.Duration, fn func()) {
	s.seq++
	heap.Push(&s.events, simEvent{s.at + max(d, 0), s.seq, fn})
}

// next lets the next event happen, and what follows from it at once.
func (s *sim) next() {
	e := heap.Pop(&s.events).(simEvent)
	if d := e.at - s.at; d > 0 {
		time.Sleep(d) // of the bubble: no time passes
		s.at = e.at
	}
	e.fn()
	for len(s.touched) > 0 {
		h := s.touched[0]
		s.touched = s.touched[1:]
		h.listed = false
		h.pump()
	}
}

const (
	simSendBuffer = 128 << 10 // written to a stream and not on the wire yet
	simWindow     = 1 << 20   // on the wire or not read yet by the other end
	simChunk      = 16 << 10  // what one stream sends before the next has its turn
)

// simLink joins two hosts by one stream at a time, which is made again while
// the link is there.
type simLink struct {
	sim     *sim
	hosts   [2]*simHost
	ends    [2]*simEnd // of the newest stream; nil where it ended
	latency time.Duration
	jitter  time.Duration
	blocked bool // a partition lies between: what is sent waits
	dialing bool
}

// simEnd is one end of a stream, and the stream of its conn.
type simEnd struct {
	link  *simLink
	host  *simHost
	other *simEnd
	conn  *conn
	out   *sender

	busy   bool   // the machine may have more to send
	outbox []byte // written
	queued bool   // in host.uplink
	unread int    // bytes sent that the other end did not read
	arrive time.Duration
	held   [][]byte // what a partition keeps from the other end

	inbox   []byte
	reading bool
	closed  bool
	sent    time.Duration // when something was written last
}

var errSimReset = errors.New("connection reset")

// Read is not called: the simulation gives the conn its frames.
func (e *simEnd) Read([]byte) (int, error) { return 0, io.EOF }

// Write takes what the sender sends.
func (e *simEnd) Write(p []byte) (int, error) {
	if e.closed {
		return 0, errSimReset
	}
	e.link.sim.hash(uint64(e.host.id)<<32|uint64(e.other.host.id), p)
	e.outbox = append(e.outbox, p...)
	e.sent = e.link.sim.at
	e.host.upload += uint64(len(p))
	e.host.transmit(e)
	return len(p), nil
}

// Close is called on a goroutine of its own; pump sees that the conn failed.
func (e *simEnd) Close() error { return nil }

// dial makes the stream of a link after a while, if there is none.
func (l *simLink) dial(d time.Duration) {
	if l.dialing {
		return
	}
	l.dialing = true
	l.sim.after(d, func() {
		l.dialing = false
		if l.ends[0] != nil && l.ends[1] != nil {
			return
		}
		if l.blocked || !l.hosts[0].up || !l.hosts[1].up {
			if !l.sim.over {
				l.dial(time.Second)
			}
			return
		}
		l.connect()
	})
}

// connect makes a stream. An end that is left of an older one, which the other
// side has given up, ends before or soon after.
func (l *simLink) connect() {
	s := l.sim
	var hash [64]byte
	for i := range hash {
		hash[i] = byte(s.rand.Uint32())
	}
	old := l.ends
	l.ends = [2]*simEnd{{link: l, host: l.hosts[0]}, {link: l, host: l.hosts[1]}}
	l.ends[0].other, l.ends[1].other = l.ends[1], l.ends[0]
	initiator := s.rand.IntN(2)
	for i, e := range l.ends {
		if x := old[i]; x != nil {
			if s.rand.IntN(2) == 0 {
				x.end(errSimReset)
			} else {
				s.after(3*l.latency, func() { x.end(errSimReset) })
			}
		}
		c := Conn{Stream: e, Initiator: i == initiator, HandshakeHash: hash, Peer: l.hosts[1-i].name}
		e.conn = newConn(e.host.swarm, c)
		e.out = newSender(e.conn)
		if _, ok := e.host.swarm.join(e.conn, c); !ok {
			s.violate("%s: the swarm is closed", e.host.name)
			return
		}
		e.host.ends = append(e.host.ends, e)
		e.sent = s.at
		e.host.touch()
	}
	s.tell("connect %s %s", l.hosts[0].name, l.hosts[1].name)
}

// end ends this side of a stream. The other side hears of it when it can.
func (e *simEnd) end(err error) {
	if e.closed {
		return
	}
	l, s := e.link, e.link.sim
	e.closed = true
	e.conn.fail(err)
	s.tell("%s ends the stream to %s: %v", e.host.name, e.other.host.name, e.conn.err)
	if s.bug.leave != nil {
		s.bug.leave(e.conn)
	}
	e.host.swarm.leave(e.conn)
	e.host.swarm.serving.Done()
	e.host.ends = slices.DeleteFunc(e.host.ends, func(x *simEnd) bool { return x == e })
	e.host.touch()
	for i, x := range l.ends {
		if x == e {
			l.ends[i] = nil
		}
	}
	if isMisbehaved(e.conn.err) {
		s.violate("%s drops %s, which is honest: %v", e.host.name, e.other.host.name, e.conn.err)
	}
	if errors.Is(e.conn.err, ErrIdle) && !s.plan.rough {
		s.violate("%s drops %s, which is there: %v", e.host.name, e.other.host.name, e.conn.err)
	}
	s.after(l.latency, func() { e.reset() })
	l.dial(time.Duration(200+s.rand.IntN(3000)) * time.Millisecond)
}

// reset brings the news of an end to the other one.
func (e *simEnd) reset() {
	if !e.link.blocked && !e.silent() {
		e.other.end(errSimReset)
	}
}

// silent says that the host of e cannot even say that a stream is over.
func (e *simEnd) silent() bool { return e.host.dark }

// transmit has the uplink of a host send what an end has.
func (h *simHost) transmit(e *simEnd) {
	if e.queued || e.closed || len(e.outbox) == 0 || e.unread >= simWindow {
		return
	}
	e.queued = true
	h.uplink = append(h.uplink, e)
	h.send()
}

// send puts one chunk on the wire, in turns between the streams.
func (h *simHost) send() {
	if h.sending || len(h.uplink) == 0 {
		return
	}
	e := h.uplink[0]
	h.uplink = h.uplink[1:]
	e.queued = false
	if e.closed {
		h.send()
		return
	}
	h.sending = true
	n := min(len(e.outbox), simChunk)
	chunk := e.outbox[:n:n]
	e.outbox = e.outbox[n:]
	e.unread += n
	h.sim.after(h.up2time(n), func() {
		h.sending = false
		l := e.link
		delay := l.latency
		if l.jitter > 0 {
			delay += time.Duration(h.sim.rand.Int64N(int64(l.jitter)))
		}
		e.arrive = max(e.arrive, h.sim.at+delay)
		h.sim.after(e.arrive-h.sim.at, func() { e.deliver(chunk) })
		h.transmit(e)
		h.send()
		h.touch() // there is room for more
	})
}

// up2time is how long the uplink takes for n bytes.
func (h *simHost) up2time(n int) time.Duration {
	return time.Duration(n) * time.Second / time.Duration(h.rate)
}

// deliver brings a chunk to the other end.
func (e *simEnd) deliver(chunk []byte) {
	if e.link.blocked || len(e.held) > 0 {
		e.held = append(e.held, chunk)
		return
	}
	if o := e.other; !o.closed {
		o.inbox = append(o.inbox, chunk...)
		o.conn.meter.received.Add(uint64(len(chunk)))
		o.read()
	}
}

// block begins or ends a partition.
func (l *simLink) block(on bool) {
	if l.blocked == on {
		return
	}
	l.blocked = on
	if on {
		return
	}
	for _, e := range l.all() {
		held := e.held
		e.held = nil
		for _, chunk := range held {
			e.deliver(chunk)
		}
		if e.closed {
			l.sim.after(l.latency, func() { e.reset() })
		}
	}
	if l.ends[0] == nil || l.ends[1] == nil {
		l.dial(time.Duration(200+l.sim.rand.IntN(3000)) * time.Millisecond)
	}
}

// all are the ends that are known on either side.
func (l *simLink) all() []*simEnd {
	var list []*simEnd
	for _, h := range l.hosts {
		for _, e := range h.ends {
			if e.link == l {
				list = append(list, e)
				if e.other.closed {
					list = append(list, e.other)
				}
			}
		}
	}
	return list
}

// read has the frames that have come taken, one at a time where the host is slow.
func (e *simEnd) read() {
	if e.reading || e.closed || e.frame() == nil {
		return
	}
	e.reading = true
	e.link.sim.after(e.host.lag, func() {
		e.reading = false
		for f := e.frame(); f != nil && !e.closed; f = e.frame() {
			e.take(f)
			if e.host.lag > 0 {
				break
			}
		}
		e.read()
	})
}

// frame is the first frame in the inbox, with its length, or nil.
func (e *simEnd) frame() []byte {
	if len(e.inbox) < wire.FrameHeader {
		return nil
	}
	n := wire.FrameHeader + wire.FrameLength(e.inbox)
	if len(e.inbox) < n {
		return nil
	}
	return e.inbox[:n]
}

// take gives the first frame of the inbox to the conn. What the conn keeps must
// not lie in it.
func (e *simEnd) take(f []byte) {
	s := e.link.sim
	e.inbox = e.inbox[len(f):]
	e.other.unread -= len(f)
	if !e.other.closed {
		e.other.host.transmit(e.other)
	}
	s.frames++
	for _, b := range s.bug.frame(e, f[wire.FrameHeader:]) {
		s.record(e, b)
		err := e.conn.frame(b)
		clear(b)
		e.host.touch()
		if err != nil {
			e.end(err)
			return
		}
		e.host.pump()
	}
}
