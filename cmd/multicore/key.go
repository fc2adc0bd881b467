package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/node"
)

func (p *program) keyCommand() *cli.Command {
	return &cli.Command{
		Name:        "key",
		Usage:       "print the main core key, with which anyone can read all of the own multicore",
		Description: "This is what you give to those who shall read; it cannot be taken back.\n\n" + example("multicore key", "multicore key | qrencode -t utf8"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0); err != nil {
				return err
			}
			return p.with(c.Context, node.Options{}, func(ctx context.Context, s *session) error {
				key, err := s.Key(ctx)
				if err != nil {
					return err
				}
				return p.mainKey(key)
			})
		},
	}
}

// mainKey prints a key alone.
func (p *program) mainKey(key string) error {
	if p.json {
		return p.object(struct {
			MainKey string `json:"main_key"`
		}{key})
	}
	return p.result("%s", key)
}
