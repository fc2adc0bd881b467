package main

import (
	"context"

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
			"returns once all that peers have is here. With --keep-last or --max-storage older\n" +
			"blocks make room for new ones; they are fetched again where somebody reads them.\n" +
			"Followed again, the limits that are given take the place of the old ones.\n\n" +
			example("multicore follow KEY --name friend", "multicore follow KEY --keep-last 1000", "multicore cat friend/core-3"),
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "call it `NAME` ([a-z0-9._-]) from now on", EnvVars: env("name")},
			&cli.Uint64Flag{Name: "keep-last", Usage: "of each core keep the newest `N` blocks; 0 keeps all", EnvVars: env("keep-last")},
			&cli.StringFlag{Name: "max-storage", Usage: "keep the newest blocks up to `SIZE` in all, such as 2GiB; 0 keeps all", EnvVars: env("max-storage")},
			&cli.BoolFlag{Name: "wait", Usage: "return once the copy is complete", EnvVars: env("wait")},
		}, networkFlags()...),
		Action: func(c *cli.Context) error {
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
			o := node.Options{Create: true}
			if r.Wait {
				if o.Network, err = network(c); err != nil {
					return err
				}
			}
			return p.with(c.Context, o, func(ctx context.Context, s *session) error {
				waiting, cancel := s.untilYielded(ctx)
				defer cancel()
				err := s.Follow(waiting, r)
				if err != nil && context.Cause(waiting) == errYielded {
					return errYielded
				}
				if err == nil && s.held() {
					p.note(notReachable)
				}
				return err
			})
		},
	}
}
