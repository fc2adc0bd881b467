package main

import (
	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
)

func (p *program) catCommand() *cli.Command {
	return &cli.Command{
		Name:        "cat",
		Usage:       "print all blocks of a core or of a multicore",
		ArgsUsage:   "[PATH]",
		Description: pathUsage + "\nBlocks that are not here are fetched from peers, and kept. With --json one object a\nblock.\n\n" + example("multicore cat core-3", "multicore cat KEY/core-3 > copy", "multicore cat --json friend | jq -r .index"),
		Flags:       readFlags(),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1); err != nil {
				return err
			}
			path := c.Args().First()
			return p.read(c, control.ReadRequest{Path: path}, p.newPrinter(path))
		},
	}
}
