package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) lsCommand() *cli.Command {
	return &cli.Command{
		Name:        "ls",
		Usage:       "list the multicores that this store follows",
		Description: "One line each: key, name, how many of its blocks are here and how many there are, and\nwhat of the missing ones does not come.\n\n" + example("multicore ls", "multicore ls --json"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0); err != nil {
				return err
			}
			return p.with(c.Context, node.Options{}, func(ctx context.Context, s *session) error {
				list, err := s.List(ctx)
				if err != nil {
					return err
				}
				if p.json {
					return p.object(append([]control.Followed{}, list...))
				}
				w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
				for _, f := range list {
					held, length, _ := f.Blocks()
					name := f.Name
					if name == "" {
						name = "-"
					}
					stuck := stall(f)
					if stuck != "" {
						stuck = "; " + paint(p.out, yellow, stuck)
					}
					fmt.Fprintf(w, "%s\t%s\t%d of %d blocks%s%s\n", f.Key, name, held, length, limits(f), stuck)
				}
				return w.Flush()
			})
		},
	}
}

// limits says how much of a followed multicore is kept, where that is not all.
func limits(f control.Followed) (text string) {
	if f.KeepLast > 0 {
		text += fmt.Sprintf(", the last %d of each core are kept", f.KeepLast)
	}
	if f.MaxStorage > 0 {
		text += fmt.Sprintf(", at most %s", amount(f.MaxStorage))
	}
	return text
}
