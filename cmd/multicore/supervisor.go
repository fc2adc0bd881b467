package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

// supervisor is the service manager that started this process, if one did: it
// listens on the socket that $NOTIFY_SOCKET names (sd_notify(3)), and with
// $WATCHDOG_USEC ends a process of which it hears nothing for that long. That is
// a datagram now and then, and what libraries do for it waits for ever where
// nobody reads them.
type supervisor struct {
	*program
	socket   string        // "": there is none
	watchdog time.Duration // 0: it does not wait for signs of life
	failed   sync.Once
	stopped  sync.Once
}

func (p *program) newSupervisor() *supervisor {
	s := &supervisor{program: p, socket: os.Getenv("NOTIFY_SOCKET")}
	var err error
	if s.watchdog, err = watchdogTime(os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")); err != nil {
		p.log.Warn("the service manager wants signs of life in a way that is not understood", "err", err)
	}
	return s
}

// watchdogTime reads the variables of sd_watchdog_enabled(3); 0 where they are
// not there, or not for this process.
func watchdogTime(usec, pid string) (time.Duration, error) {
	if usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if most := int64(time.Duration(1<<63-1) / time.Microsecond); err != nil || n <= 0 || n > most {
		return 0, fmt.Errorf("WATCHDOG_USEC=%s: want a number of microseconds", usec)
	}
	return time.Duration(n) * time.Microsecond, nil
}

// sayTime bounds the wait for a service manager that does not read.
const sayTime = time.Second

// say sends lines such as READY=1. A service manager that cannot be told is no
// reason to end.
func (s *supervisor) say(lines ...string) {
	if s.socket == "" {
		return
	}
	conn, err := net.Dial("unixgram", s.socket) // a leading @ is the abstract namespace
	if err == nil {
		conn.SetWriteDeadline(time.Now().Add(sayTime))
		_, err = conn.Write([]byte(strings.Join(lines, "\n")))
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		s.failed.Do(func() { s.log.Warn("the service manager cannot be told how this process is", "err", err) })
	}
}

// ready says that the process is usable, and what it does, in one line.
func (s *supervisor) ready(status string) { s.say("READY=1", "STATUS="+oneLine(status)) }

// stopping says, once, that the process is about to end.
func (s *supervisor) stopping() { s.stopped.Do(func() { s.say("STOPPING=1") }) }

func (s *supervisor) alive() { s.say("WATCHDOG=1") }

// watch is what the supervisor wants to know of the store that this process holds.
func (s *supervisor) watch() node.Watch {
	w := node.Watch{Patience: s.watchdog, Stuck: func(what string) {
		if what == "" {
			what = "the store answers again"
		} else {
			what = "the store does not answer: " + what
		}
		s.say("STATUS=" + what)
	}}
	if s.watchdog > 0 {
		w.Alive = s.alive
	}
	return w
}

// watchOther is watch where another process holds the store: as long as that
// one answers, and its store does. It returns at once; end ends it.
func (s *supervisor) watchOther(ctx context.Context, c *control.Client) (end func()) {
	if s.watchdog == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			bounded, done := context.WithTimeout(ctx, s.watchdog)
			if st, err := c.Status(bounded); err == nil && st.Stuck == "" {
				s.alive()
			}
			done()
			if sleep(ctx, s.watchdog/node.LooksPerPatience) != nil {
				return
			}
		}
	})
	return func() { cancel(); work.Wait() }
}
