package main

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/doctor"
)

func (p *program) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "find out what keeps a mount or other machines from working",
		Description: "Checks FUSE, the disk, the store, the clock, ports, the DHT and the way in from\n" +
			"outside, each in a line, with what to do about a problem. It asks the process that\n" +
			"runs, or else looks for itself with the network flags that you would give to mount.\n" +
			"Nothing is changed. The exit code is that of the problem.\n\n" +
			example("multicore doctor", "multicore doctor --dht private --bootstrap /ip4/…/tcp/…/p2p/…", "multicore doctor --json | jq '.checks[] | select(.state == \"problem\")'"),
		Flags: networkFlags(),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0); err != nil {
				return err
			}
			nw, err := network(c)
			if err != nil {
				return err
			}
			r := doctor.Examine(c.Context, doctor.Options{Dir: p.store, Network: *nw, Version: buildVersion(), Built: built()})
			if err := c.Context.Err(); err != nil {
				return err
			}
			if err := p.showReport(r); err != nil || r.OK {
				return err
			}
			var names []string
			for _, check := range r.Checks {
				if check.State == doctor.Problem {
					names = append(names, check.Name)
				}
			}
			return &control.Error{Code: r.Code(), Text: "not well: " + strings.Join(names, ", ")}
		},
	}
}

func (p *program) showReport(r *doctor.Report) error {
	if p.json {
		return p.object(r)
	}
	for _, c := range r.Checks {
		text := c.Text
		if c.Remedy != "" {
			text += "; " + c.Remedy
		}
		state := fmt.Sprintf("%-7s", c.State)
		switch c.State {
		case doctor.Problem:
			state = paint(p.out, red, state)
		case doctor.Unknown:
			state = paint(p.out, yellow, state)
		}
		if err := p.result("%-12s  %s  %s", c.Name, state, oneLine(text)); err != nil {
			return err
		}
	}
	return nil
}

// built is when the commit was made that this program was built from, zero if
// unknown.
func built() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, s.Value)
			return t
		}
	}
	return time.Time{}
}
