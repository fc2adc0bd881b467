package main

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
)

func (p *program) tailCommand() *cli.Command {
	return &cli.Command{
		Name:        "tail",
		Usage:       "print the last blocks of a core or of a multicore, with -f also those that come",
		ArgsUsage:   "[PATH]",
		Description: pathUsage + "\nWith --json one object a block, its bytes as text, or base64 where they are not UTF-8.\n\n" + example("multicore tail -n 3 core-3", "multicore tail -f KEY", "multicore tail -f --json friend | jq -r .text"),
		Flags: readFlags(
			&cli.StringFlag{Name: "number", Aliases: []string{"n"}, Usage: "the last `N` blocks of each core, or with +N from block N on", Value: "10", EnvVars: env("number")},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "wait for more", EnvVars: env("follow")},
			&cli.BoolFlag{Name: "blocks", Usage: "print one line a block, such as: Block 7 in Core 5b3c…e1: hello", EnvVars: env("blocks")},
		),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1); err != nil {
				return err
			}
			path := c.Args().First()
			r := control.ReadRequest{Path: path, Follow: c.Bool("follow")}
			if err := setStart(&r, c.String("number")); err != nil {
				return err
			}
			out := p.newPrinter(path)
			out.labels = c.Bool("blocks") && !p.json
			return p.read(c, r, out)
		},
	}
}

// setStart takes N, the last N blocks, or +N, those from block N on.
func setStart(r *control.ReadRequest, number string) error {
	digits, from := strings.CutPrefix(number, "+")
	n, err := strconv.ParseUint(digits, 10, 53)
	if err != nil {
		return usage("-n %s: want a number of blocks, or + and the index of the first one", number)
	}
	if from {
		r.From = n
	} else {
		r.Last = &n
	}
	return nil
}
