package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
)

// program is one run of the command: where it reads and writes, and what the
// global flags said.
type program struct {
	ui
	stdin io.Reader
	store string // absolute

	log       *slog.Logger
	logFormat string      // text, json or auto
	logJSON   atomic.Bool // what that comes to
}

// run is the whole command; it gives the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// The first signal ends the command in good order, a second one at once.
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, restore := signal.NotifyContext(context.Background(), signals...)
	defer restore()
	context.AfterFunc(ctx, restore)
	// A closed pipe is then an error of the write, so that the store is closed
	// in good order too. (Ignored signals would be inherited by children.)
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)

	p := &program{ui: ui{out: stdout, err: stderr}, stdin: stdin}
	app := p.app()
	if len(args) > 1 && args[1] == completeCommand {
		return p.complete(ctx, app, args[2:])
	}
	args, helper, err := asHelper(args, app)
	if helper {
		p.out, app.Writer = io.Discard, io.Discard
	}
	if err == nil {
		args, err = arrange(args, app)
	}
	if err == nil {
		err = app.RunContext(ctx, args)
	}
	return p.exit(ctx, err)
}

func (p *program) app() *cli.App {
	app := &cli.App{
		Name:      "multicore",
		Usage:     "signed, append-only logs as a directory, shared by key",
		UsageText: "multicore [--store DIR] [--json] [-q|--verbose] COMMAND",
		Description: "One store holds your multicore: a main core, core-2 for messages shorter than\n" +
			"5 bytes and core-3 for all others. Whoever has the key of main can read it.\n\n" +
			"   multicore mount ./mnt           show the own multicore, and share it\n" +
			"   echo hello > ./mnt/append       append a message\n" +
			"   multicore mount ./other KEY     show somebody else's\n\n" +
			"multicore COMMAND --help says more of a command. Flags stand before or after\n" +
			"arguments; each has a variable, such as MULTICORE_STORE for --store.",
		Writer:    p.out,
		ErrWriter: p.err,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "store", Usage: "`DIR` of the store", EnvVars: env("store"), DefaultText: "$XDG_DATA_HOME/multicore"},
			&cli.BoolFlag{Name: "json", Usage: "results as JSON", EnvVars: env("json")},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "errors only", EnvVars: env("quiet")},
			&cli.BoolFlag{Name: "verbose", Usage: "say what happens inside", EnvVars: env("verbose")},
			&cli.BoolFlag{Name: "version", Usage: "print the version", Hidden: true},
			cli.HelpFlag,
		},
		HideVersion:     true,
		HideHelpCommand: true,
		Before:          p.globals,
		Action:          p.noCommand,
		OnUsageError:    usageError,
		ExitErrHandler:  func(*cli.Context, error) {}, // exit codes are run's
		Commands: []*cli.Command{
			p.mountCommand(), p.serveCommand(), p.unmountCommand(),
			p.initCommand(), p.appendCommand(), p.keyCommand(),
			p.catCommand(), p.tailCommand(), p.getCommand(),
			p.followCommand(), p.unfollowCommand(), p.lsCommand(),
			p.clearCommand(), p.purgeCommand(),
			p.statusCommand(), p.peersCommand(), p.verifyCommand(), p.doctorCommand(),
			p.completionCommand(), p.manCommand(), p.schemaCommand(), p.versionCommand(), p.helpCommand(),
		},
	}
	for _, c := range app.Commands {
		c.HideHelpCommand = true // `append help` is a file
		c.OnUsageError = usageError
	}
	return app
}

// globals takes the global flags.
func (p *program) globals(c *cli.Context) error {
	p.json, p.quiet = c.Bool("json"), c.Bool("quiet")
	p.log = newLog(p.aside(), logLevel(p.quiet, c.Bool("verbose")), &p.logJSON)
	dir, err := storeDir(c.String("store"))
	if err != nil {
		return err
	}
	p.store = dir
	return nil
}

// storeDir is the absolute path of the store; flag "" gives the default.
func storeDir(flag string) (string, error) {
	if flag == "" {
		data := os.Getenv("XDG_DATA_HOME")
		if !filepath.IsAbs(data) { // as the base directory specification wants
			home, err := os.UserHomeDir()
			if err != nil {
				return "", usage("where is the store? %v; say it with --store", err)
			}
			data = filepath.Join(home, ".local", "share")
		}
		flag = filepath.Join(data, "multicore")
	}
	return filepath.Abs(flag)
}

func (p *program) noCommand(c *cli.Context) error {
	if c.Bool("version") {
		return p.version()
	}
	return cli.ShowAppHelp(c)
}

// env names the environment variable of a flag.
func env(flag string) []string {
	return []string{"MULTICORE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
}

// usage is an error in how the command was called.
func usage(format string, args ...any) error {
	return &control.Error{Code: control.Usage, Text: fmt.Sprintf(format, args...)}
}

// usageError is a flag that cli could not parse.
func usageError(c *cli.Context, err error, _ bool) error {
	called := c.App.Name
	if c.Command.Name != called {
		called = strings.TrimSpace(called + " " + c.Command.Name)
	}
	return usage("%v; see %s --help", err, called)
}

// arguments checks how many arguments a command got.
func arguments(c *cli.Context, least, most int) error {
	if n := c.NArg(); n < least || most >= 0 && n > most {
		return usage("usage: multicore %s", strings.TrimSpace(c.Command.Name+" "+c.Command.ArgsUsage))
	}
	return nil
}
