package replicate

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// conn drives one stream: run reads, a second goroutine takes what was read, and
// a third one writes. Neither of the first two waits for the third, so two full
// pipes cannot block each other.
type conn struct {
	swarm  *Swarm
	stream io.ReadWriteCloser
	peer   *peer
	since  time.Time
	single bool // see Conn
	meter  *Meter
	wire   io.ReadWriter // the stream, metered
	batch  int           // bytes that are gathered before they are sent
	pace   pace          // guarded by swarm.mu
	whole  atomic.Uint64 // bytes by the last frame that came whole
	looked uint64        // whole, at the last tick
	dealt  atomic.Uint64 // counts when a part is taken up, and when it is done with
	busy   uint64        // dealt, at the last tick

	works []work // memory of take

	kicked chan struct{} // there is something to send
	failed chan struct{} // closed by fail
	once   sync.Once
	err    error // why; set before failed is closed
	ending sync.WaitGroup
}

func newConn(s *Swarm, c Conn) *conn {
	n := &conn{
		swarm: s, stream: c.Stream, single: c.Single, since: time.Now(),
		meter: c.Meter, wire: c.Stream, batch: batchOf(s.up),
		kicked: make(chan struct{}, 1),
		failed: make(chan struct{}),
	}
	n.pace.at = n.since
	if n.meter == nil {
		n.meter = s.NewMeter()
		n.wire = n.meter.Over(c.Stream)
	}
	return n
}

// stuck says whether one part of a frame was being dealt with since the last tick:
// our disk is slow, and what the peer sends has to wait. Called at each tick.
func (c *conn) stuck() bool {
	n, last := c.dealt.Load(), c.busy
	c.busy = n
	return n == last && n%2 == 1
}

// kick wakes the writing goroutine.
func (c *conn) kick() {
	select {
	case c.kicked <- struct{}{}:
	default:
	}
}

// fail ends the stream for the first reason given.
func (c *conn) fail(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.failed)
		c.meter.Close()
		c.ending.Go(func() { c.stream.Close() }) // it may wait for the peer, and locks are held here
	})
}

// run serves the stream to its end.
func (c *conn) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.fail(ctx.Err()) })
	defer stop()
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := c.write(); err != nil {
			c.fail(err)
		}
	})
	c.fail(c.read())
	writing.Wait()
	c.ending.Wait()
	if isMisbehaved(c.err) {
		c.swarm.logger.Warn("peer dropped", "peer", c.peer.name, "err", c.err)
	}
	return c.err
}

// write sends what gathers for the peer, and an empty frame where that is
// nothing for long.
func (c *conn) write() error {
	out := newSender(c)
	t := time.NewTimer(keepAlive)
	defer t.Stop()
	for {
		select {
		case <-c.failed:
			return nil
		case <-t.C:
			if err := out.idle(); err != nil {
				return err
			}
		case <-c.kicked:
			before := c.meter.sent.Load()
			if err := out.drain(); err != nil {
				return err
			}
			if c.meter.sent.Load() == before { // there was nothing to say after all
				continue
			}
		}
		t.Reset(keepAlive)
	}
}
