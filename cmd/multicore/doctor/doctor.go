package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
	"multicore/corestore"
)

// State is what a check came to.
type State string

const (
	OK      State = "ok"
	Problem State = "problem"
	Unknown State = "unknown" // it cannot be told from here, or not yet
)

// Check is what one check found.
type Check struct {
	Name   string       `json:"name"`
	State  State        `json:"state"`
	Text   string       `json:"text"`
	Remedy string       `json:"remedy"` // of a problem: what to do
	Code   control.Code `json:"code"`   // of a problem: the exit code of a command that meets it
}

// Report is the object of `multicore doctor --json`, version 1. Fields are only
// added.
type Report struct {
	V       int     `json:"v"`
	OK      bool    `json:"ok"` // no check found a problem
	Store   string  `json:"store"`
	Process *int    `json:"process"` // pid of the process that holds the store and answers
	Checks  []Check `json:"checks"`
}

// Code is the exit code of the report: 0 without a problem, that of the problems
// where it is the same for all, else control.Other.
func (r *Report) Code() control.Code {
	var code control.Code
	for _, c := range r.Checks {
		switch {
		case c.State != Problem:
		case code == 0:
			code = c.Code
		case c.Code != code:
			return control.Other
		}
	}
	return code
}

// Options say what to look at.
type Options struct {
	Dir     string       // the store, which may be missing
	Network node.Network // what a mount or serve would use; of no account while one runs
	Version string       // of this program
	Built   time.Time    // when it was; zero: unknown
	// Deadline bounds each check; 0 is 10 s.
	Deadline time.Duration
}

// examination is one call of Examine.
type examination struct {
	Options
	client *control.Client // nil where no process answers
	mute   bool            // a process holds the store and does not answer

	// inspection is of a store that no process holds.
	inspection func() (*corestore.Inspection, error)
}

// Examine makes every check, side by side. It ends when ctx does, with what is
// not known by then as problems.
func Examine(ctx context.Context, o Options) *Report {
	if o.Deadline <= 0 {
		o.Deadline = 10 * time.Second
	}
	x := &examination{Options: o}
	x.inspection = sync.OnceValues(func() (*corestore.Inspection, error) {
		ctx, cancel := context.WithTimeout(ctx, inspectFor)
		defer cancel()
		return corestore.Inspect(ctx, o.Dir)
	})
	r := &Report{V: 1, OK: true, Store: o.Dir}
	process := x.bounded(ctx, "process", x.process) // the others ask it
	x.mute = process.State == Problem
	r.Checks = append(r.Checks, process)
	if x.client != nil {
		defer x.client.Close()
		pid := x.client.PID()
		r.Process = &pid
	}
	list := []struct {
		name string
		do   func(context.Context) Check
	}{
		{"fuse", x.fuse}, {"mounts", x.mounts}, {"disk", x.disk}, {"store", x.store},
		{"clock", x.clock}, {"ports", x.ports}, {"dht", x.dht}, {"reachability", x.reachability},
	}
	found := make([]Check, len(list))
	var all sync.WaitGroup
	for i, c := range list {
		all.Go(func() { found[i] = x.bounded(ctx, c.name, c.do) })
	}
	all.Wait()
	r.Checks = append(r.Checks, found...)
	for _, c := range r.Checks {
		r.OK = r.OK && c.State != Problem
	}
	return r
}

// bounded makes a check, and leaves it alone where it does not end in time: a
// system call that hangs cannot be called back.
func (x *examination) bounded(ctx context.Context, name string, do func(context.Context) Check) Check {
	ctx, cancel := context.WithTimeout(ctx, x.Deadline)
	defer cancel()
	done := make(chan Check, 1)
	go func() { done <- do(ctx) }()
	var c Check
	select {
	case c = <-done:
	case <-ctx.Done():
		select {
		case c = <-done:
		case <-time.After(time.Second): // for one that minds ctx
			c = problem(control.Timeout, "see what hangs: the disk, a mount, or the process that holds the store",
				"it does not end within %v", x.Deadline)
		}
	}
	c.Name = name
	return c
}

func ok(format string, args ...any) Check {
	return Check{State: OK, Text: fmt.Sprintf(format, args...)}
}

func unknown(format string, args ...any) Check {
	return Check{State: Unknown, Text: fmt.Sprintf(format, args...)}
}

func problem(code control.Code, remedy, format string, args ...any) Check {
	return Check{State: Problem, Text: fmt.Sprintf(format, args...), Remedy: remedy, Code: code}
}
