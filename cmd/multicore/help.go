package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

func init() {
	cli.FlagStringer = flagHelp
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show this help", DisableDefaultText: true}
}

func (p *program) helpCommand() *cli.Command {
	return &cli.Command{
		Name:        "help",
		Aliases:     []string{"h"},
		Usage:       "show the commands, or the help of one",
		ArgsUsage:   "[COMMAND]",
		Description: example("multicore help follow"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 1); err != nil {
				return err
			}
			name := c.Args().First()
			if name == "" {
				return cli.ShowAppHelp(c)
			}
			if c.App.Command(name) == nil {
				return noCommand(c.App, name)
			}
			return cli.ShowCommandHelp(c, name)
		},
	}
}

// noCommand is the error for a command that there is not.
func noCommand(app *cli.App, name string) error {
	var names []string
	for _, c := range app.VisibleCommands() {
		names = append(names, c.Names()...)
	}
	if near := nearest(name, names); near != "" {
		return usage("no command %q; did you mean %q?", name, near)
	}
	return usage("no command %q; see multicore --help", name)
}

// flagHelp is the line of a flag in a help text: its names, with a tab what it
// does. The variables are left out: each flag has one.
func flagHelp(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	names, value, text := flagWords(d, f)
	if value != "" {
		names += " " + value
	}
	return names + "\t" + text
}

// flagWords describes a flag: its names, that of its value if it takes one, and
// what it does, with the default where that is not nothing.
func flagWords(d cli.DocGenerationFlag, f cli.Flag) (names, value, text string) {
	var list []string
	for _, n := range f.Names() {
		dashes := "--"
		if len(n) == 1 {
			dashes = "-"
		}
		list = append(list, dashes+n)
	}
	value, text = unquoted(d.GetUsage())
	if !d.TakesValue() {
		value = ""
	} else if s, ok := f.(cli.DocGenerationSliceFlag); ok && s.IsSliceFlag() {
		value += " ..."
	}
	preset := strings.Trim(d.GetDefaultText(), `"`)
	if preset != "" && preset != "false" && preset != "0" && preset != "0s" && !strings.Contains(text, "(default") {
		text += " (default: " + preset + ")"
	}
	return strings.Join(list, ", "), value, text
}

// unquoted takes the name of a flag's value out of its usage, where it stands in
// backquotes.
func unquoted(usage string) (value, text string) {
	before, rest, ok := strings.Cut(usage, "`")
	if !ok {
		return "", usage
	}
	value, after, _ := strings.Cut(rest, "`")
	return value, before + value + after
}
