package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p *program) manCommand() *cli.Command {
	return &cli.Command{
		Name:        "man",
		Usage:       "print the manual as a man page",
		Description: example("multicore man | man -l -", "multicore man > ~/.local/share/man/man1/multicore.1"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0); err != nil {
				return err
			}
			text := manual(c.App)
			if p.json {
				return p.object(struct {
					Roff string `json:"roff"`
				}{text})
			}
			_, err := fmt.Fprint(p.out, text)
			return err
		},
	}
}

// manual is the help of all commands as one man page.
func manual(app *cli.App) string {
	m := new(roff)
	m.macro("TH", strings.ToUpper(app.Name), "1", "", buildVersion(), "User Commands")
	m.macro("SH", "NAME")
	m.line(app.Name + " - " + app.Usage)
	m.macro("SH", "SYNOPSIS")
	m.line(app.UsageText)
	m.macro("SH", "DESCRIPTION")
	m.text(app.Description)
	m.macro("SH", "GLOBAL OPTIONS")
	m.flags(app.VisibleFlags(), "")
	m.macro("SH", "COMMANDS")
	network := map[string]cli.Flag{}
	var order []cli.Flag
	for _, c := range app.VisibleCommands() {
		m.macro("SS", strings.TrimSpace(app.Name+" "+strings.Join(c.Names(), ", ")+" "+c.ArgsUsage))
		m.line(c.Usage + ".")
		m.macro("PP")
		m.text(c.Description)
		m.flags(c.VisibleFlags(), "")
		for _, f := range c.VisibleFlags() {
			name := f.Names()[0]
			if categoryOf(f) != "" && network[name] == nil {
				network[name] = f
				order = append(order, f)
			}
		}
		if hasCategory(c) {
			m.macro("PP")
			m.line("The options of NETWORK AND STORAGE too.")
		}
	}
	m.macro("SH", "NETWORK AND STORAGE")
	m.line("Options of the commands that may speak to peers.")
	for _, f := range order {
		m.flag(f)
	}
	m.macro("SH", "ENVIRONMENT")
	m.line("Each option has a variable, such as MULTICORE_READ_TIMEOUT for --read-timeout; the command line goes first.")
	m.macro("TP")
	m.bold("NO_COLOR")
	m.line("No colours on a terminal either.")
	m.macro("SH", "EXIT STATUS")
	for _, e := range exitCodes {
		m.macro("TP")
		m.bold(fmt.Sprint(e.code))
		m.line(e.means)
	}
	m.macro("SH", "FILES")
	m.macro("TP")
	m.bold("$XDG_DATA_HOME/multicore, ~/.local/share/multicore")
	m.line("The store. Its primary-key is all that cannot be fetched again from those who follow the multicore.")
	return m.String()
}

// roff writes a man page line by line.
type roff struct{ strings.Builder }

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "–", `\(en`, "…", "...")

func escape(text string) string {
	text = roffEscapes.Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

func (m *roff) macro(name string, args ...string) {
	fmt.Fprintf(m, ".%s", name)
	for _, a := range args {
		fmt.Fprintf(m, " \"%s\"", strings.ReplaceAll(escape(a), `"`, `\(dq`))
	}
	fmt.Fprintln(m)
}

func (m *roff) line(text string) { fmt.Fprintln(m, escape(text)) }

func (m *roff) bold(text string) { fmt.Fprintf(m, "\\fB%s\\fP\n", escape(text)) }

// text writes paragraphs; indented lines stay as they are.
func (m *roff) text(text string) {
	verbatim := false
	set := func(on bool) {
		switch {
		case on && !verbatim:
			m.macro("PP")
			m.macro("nf")
			m.macro("RS", "4")
		case !on && verbatim:
			m.macro("RE")
			m.macro("fi")
		}
		verbatim = on
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		body := strings.TrimSpace(line)
		switch {
		case body == "":
			set(false)
			m.macro("PP")
		case strings.HasPrefix(line, "   "):
			set(true)
			m.line(body)
		default:
			set(false)
			m.line(body)
		}
	}
	set(false)
}

// flags writes those of a category.
func (m *roff) flags(flags []cli.Flag, category string) {
	for _, f := range flags {
		if categoryOf(f) == category {
			m.flag(f)
		}
	}
}

func (m *roff) flag(f cli.Flag) {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return
	}
	names, value, text := flagWords(d, f)
	m.macro("TP")
	m.bold(strings.TrimSpace(names + " " + value))
	m.line(text + ".")
}

func categoryOf(f cli.Flag) string {
	if c, ok := f.(cli.CategorizableFlag); ok {
		return c.GetCategory()
	}
	return ""
}

func hasCategory(c *cli.Command) bool {
	for _, f := range c.VisibleFlags() {
		if categoryOf(f) != "" {
			return true
		}
	}
	return false
}
