package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "read everything that is held and check each hash and signature",
		ArgsUsage: "[PATH]",
		Description: "Without PATH all that the store holds. The first bad place of each core is named.\nNothing is fetched without --repair. The exit code is 5 where something is damaged\nand was not repaired, or a core is frozen because its key has signed two different\nlogs.\n\n" +
			example("multicore verify", "multicore verify --repair KEY/core-3"),
		Flags: readFlags(&cli.BoolFlag{Name: "repair", Usage: "fetch what is damaged from peers again", EnvVars: env("repair")}),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1); err != nil {
				return err
			}
			timeout, err := positive(c, "read-timeout")
			if err != nil {
				return err
			}
			r := control.VerifyRequest{Path: c.Args().First(), Repair: c.Bool("repair"), Timeout: timeout}
			var o node.Options
			if r.Repair {
				if o.Network, err = network(c); err != nil {
					return err
				}
			}
			return p.with(c.Context, o, func(ctx context.Context, s *session) error {
				ctx, cancel := s.untilYielded(ctx)
				defer cancel()
				v := verifying{program: p, repair: r.Repair, meter: p.meter(false)}
				defer v.meter.end()
				err := s.Verify(ctx, r, v.show)
				v.meter.end()
				if context.Cause(ctx) == errYielded {
					return errYielded
				}
				if err == nil {
					err = v.verdict()
				}
				return err
			})
		},
	}
}

// verifying prints what Verify tells.
type verifying struct {
	*program
	meter   *meter // nil: none
	repair  bool
	cores   int
	damaged int // cores that are not right yet
	forked  int // cores in conflict
	list    []control.Verified
}

func (v *verifying) show(c control.Verified) error {
	if !c.Done {
		v.meter.set(progress{what: c.Path, blocks: c.Blocks, ofBlock: c.Length, bytes: c.Bytes})
		return nil
	}
	v.cores++
	if c.Unrepaired > 0 {
		v.damaged++
	}
	if c.ConflictHeads != nil {
		v.forked++
	}
	if v.json {
		v.list = append(v.list, c)
		return nil
	}
	v.erase() // results may go to the same terminal
	if err := v.found(c); err != nil || c.ConflictHeads == nil {
		return err
	}
	for _, line := range conflictLines(c.ConflictHeads) {
		if err := v.result("%s: %s", c.Path, line); err != nil {
			return err
		}
	}
	return nil
}

// found prints what became of the blocks of a core.
func (v *verifying) found(c control.Verified) error {
	if c.Damaged == 0 {
		return v.result("%s: %d of %d blocks are here, %s, all right", c.Path, c.Blocks, c.Length, amount(c.Bytes))
	}
	text := fmt.Sprintf("%s: %d places are damaged, the first: %s", c.Path, c.Damaged, c.First)
	if c.Damaged == 1 {
		text = fmt.Sprintf("%s: %s", c.Path, c.First)
	}
	if c.Repaired > 0 {
		text += fmt.Sprintf("; %d blocks were fetched again", c.Repaired)
	}
	if v.repair && c.Unrepaired > 0 {
		text += fmt.Sprintf("; not repaired: %d", c.Unrepaired)
	}
	return v.result("%s", text)
}

// verdict ends with the exit code.
func (v *verifying) verdict() error {
	if v.json {
		if v.list == nil {
			v.list = []control.Verified{}
		}
		if err := v.object(struct {
			V     int                `json:"v"`
			Cores []control.Verified `json:"cores"`
		}{1, v.list}); err != nil {
			return err
		}
	}
	switch {
	case v.damaged == 0 && v.forked > 0:
		return &control.Error{Code: control.Verify, Text: fmt.Sprintf("%d of %d cores are frozen: their keys have signed two different logs each; what is here can be read", v.forked, v.cores)}
	case v.damaged == 0:
		return nil
	case v.repair:
		return &control.Error{Code: control.Verify, Text: fmt.Sprintf("%d of %d cores could not be repaired; try again once a peer is connected that has what is lost", v.damaged, v.cores)}
	}
	return &control.Error{Code: control.Verify, Text: fmt.Sprintf("%d of %d cores are damaged; peers may have what is lost: multicore verify --repair", v.damaged, v.cores)}
}
