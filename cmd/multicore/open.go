package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

const (
	// settle bounds the wait for a process that is about to answer, or about
	// to let the store go.
	settle = 10 * time.Second
	// makeWay is how long a command that lost its process lets others take the
	// store before it takes it itself.
	makeWay = 2 * time.Second
	retry   = 50 * time.Millisecond
)

// errYielded ends the work of a session whose store another process asked for.
var errYielded = errors.New("another process takes the store over")

// session is the store as one command has it: held by another process, or by
// this one, which then answers others too.
type session struct {
	control.Service
	client *control.Client // nil where this process holds the store
	node   *node.Node      // nil where another one does
	server *control.Server // nil where another one does
}

// held says whether this process holds the store.
func (s *session) held() bool { return s.node != nil }

// yielded is closed when another process asked for the store; nil where it is
// not ours to give.
func (s *session) yielded() <-chan struct{} {
	if s.node == nil {
		return nil
	}
	return s.node.Yielded()
}

// untilYielded gives a context for work that may stop at any moment.
func (s *session) untilYielded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if yielded := s.yielded(); yielded != nil {
		go func() {
			select {
			case <-yielded:
				cancel(errYielded)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// close gives the store up, after the calls of other processes.
func (s *session) close() error {
	if s.client != nil {
		return s.client.Close()
	}
	if s.server != nil {
		s.server.Close()
	}
	return s.node.Close()
}

// with does the work of a short command on the store of the options, through
// the process that holds it if there is one. Where that process goes away, or
// this one is asked for the store and do ends with errYielded, do is called
// again with another session: it goes on where it was.
func (p *program) with(ctx context.Context, o node.Options, do func(context.Context, *session) error) error {
	for moved := false; ; moved = true {
		s, err := p.open(ctx, o, moved)
		if err != nil {
			return err
		}
		err = do(ctx, s)
		if closed := s.close(); err == nil {
			err = closed
		}
		moves := errors.Is(err, errYielded) || errors.Is(err, control.ErrGone)
		if !moves || ctx.Err() != nil {
			return err
		}
	}
}

// open finds the process that holds the store, or becomes it.
func (p *program) open(ctx context.Context, o node.Options, moved bool) (*session, error) {
	began := time.Now()
	for {
		client, err := control.Dial(ctx, p.store)
		if err == nil && (o.Network == nil || !giveWay(ctx, client)) {
			return &session{Service: client, client: client}, nil
		}
		if err == nil {
			client.Close()
		} else if !errors.Is(err, control.ErrNoServer) {
			return nil, err
		}
		if err == nil || !moved || time.Since(began) > makeWay {
			o.Short = true
			s, err := p.hold(ctx, o)
			if err == nil || control.CodeOf(err) != control.InUse {
				return s, err
			}
			if time.Since(began) > settle {
				return nil, p.notAnswering(err)
			}
		}
		if err := sleep(ctx, retry); err != nil {
			return nil, err
		}
	}
}

// giveWay asks a short command that speaks to no peers for the store, for one
// that needs them. It says whether the store is about to be free.
func giveWay(ctx context.Context, c *control.Client) bool {
	st, err := c.Status(ctx)
	if err != nil || st.Node != nil {
		return errors.Is(err, control.ErrGone)
	}
	err = c.Yield(ctx)
	return err == nil || errors.Is(err, control.ErrGone)
}

// hold opens the store in this process and serves its control socket.
func (p *program) hold(ctx context.Context, o node.Options) (*session, error) {
	o.Dir, o.Log, o.Version = p.store, p.log, buildVersion()
	n, err := node.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	// Calls of others end with Close, not with the signal that asks for it.
	server, err := control.Serve(context.WithoutCancel(ctx), p.store, n)
	if err != nil {
		n.Close()
		return nil, err
	}
	return &session{Service: n, node: n, server: server}, nil
}

// takeOver holds the store for a mount or serve. A short command that has it
// gives it up; where another mount or serve does not, the session is theirs.
func (p *program) takeOver(ctx context.Context, o node.Options) (*session, error) {
	began := time.Now()
	for {
		client, err := control.Dial(ctx, p.store)
		switch {
		case err == nil:
			err = client.Yield(ctx)
			if control.CodeOf(err) == control.InUse {
				return &session{Service: client, client: client}, nil
			}
			client.Close()
			if err != nil && !errors.Is(err, control.ErrGone) {
				return nil, err
			}
		case !errors.Is(err, control.ErrNoServer):
			return nil, err
		}
		s, err := p.hold(ctx, o)
		if err == nil || control.CodeOf(err) != control.InUse {
			return s, err
		}
		if time.Since(began) > settle {
			return nil, p.notAnswering(err)
		}
		if err := sleep(ctx, retry); err != nil {
			return nil, err
		}
	}
}

// occupied says what holds the store and how to get past it.
func (p *program) occupied(ctx context.Context, c *control.Client) error {
	text := fmt.Sprintf("%s is in use by a running multicore (pid %d)", p.store, c.PID())
	if st, err := c.Status(ctx); err == nil && len(st.Mounts) > 0 {
		text += fmt.Sprintf(", which serves it already and shows it at %s", st.Mounts[0].Path)
	} else {
		text += ", which serves it already"
	}
	return &control.Error{Code: control.InUse, Text: text + "; stop that one first or use --store"}
}

// notAnswering is err, which names the process that holds the lock, after a
// while in which that process served no socket.
func (p *program) notAnswering(err error) error {
	holder := "another process"
	if _, pid, ok := strings.Cut(err.Error(), ", pid "); ok {
		holder = "process " + pid
	}
	return &control.Error{Code: control.InUse, Text: fmt.Sprintf("store %s is in use by %s, which does not answer", p.store, holder), Err: err}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
