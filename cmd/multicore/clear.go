package main

import (
	"context"
	"math"
	"strings"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) clearCommand() *cli.Command {
	return &cli.Command{
		Name:      "clear",
		Usage:     "free the room of blocks on this machine",
		ArgsUsage: "PATH RANGE...",
		Description: "PATH is a core, own (core-3) or of another multicore (KEY/core-3). RANGE is a block,\nseveral (5..9 or 5-9), all up to one (..100) or all from one on (100..). The blocks stay\nin the log, and are fetched from peers again when somebody reads them, not before, also\nwhere the multicore is followed. Of an own core, blocks that no connected peer is known\nto hold are cleared only with --force: nobody else may have them.\n\n" +
			example("multicore clear core-3 ..999", "multicore clear KEY/core-3 5..9 42"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Usage: "clear own blocks that nobody else may have", EnvVars: env("force")},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 2, -1); err != nil {
				return err
			}
			r := control.ClearRequest{Path: c.Args().First(), Force: c.Bool("force")}
			if head, core := node.SplitPath(r.Path); core == "" {
				return usage("clear is about one core, such as %s/core-3", head)
			}
			for _, arg := range c.Args().Tail() {
				span, err := parseRange(arg)
				if err != nil {
					return err
				}
				r.Spans = append(r.Spans, span)
			}
			return p.with(c.Context, node.Options{}, func(ctx context.Context, s *session) error {
				got, err := s.Clear(ctx, r)
				if err != nil {
					return err
				}
				if got.Note != "" {
					p.note("%s", got.Note)
				}
				if p.json {
					return p.object(got)
				}
				return p.result("%s: %d blocks cleared, %s free", got.Path, got.Blocks, amount(got.Bytes))
			})
		},
	}
}

// parseRange is parseSpan, or with one end left out all up to a block or from
// one on.
func parseRange(s string) (control.Span, error) {
	if to, open := strings.CutPrefix(s, ".."); open && to != "" {
		last, err := parseSpan(to)
		if err != nil || last.First != last.Last {
			return control.Span{}, usage("%s: want the index of a block behind the dots, such as ..100", s)
		}
		return control.Span{Last: last.Last}, nil
	}
	if from, open := strings.CutSuffix(s, ".."); open && from != "" {
		first, err := parseSpan(from)
		if err != nil || first.First != first.Last {
			return control.Span{}, usage("%s: want the index of a block before the dots, such as 100..", s)
		}
		return control.Span{First: first.First, Last: math.MaxInt64}, nil
	}
	return parseSpan(s)
}

func (p *program) purgeCommand() *cli.Command {
	return &cli.Command{
		Name:        "purge",
		Usage:       "remove all of another multicore from this store",
		ArgsUsage:   "KEY|NAME",
		Description: "Its blocks, its hashes and its place on the list of the followed; it can be read and\nfollowed again later, as if it had never been here.\n\n" + example("multicore purge friend"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 1); err != nil {
				return err
			}
			return p.with(c.Context, node.Options{}, func(ctx context.Context, s *session) error {
				got, err := s.Purge(ctx, c.Args().First())
				if err != nil {
					return err
				}
				if p.json {
					return p.object(got)
				}
				return p.result("%s: %d cores with %d blocks removed, %s free", got.Key, got.Cores, got.Blocks, amount(got.Bytes))
			})
		},
	}
}
