package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
	"multicore/hypercore"
)

// unheard names the flags of the command line that say something of the process
// that holds the store, which may be another one.
func unheard(c *cli.Context) (names []string) {
	for _, f := range servingFlags() {
		name := f.Names()[0]
		switch {
		case name == "max-message" || name == "read-timeout" || name == "log-format": // are not about that
		case !c.IsSet(name) || os.Getenv(env(name)[0]) != "": // the environment is for all
		default:
			names = append(names, "--"+name)
		}
	}
	return names
}

// mounting is one mount command, over all the sessions that it takes: the process
// that holds the store, and with it the mountpoint, may be another one, and may
// end before this one is told to. Then this one mounts again, and may become the
// holder.
type mounting struct {
	*program
	request control.MountRequest
	options node.Options // of the process, if it is this one
	unheard []string     // flags that another process does not hear of
	logFile *os.File     // of a daemon
	above   *supervisor
	usable  bool // it was mounted once, and that was said
}

// run returns once somebody unmounted it, after a signal, or where it cannot be
// mounted.
func (m *mounting) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, m.above.stopping)()
	for {
		err := m.once(ctx)
		switch {
		case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled) || errors.Is(err, control.ErrGone)):
			return nil
		case !errors.Is(err, control.ErrGone):
			return err
		}
		if m.usable {
			m.note("the process that held the store is gone; mounting %s again", m.request.Path)
		}
	}
}

// once mounts through one session.
func (m *mounting) once(ctx context.Context) (err error) {
	s, err := m.takeOver(ctx, m.options)
	if err != nil {
		return err
	}
	defer func() {
		if closed := s.close(); err == nil {
			err = closed
		}
	}()
	if m.request.Key == "" {
		if _, _, err := m.makeOwn(ctx, s); err != nil {
			return err
		}
	}
	told := func() {} // ends what tells while it is mounted
	defer func() { told() }()
	err = s.Mount(ctx, m.request, func(at control.Mount) error {
		if !s.held() {
			if err := visible(at.Path, s.client.PID()); err != nil {
				return err
			}
			told = m.above.watchOther(ctx, s.client)
			if len(m.unheard) > 0 {
				m.note("process %d has the store and goes on as it was started: %s is without effect", s.client.PID(), strings.Join(m.unheard, ", "))
				m.unheard = nil
			}
			return m.mounted(at)
		}
		if err := m.mounted(at); err != nil {
			return err
		}
		shown, err := hypercore.ParseKey(at.Key)
		if err != nil {
			return err
		}
		told = m.tellReachable(ctx, s.node, m.options.Network, []hypercore.Key{shown})
		return nil
	})
	if err == nil && s.held() {
		err = m.outlast(ctx, s.node)
	}
	if err == nil {
		m.above.stopping()
	}
	return err
}

// mounted says that the mount is usable, to the user the first time alone.
func (m *mounting) mounted(at control.Mount) error {
	if !m.usable {
		m.usable = true
		if err := m.tell(at); err != nil {
			return err
		}
	}
	m.above.ready("mounted on " + at.Path)
	return nil
}

// tell says it to the user, and lets go of the terminal where that is asked for.
func (m *mounting) tell(at control.Mount) error {
	if err := m.print(at); err != nil {
		return err
	}
	if isDaemon() {
		if err := detach(m.logFile); err != nil {
			return err
		}
		m.chooseLogFormat()
	}
	return nil
}

// print says where the mount is.
func (m *mounting) print(at control.Mount) error {
	if m.json {
		return m.object(at)
	}
	if err := m.result("main core key: %s", at.Key); err != nil {
		return err
	}
	return m.result("mounted on %s", at.Path)
}

// outlast goes on while the node has mountpoints that other commands asked for.
func (m *mounting) outlast(ctx context.Context, n *node.Node) error {
	st, err := n.Status(ctx)
	if err == nil && len(st.Mounts) > 0 {
		m.note("%s is unmounted; this process goes on for %s", m.request.Path, st.Mounts[0].Path)
	}
	return n.AwaitUnmounted(ctx)
}

// visible checks that what another process mounted can be seen from here.
func visible(path string, pid int) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || isMulticore(string(mounts), path) {
		return nil
	}
	return &control.Error{Code: control.FUSE, Text: fmt.Sprintf("process %d has the store and sees other mounts than this one, as a container or a sandboxed service does: mount there, or use --store", pid)}
}
