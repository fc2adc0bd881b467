package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/node"
)

func (p *program) unfollowCommand() *cli.Command {
	return &cli.Command{
		Name:        "unfollow",
		Usage:       "stop to keep a copy of a multicore up to date",
		ArgsUsage:   "KEY|NAME",
		Description: "What is here already stays; multicore purge removes it.\n\n" + example("multicore unfollow friend"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 1); err != nil {
				return err
			}
			return p.with(c.Context, node.Options{}, func(ctx context.Context, s *session) error {
				key, err := s.Unfollow(ctx, c.Args().First())
				if err != nil || !p.json {
					return err
				}
				return p.object(struct {
					Key string `json:"key"`
				}{key})
			})
		},
	}
}
