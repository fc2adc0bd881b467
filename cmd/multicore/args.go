package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// cli/v2 stops to look for flags at the first argument, and wants global flags
// before the command. arrange puts a command line into that order, so that
// flags may stand anywhere: first the global flags, then the command and its
// flags, then "--" and its arguments. What follows a "--" is an argument.
//
// Short flags may be joined to each other and to their value (-fn5), and a
// number is the short flag n (-5), as tail has it.
func arrange(args []string, app *cli.App) ([]string, error) {
	a := &arranger{global: flagsOf(app.Flags)}
	out := args[:min(1, len(args))]
	rest := args[len(out):]
	for len(rest) > 0 {
		token := rest[0]
		rest = rest[1:]
		switch {
		case a.literal || !strings.HasPrefix(token, "-") || token == "-":
			if a.command == nil {
				if err := a.setCommand(token, app); err != nil {
					return nil, err
				}
				continue
			}
			a.args = append(a.args, token)
		case token == "--":
			a.literal = true
		default:
			var err error
			if rest, err = a.flag(token, rest); err != nil {
				return nil, err
			}
		}
	}
	out = append(out[:len(out):len(out)], a.before...)
	if a.command == nil {
		return out, nil
	}
	out = append(append(out, a.command.Name), a.after...)
	if slices.Contains(a.after, "--help") || slices.Contains(a.after, "-h") {
		return out, nil // cli would take the arguments for the name of a command
	}
	if len(a.args) > 0 {
		out = append(append(out, "--"), a.args...)
	}
	return out, nil
}

type arranger struct {
	global, local map[string]bool // whether a flag takes a value
	command       *cli.Command    // once it is known
	literal       bool            // after "--"
	before, after []string        // flags of the app and of the command
	args          []string
}

// flagsOf maps the names of flags to whether they take a value.
func flagsOf(flags []cli.Flag) map[string]bool {
	m := map[string]bool{"help": false, "h": false}
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		for _, name := range f.Names() {
			m[name] = ok && d.TakesValue()
		}
	}
	return m
}

func (a *arranger) setCommand(name string, app *cli.App) error {
	if a.command = app.Command(name); a.command == nil {
		return noCommand(app, name)
	}
	a.local = flagsOf(a.command.Flags)
	return nil
}

// flag takes one token that starts with a dash, and its value from rest where
// that is a token of its own.
func (a *arranger) flag(token string, rest []string) ([]string, error) {
	name, value, joined := strings.Cut(strings.TrimPrefix(token[1:], "-"), "=")
	if _, _, ok := a.find(name); ok {
		return a.take(token, name, value, joined, rest)
	}
	if strings.HasPrefix(token, "--") || len(token) < 2 {
		return nil, a.unknown(token)
	}
	letters := token[1:]
	if _, _, ok := a.find("n"); ok && strings.Trim(letters, "0123456789") == "" {
		return a.take(token, "n", letters, true, rest)
	}
	for i := range letters {
		name := letters[i : i+1]
		takesValue, _, ok := a.find(name)
		if !ok {
			return nil, a.unknown(token)
		}
		if takesValue {
			value := letters[i+1:]
			return a.take("-"+name, name, strings.TrimPrefix(value, "="), value != "", rest)
		}
		if _, err := a.take("-"+name, name, "", false, nil); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

func (a *arranger) find(name string) (takesValue, global, ok bool) {
	if takesValue, ok = a.local[name]; ok {
		return takesValue, false, true
	}
	takesValue, ok = a.global[name]
	return takesValue, true, ok
}

// take keeps a known flag, always as -name or -name=value.
func (a *arranger) take(token, name, value string, joined bool, rest []string) ([]string, error) {
	takesValue, global, _ := a.find(name)
	if takesValue && !joined {
		if len(rest) == 0 {
			return nil, usage("flag %s needs a value; see %s --help", token, a.called())
		}
		value, joined, rest = rest[0], true, rest[1:]
	}
	flag := "-" + name
	if len(name) > 1 {
		flag = "--" + name
	}
	if joined {
		flag += "=" + value
	}
	if global {
		a.before = append(a.before, flag)
	} else {
		a.after = append(a.after, flag)
	}
	return rest, nil
}

func (a *arranger) unknown(token string) error {
	name, _, _ := strings.Cut(token, "=")
	hint := fmt.Sprintf("see %s --help", a.called())
	names := slices.Concat(slices.Collect(maps.Keys(a.local)), slices.Collect(maps.Keys(a.global)))
	near := ""
	if strings.HasPrefix(name, "--") || len(name) > 3 { // not -x, nor -xy
		near = nearest(strings.TrimLeft(name, "-"), names)
	}
	switch {
	case len(near) > 1:
		hint = fmt.Sprintf("did you mean --%s?", near)
	case a.command == nil:
		hint = "flags of a command stand after it; " + hint
	}
	return usage("no flag %s; %s", name, hint)
}

// nearest is the name that was likely meant, "" where none is like it.
func nearest(typed string, names []string) (near string) {
	const alike = 0.8
	best := alike
	slices.Sort(names)
	for _, name := range names {
		if score := smetrics.JaroWinkler(typed, name, 0.7, 4); score >= best && (score > best || near == "") {
			near, best = name, score
		}
	}
	return near
}

func (a *arranger) called() string {
	if a.command == nil {
		return "multicore"
	}
	return "multicore " + a.command.Name
}
