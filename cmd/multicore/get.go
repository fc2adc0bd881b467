package main

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) getCommand() *cli.Command {
	return &cli.Command{
		Name:        "get",
		Usage:       "print single blocks of a core",
		ArgsUsage:   "PATH INDEX...",
		Description: "PATH is a core, own (core-3) or of another multicore (KEY/core-3). Blocks count\nfrom 0.\n\n" + example("multicore get core-3 0", "multicore get KEY/main 0"),
		Flags:       readFlags(),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 2, -1); err != nil {
				return err
			}
			r := control.ReadRequest{Path: c.Args().First()}
			if head, core := node.SplitPath(r.Path); core == "" {
				return usage("get reads one core, such as %s/core-3", head)
			}
			for _, arg := range c.Args().Tail() {
				i, err := strconv.ParseUint(arg, 10, 53)
				if err != nil {
					return usage("%s: want the index of a block", arg)
				}
				r.Indexes = append(r.Indexes, i)
			}
			return p.read(c, r, p.newPrinter(r.Path))
		},
	}
}
