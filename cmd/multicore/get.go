package main

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) getCommand() *cli.Command {
	return &cli.Command{
		Name:        "get",
		Usage:       "print single blocks of a core",
		ArgsUsage:   "PATH INDEX...",
		Description: "PATH is a core, own (core-3) or of another multicore (KEY/core-3). Blocks count\nfrom 0; 5..9, or 5-9, is all from 5 to 9.\n\n" + example("multicore get core-3 0", "multicore get KEY/main 0", "multicore get KEY/core-3 5..9 42"),
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
				span, err := parseSpan(arg)
				if err != nil {
					return err
				}
				r.Spans = append(r.Spans, span)
			}
			return p.read(c, r, p.newPrinter(r.Path))
		},
	}
}

// parseSpan reads the index of a block, or the first and the last one of
// several: 5..9 or 5-9.
func parseSpan(s string) (control.Span, error) {
	from, to, several := strings.Cut(s, "..")
	if !several {
		from, to, several = strings.Cut(s, "-")
	}
	if !several {
		to = from
	}
	first, err := strconv.ParseUint(from, 10, 53)
	if err == nil {
		var last uint64
		if last, err = strconv.ParseUint(to, 10, 53); err == nil && last < first {
			return control.Span{}, usage("%s: the first block comes after the last; want %d..%d", s, last, first)
		}
		if err == nil {
			return control.Span{First: first, Last: last}, nil
		}
	}
	return control.Span{}, usage("%s: want the index of a block, or several such as 5..9", s)
}
