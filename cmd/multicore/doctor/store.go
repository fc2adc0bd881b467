package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/corestore"
)

const (
	// inspectFor bounds the look at the records of a store: a process that opens
	// it meanwhile waits.
	inspectFor = time.Second
	// settleFor is how long what is about to change is waited for: a process that
	// starts, a table that fills, a core that waits for peers.
	settleFor = 6 * time.Second
	again     = 100 * time.Millisecond
)

// until asks again until it is true or d has passed.
func until(ctx context.Context, d time.Duration, cond func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	tick := time.NewTicker(again)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// process looks for the one that holds the store.
func (x *examination) process(ctx context.Context) Check {
	var err error
	pid := 0
	until(ctx, settleFor, func() bool { // one that starts or ends is soon to be found
		if x.client, err = control.Dial(ctx, x.Dir); !errors.Is(err, control.ErrNoServer) {
			return true
		}
		pid, err = corestore.Holder(x.Dir)
		return pid == 0 || err != nil
	})
	switch {
	case x.client != nil:
		return ok("process %d holds the store and answers", x.client.PID())
	case control.CodeOf(err) == control.InUse:
		return problem(control.InUse, "see what it waits for, such as a disk that hangs, or stop it", "%v", err)
	case pid != 0:
		return problem(control.InUse, fmt.Sprintf("stop process %d", pid), "process %d holds the store, and serves no socket", pid)
	case err != nil:
		return problem(control.CodeOf(err), "stop the process that holds the store, and use the same multicore for both", "%v", err)
	}
	return ok("none runs for this store")
}

// status asks the process that holds the store; nil where none does, or where it
// does not say, which process has reported.
func (x *examination) status(ctx context.Context) *control.Status {
	if x.client == nil {
		return nil
	}
	st, err := x.client.Status(ctx)
	if err != nil {
		return nil
	}
	return st
}

// store looks at the records, or asks the process that has them open.
func (x *examination) store(ctx context.Context) Check {
	if !corestore.Exists(x.Dir) {
		return ok("none in %s yet; init, append or mount make it", x.Dir)
	}
	for name, others := range map[string]os.FileMode{".": 0o077, "primary-key": 0o077, "identity": 0o077} {
		if c := x.private(name, others); c.State == Problem {
			return c
		}
	}
	if x.client != nil {
		return x.running(ctx)
	}
	if x.mute {
		return unknown("the process that holds it does not answer")
	}
	i, err := x.inspection()
	switch {
	case err != nil && x.taken():
		return unknown("a process has just opened it")
	case errors.Is(err, corestore.ErrPrimaryKey):
		return problem(control.Other, "put the primary-key of a backup there, mode 0600", "%v", err)
	case errors.Is(err, corestore.ErrNewer):
		return problem(control.Other, "use the multicore that made it, or a newer one", "%v", err)
	case err != nil:
		return problem(max(control.CodeOf(err), control.Other), "put a backup of the store there, or make a new one with init --primary-key and follow what it followed", "%v", err)
	case len(i.Damaged) > 0:
		return problem(control.Verify, "multicore verify shows what is lost; what peers have is fetched again by follow",
			"damaged records, such as: %v", i.Damaged[0])
	case i.Held || i.Records.Held > 0:
		return held()
	case !i.Whole:
		return ok("the records of the first %s are whole; multicore verify reads all of it", plural(i.Cores, "core"))
	}
	return ok("the records of %s are whole; multicore verify reads all blocks", plural(i.Cores, "core"))
}

// taken says whether a process has the store open by now.
func (x *examination) taken() bool {
	pid, err := corestore.Holder(x.Dir)
	return pid != 0 && err == nil
}

// private refuses a file that others may use.
func (x *examination) private(name string, others os.FileMode) Check {
	path := x.Dir
	if name != "." {
		path += "/" + name
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&others == 0 {
		return ok("")
	}
	want := "600"
	if info.IsDir() {
		want = "700"
	}
	return problem(control.Other, "chmod "+want+" "+path, "%s has mode %04o, and other users can use it", path, info.Mode().Perm())
}

func held() Check {
	return problem(control.Other, "connect to a peer that has it, or start with --no-peers if no other copy was ever written",
		"the store is or may be a copy: what is appended is not shown to peers until one has said how long the cores are")
}

// running is store for one that a process has open.
func (x *examination) running(ctx context.Context) Check {
	var st *control.Status
	waits := func() bool { return false }
	settled := until(ctx, settleFor, func() bool {
		if st = x.status(ctx); st == nil {
			return true
		}
		waits = func() bool {
			for _, c := range st.Cores {
				if c.Held {
					return true
				}
			}
			return false
		}
		return !waits()
	})
	if st == nil {
		return unknown("the process that has it open does not say")
	}
	for _, c := range st.Cores {
		switch {
		case c.Failed != "":
			return problem(control.Other, "see the kernel's log (dmesg), then start the process again, which reads the core anew", "%s failed: %s", c.Path, c.Failed)
		case c.Conflict:
			return problem(control.Verify, "stop the other copy of the store; multicore verify shows both heads", "%s is frozen: its key has signed two different logs", c.Path)
		}
	}
	if !settled {
		return held()
	}
	return ok("%s open, none failed; multicore verify reads all blocks", plural(len(st.Cores), "core"))
}
