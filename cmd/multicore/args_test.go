package main

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
)

func TestArrange(t *testing.T) {
	app := (&program{}).app()
	for line, want := range map[string]string{
		"":                                   "",
		"--json status":                      "--json status",
		"status --json":                      "--json status",
		"ls -q --store=/x":                   "-q --store=/x ls",
		"--store /x tail core-3 -f":          "--store=/x tail -f -- core-3",
		"tail core-3 -n 5 -f":                "tail -n=5 -f -- core-3",
		"tail -fn5 core-3":                   "tail -f -n=5 -- core-3",
		"tail -fqn +5":                       "-q tail -f -n=+5",
		"tail -n=5":                          "tail -n=5",
		"tail -5":                            "tail -n=5",
		"tail --number -5":                   "tail --number=-5",
		"tail -follow":                       "tail --follow",
		"mount ./m KEY --read-only":          "mount --read-only -- ./m KEY",
		"mount --mdns=false ./m":             "mount --mdns=false -- ./m",
		"mount m --peer a --peer b":          "mount --peer=a --peer=b -- m",
		"append - --core core-2 -":           "append --core=core-2 -- - -",
		"append -- -f --json":                "append -- -f --json",
		"append a -- --core -- b":            "append -- a --core -- b",
		"init --primary-key -":               "init --primary-key=-",
		"init --primary-key=":                "init --primary-key=",
		"init --primary-key a=b":             "init --primary-key=a=b",
		"umount m":                           "unmount -- m",
		"get core-3 1 2":                     "get -- core-3 1 2",
		"mount --help":                       "mount --help",
		"cat x -h":                           "cat -h",
		"help mount":                         "help -- mount",
		"--help":                             "--help",
		"append help":                        "append -- help",
		"follow K --name --json":             "follow --name=--json -- K",
		"--quiet=false --verbose cat --json": "--quiet=false --verbose --json cat",
	} {
		got, err := arrange(append([]string{"multicore"}, strings.Fields(line)...), app)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if got := strings.Join(got[1:], " "); got != want {
			t.Errorf("%q\n got %q\nwant %q", line, got, want)
		}
	}
}

func TestArrangeRefuses(t *testing.T) {
	app := (&program{}).app()
	for line, want := range map[string]string{
		"mont x":            `no command "mont"; did you mean "mount"?`,
		"help mont":         "",
		"staus x":           `no command "staus"; did you mean "status"?`,
		"xyzzy":             `no command "xyzzy"; see multicore --help`,
		"status --jsn":      "no flag --jsn; did you mean --json?",
		"status --jsn=1":    "no flag --jsn; did you mean --json?",
		"status -wach":      "no flag -wach; did you mean --watch?",
		"status --bits":     "no flag --bits; see multicore status --help",
		"--stroe x ls":      "no flag --stroe; did you mean --store?",
		"status -x":         "no flag -x; see multicore status --help",
		"status -5":         "no flag -5; see multicore status --help",
		"tail -fx":          "no flag -fx; see multicore tail --help",
		"tail -n":           "flag -n needs a value; see multicore tail --help",
		"tail -fn":          "flag -n needs a value; see multicore tail --help",
		"--read-only mount": "no flag --read-only; flags of a command stand after it; see multicore --help",
		"--store":           "flag --store needs a value; see multicore --help",
	} {
		_, err := arrange(append([]string{"multicore"}, strings.Fields(line)...), app)
		var e *control.Error
		if want == "" && err == nil {
			continue
		}
		if !errors.As(err, &e) || e.Code != control.Usage || e.Text != want {
			t.Errorf("%q\n got %v\nwant %s", line, err, want)
		}
	}
	if _, err := arrange(nil, app); err != nil {
		t.Errorf("no arguments at all: %v", err)
	}
}

// Whatever is arranged means the same when it is arranged again.
func FuzzArrange(f *testing.F) {
	for _, seed := range []string{"tail -fn5 core-3", "append -- -f", "mount m K --mdns=false", "--store x ls", "get -- - --"} {
		f.Add(seed)
	}
	app := (&program{}).app()
	f.Fuzz(func(t *testing.T, line string) {
		once, err := arrange(append([]string{"multicore"}, strings.Fields(line)...), app)
		if err != nil {
			return
		}
		twice, err := arrange(once, app)
		if err != nil || !reflect.DeepEqual(once, twice) {
			t.Errorf("%q\nonce  %q\ntwice %q, %v", line, once, twice, err)
		}
	})
}

// Every command has a line that says what it does and an example, and every
// flag an environment variable of its own name.
func TestCommandsAreDescribed(t *testing.T) {
	app := (&program{}).app()
	flags := append([]cli.Flag(nil), app.Flags...)
	for _, c := range app.Commands {
		flags = append(flags, c.Flags...)
		if c.Usage == "" || !strings.Contains(c.Description, "Example:\n   ") || !strings.Contains(c.Description, "multicore "+c.Name) {
			t.Errorf("%s: usage %q, description %q", c.Name, c.Usage, c.Description)
		}
		if c.Name == "help" {
			continue // shows the commands
		}
		var out, errs bytes.Buffer
		if code := run([]string{"multicore", c.Name, "--help"}, nil, &out, &errs); code != 0 || !strings.Contains(out.String(), "Example:") || errs.Len() > 0 {
			t.Errorf("%s --help: exit %d, %q", c.Name, code, errs.String())
		}
	}
	for _, f := range flags {
		d := f.(cli.DocGenerationFlag)
		name := f.Names()[0]
		if name == "version" || name == "help" {
			continue
		}
		if got, want := d.GetEnvVars(), env(name); !reflect.DeepEqual(got, want) {
			t.Errorf("--%s: environment %q, want %q", name, got, want)
		}
	}
}
