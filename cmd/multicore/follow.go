package main

import (
	"context"
	"path"
	"time"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) followCommand() *cli.Command {
	return &cli.Command{
		Name:      "follow",
		Usage:     "keep a whole copy of a multicore, and serve it to others",
		ArgsUsage: "KEY",
		Description: "The copy is made, and kept up, while mount or serve runs. With --wait the command\n" +
			"returns once all that peers have is here, however long that takes: it says what is\n" +
			"missing where nothing comes, and goes on; --timeout ends it with exit code 4. With\n" +
			"--keep-last or --max-storage older blocks make room for new ones; they are fetched\n" +
			"again where somebody reads them. Followed again, the limits that are given take the\n" +
			"place of the old ones.\n\n" +
			example("multicore follow KEY --name friend", "multicore follow KEY --wait --timeout 10m", "multicore follow KEY --keep-last 1000", "multicore cat friend/core-3"),
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "call it `NAME` ([a-z0-9._-]) from now on", EnvVars: env("name")},
			&cli.Uint64Flag{Name: "keep-last", Usage: "of each core keep the newest `N` blocks; 0 keeps all", EnvVars: env("keep-last")},
			&cli.StringFlag{Name: "max-storage", Usage: "keep the newest blocks up to `SIZE` in all, such as 2GiB; 0 keeps all", EnvVars: env("max-storage")},
			&cli.BoolFlag{Name: "wait", Usage: "return once the copy is complete", EnvVars: env("wait")},
			&cli.DurationFlag{Name: "timeout", Usage: "with --wait: give up after `TIME`, such as 90s or 2h", DefaultText: "none", EnvVars: env("timeout")},
		}, networkFlags()...),
		Action: p.follow,
	}
}

func (p *program) follow(c *cli.Context) error {
	if err := arguments(c, 1, 1); err != nil {
		return err
	}
	key, err := parseKey(c.Args().First())
	if err != nil {
		return err
	}
	r := control.FollowRequest{Key: key.String(), Name: c.String("name"), Wait: c.Bool("wait")}
	if c.IsSet("keep-last") {
		n := c.Uint64("keep-last")
		r.KeepLast = &n
	}
	if c.IsSet("max-storage") {
		n, err := storageSize(c, "max-storage")
		if err != nil {
			return err
		}
		r.MaxStorage = &n
	}
	var deadline time.Time
	if c.IsSet("timeout") {
		if !r.Wait {
			return usage("--timeout goes with --wait")
		}
		timeout, err := positive(c, "timeout")
		if err != nil {
			return err
		}
		deadline = time.Now().Add(timeout)
		r.Timeout = timeout
	}
	o := node.Options{Create: true}
	if r.Wait {
		if o.Network, err = network(c); err != nil {
			return err
		}
	}
	show := &followShow{program: p, wait: r.Wait, meter: p.meter(p.json), began: time.Now()}
	defer show.meter.end()
	return p.with(c.Context, o, func(ctx context.Context, s *session) error {
		waiting, cancel := s.untilYielded(ctx)
		defer cancel()
		r := r
		if !deadline.IsZero() { // what is left of it, where the store moved
			r.Timeout = max(time.Until(deadline).Round(time.Millisecond), time.Millisecond)
		}
		err := s.Follow(waiting, r, show.following)
		if err != nil && context.Cause(waiting) == errYielded {
			return errYielded
		}
		show.meter.end()
		if err == nil && s.held() {
			p.note(notReachable)
		}
		return err
	})
}

// followShow tells how far a copy is.
type followShow struct {
	*program
	*meter
	wait  bool
	began time.Time
	last  control.Following
	said  string // why nothing comes, as it was told last
}

// meetTime is how long a follow that waits takes it as natural that no peer has
// answered yet.
const meetTime = 3 * time.Second

func (w *followShow) following(f control.Following) error {
	held, length, missing := f.Blocks()
	lastHeld, lastLength, lastMissing := w.last.Blocks()
	changed := held != lastHeld || length != lastLength || missing != lastMissing || f.Done || w.last.Key == ""
	w.last = f
	stuck := stall(f.Followed)
	if w.json {
		if changed || stuck != w.said {
			w.said = stuck
			return w.object(f)
		}
		return nil
	}
	if !w.wait {
		return nil
	}
	if time.Since(w.began) < meetTime {
		stuck = ""
	}
	bytes, ofBytes := copied(f.Followed)
	w.meter.set(progress{blocks: length - min(missing, length), ofBlock: length, bytes: bytes, ofBytes: ofBytes, stuck: stuck})
	if w.meter == nil && stuck != w.said && stuck != "" {
		w.note("%s; waiting for peers that have it", stuck)
	}
	w.said = stuck
	return nil
}

// stall says what of a followed multicore does not come, "" where all does.
func stall(f control.Followed) string {
	for _, c := range f.Cores {
		if c.Stalled() {
			return path.Base(c.Path) + ": " + c.Waits()
		}
	}
	return ""
}

// copied is about how many bytes of a copy are here, and how many there are.
func copied(f control.Followed) (here, all uint64) {
	for _, c := range f.Cores {
		all += c.ByteLength
		if c.Length > 0 {
			missing := uint64(0)
			if c.Missing != nil {
				missing = c.Missing.Blocks
			}
			here += uint64(float64(c.ByteLength) * float64(c.Length-min(missing, c.Length)) / float64(c.Length))
		}
	}
	return here, all
}
