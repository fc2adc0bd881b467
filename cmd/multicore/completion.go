package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

// completeCommand is the hidden command that the scripts of completion call with
// the words of the line, the last one being that which is completed. It prints one
// candidate a line, with a tab and what it is.
const completeCommand = "__complete"

// completeTime bounds the look into the store.
const completeTime = time.Second

// completionScripts ask completeCommand; where it knows nothing, files are
// completed.
var completionScripts = map[string]string{
	"bash": `# multicore completion for bash: source <(multicore completion bash)
_multicore() {
    local word
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        printf -v word %q "$word" # readline inserts it as it is
        COMPREPLY+=("$word")
    done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _multicore multicore
`,
	"zsh": `#compdef multicore
# multicore completion for zsh: source <(multicore completion zsh), or as the file
# _multicore in a directory of $fpath.
_multicore() {
    local line
    local -a found
    for line in "${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( $#found )); then
        _describe multicore found
    else
        _files
    fi
}
if [[ $funcstack[1] == _multicore ]]; then
    _multicore "$@"
else
    compdef _multicore multicore
fi
`,
	"fish": `# multicore completion for fish: multicore completion fish | source
function __multicore_complete
    set -l words (commandline -opc)
    set -l found ($words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c multicore -f -a '(__multicore_complete)'
`,
}

func (p *program) completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes command lines in bash, zsh or fish",
		ArgsUsage: "SHELL",
		Description: "It completes commands, flags, the names of followed multicores and their cores.\n\n" +
			example("source <(multicore completion bash)      # in ~/.bashrc",
				"source <(multicore completion zsh)       # in ~/.zshrc, after compinit",
				"multicore completion fish > ~/.config/fish/completions/multicore.fish"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 1); err != nil {
				return err
			}
			shell := c.Args().First()
			script, ok := completionScripts[shell]
			if !ok {
				return usage("no completion for %s; want bash, zsh or fish", shell)
			}
			if p.json {
				return p.object(struct {
					Shell  string `json:"shell"`
					Script string `json:"script"`
				}{shell, script})
			}
			_, err := io.WriteString(p.out, script)
			return err
		},
	}
}

// candidate is a word that may stand where the cursor is.
type candidate struct{ word, about string }

// complete prints the candidates for the last of words. It says nothing where
// something is wrong: the user is only typing.
func (p *program) complete(ctx context.Context, app *cli.App, words []string) int {
	if len(words) == 0 {
		words = []string{""}
	}
	l := parseLine(app, words)
	p.log = slog.New(slog.DiscardHandler)
	store := l.store
	if store == "" {
		store = os.Getenv(env("store")[0])
	}
	var err error
	if p.store, err = storeDir(store); err != nil {
		return 0
	}
	for _, c := range p.candidates(ctx, app, l) {
		// A path may have any character, and a script reads lines.
		if strings.HasPrefix(c.word, l.prefix) && !strings.ContainsFunc(c.word, unicode.IsControl) {
			fmt.Fprintf(p.out, "%s%s\t%s\n", l.before, c.word, c.about)
		}
	}
	return 0
}

// line is a command line as far as it is typed.
type line struct {
	command *cli.Command // nil: none yet
	args    []string     // of the command, before the cursor
	value   string       // the flag whose value is completed; "" where it is none
	flag    bool         // a flag is completed
	before  string       // of the last word, what is to stay
	prefix  string       // of what is completed
	store   string
}

// parseLine makes the best of words.
func parseLine(app *cli.App, words []string) (l line) {
	literal, waiting := false, "" // a flag that waits for its value
	takesValue := func(name string) bool {
		a := arranger{global: flagsOf(app.Flags)}
		if l.command != nil {
			a.local = flagsOf(l.command.Flags)
		}
		takes, _, _ := a.find(name)
		return takes
	}
	last := len(words) - 1
	for i, w := range words {
		isFlag := !literal && len(w) > 1 && strings.HasPrefix(w, "-")
		name, value, joined := strings.Cut(strings.TrimLeft(w, "-"), "=")
		switch {
		case waiting != "" && w == "=": // bash makes a word of it
			if i == last {
				l.value = waiting
			}
			continue
		case waiting != "":
			if i == last {
				l.value, l.prefix = waiting, w
			} else if waiting == "store" {
				l.store = w
			}
			waiting = ""
		case i == last && isFlag && joined:
			l.value, l.prefix = name, value
			l.before = w[:len(w)-len(value)]
		case i == last:
			l.flag = !literal && strings.HasPrefix(w, "-")
			l.prefix = w
		case w == "--":
			literal = true
		case isFlag && !joined && takesValue(name):
			waiting = name
		case isFlag:
			if name == "store" {
				l.store = value
			}
		case l.command == nil:
			if l.command = app.Command(w); l.command == nil {
				l.command = &cli.Command{Name: w}
			}
		default:
			l.args = append(l.args, w)
		}
	}
	return l
}

func (p *program) candidates(ctx context.Context, app *cli.App, l line) []candidate {
	switch {
	case l.value != "":
		return words(flagValues[l.value]...)
	case l.flag:
		list := flagCandidates(app.VisibleFlags())
		if l.command != nil {
			list = append(flagCandidates(l.command.VisibleFlags()), list...)
		}
		return append(list, candidate{"--help", "show help"})
	case l.command == nil:
		var list []candidate
		for _, c := range app.VisibleCommands() {
			list = append(list, candidate{c.Name, c.Usage})
		}
		return list
	}
	switch first := len(l.args) == 0; l.command.Name {
	case "cat", "tail", "verify", "get", "clear":
		if first {
			return p.paths(ctx, l.prefix)
		}
	case "unfollow", "purge":
		if first {
			return p.names(ctx)
		}
	case "unmount":
		if first {
			return mountpoints()
		}
	case "completion":
		if first {
			return words("bash", "zsh", "fish")
		}
	case "schema", "help":
		if first {
			var list []candidate
			for _, c := range app.VisibleCommands() {
				list = append(list, candidate{c.Name, c.Usage})
			}
			return list
		}
	}
	return nil
}

// flagValues are those of flags that take one of a few words.
var flagValues = map[string][]string{
	"dht":        {"public", "private", "off"},
	"sync":       {"group", "always"},
	"framing":    {"line", "write", "close"},
	"core":       {"main", "core-2", "core-3"},
	"log-format": {"auto", "text", "json"},
}

func words(list ...string) (out []candidate) {
	for _, w := range list {
		out = append(out, candidate{word: w})
	}
	return out
}

func flagCandidates(flags []cli.Flag) (list []candidate) {
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		_, usage := unquoted(d.GetUsage())
		list = append(list, candidate{"--" + f.Names()[0], usage})
	}
	return list
}

// followed lists what the store follows; nothing where that takes long.
func (p *program) followed(ctx context.Context) (list []control.Followed) {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	p.with(ctx, node.Options{}, func(ctx context.Context, s *session) (err error) {
		list, err = s.List(ctx)
		return err
	})
	return list
}

// names are those of the followed multicores, or their keys.
func (p *program) names(ctx context.Context) (out []candidate) {
	for _, f := range p.followed(ctx) {
		if f.Name != "" {
			out = append(out, candidate{f.Name, f.Key})
		} else {
			out = append(out, candidate{f.Key, "followed"})
		}
	}
	return out
}

// paths are the own cores and the followed multicores, whose cores come once the
// slash is typed.
func (p *program) paths(ctx context.Context, prefix string) (out []candidate) {
	head, _, inside := strings.Cut(prefix, "/")
	if !inside {
		return append(words("main", "core-2", "core-3"), p.names(ctx)...)
	}
	for _, f := range p.followed(ctx) {
		if head != f.Name && head != f.Key {
			continue
		}
		for _, c := range f.Cores {
			core := strings.TrimPrefix(c.Path, f.Key+"/")
			held := fmt.Sprintf("%d of %d blocks", c.HeldBlocks, c.Length)
			out = append(out, candidate{head + "/" + core, held})
		}
	}
	return out
}

// mountpoints are ours.
func mountpoints() []candidate {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	var out []candidate
	for l := range strings.Lines(string(text)) {
		fields := strings.Fields(l)
		if len(fields) > 4 && strings.Contains(l, " - fuse.multicore ") {
			out = append(out, candidate{mountinfoNames.Replace(fields[4]), "mounted"})
		}
	}
	return out
}

// mountinfoNames reads what mountinfoEscapes writes.
var mountinfoNames = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
