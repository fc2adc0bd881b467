package main

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
	"multicore/hypercore"
)

func (p *program) mountCommand() *cli.Command {
	return &cli.Command{
		Name:      "mount",
		Usage:     "show the own multicore, or that of a key, as a directory, and share it",
		ArgsUsage: "MNT [KEY]",
		Description: "Writing to MNT/append appends messages. MNT/KEY/ is the multicore of any key. With\n" +
			"KEY on the command line MNT shows that one alone, read-only. Stays in the\n" +
			"foreground until Ctrl-C or multicore unmount. Where a mount or serve runs with\n" +
			"this store, MNT becomes another mountpoint of that process.\n\n" +
			example("multicore mount ./mnt", "multicore mount ./other KEY"),
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "key", Usage: "show the multicore of `KEY`", EnvVars: env("key")},
			&cli.BoolFlag{Name: "read-only", Usage: "show the own multicore without append files", EnvVars: env("read-only")},
			&cli.BoolFlag{Name: "allow-non-empty", Usage: "mount over a directory that is not empty", EnvVars: env("allow-non-empty")},
			&cli.StringFlag{Name: "framing", Usage: "a message is a `UNIT`: line, write, close (all that is written until then) or a size such as 64KiB", Value: "line", EnvVars: env("framing")},
			&cli.BoolFlag{Name: "allow-other", Usage: "let other users in, as far as mode bits allow (else not even root is)", EnvVars: env("allow-other")},
			&cli.StringFlag{Name: "uid", Usage: "show `UID` as the owner (default: who mounts)", EnvVars: env("uid")},
			&cli.StringFlag{Name: "gid", Usage: "show `GID` as the group", EnvVars: env("gid")},
			&cli.StringFlag{Name: "umask", Usage: "take the permission bits `MASK`, octal, from 0444, directories 0555, append 0222", Value: "022", EnvVars: env("umask")},
			&cli.StringFlag{Name: "fsname", Usage: "`NAME` of the source in the system's table of mounts", Value: "multicore", EnvVars: env("fsname")},
			&cli.BoolFlag{Name: "daemon", Usage: "return once the mount is usable, and go on in the background", EnvVars: env("daemon")},
			&cli.StringFlag{Name: "log-file", Usage: "with --daemon: append what is said then to `FILE`", EnvVars: env("log-file")},
		}, servingFlags()...),
		Action: func(c *cli.Context) error {
			m := &mounting{
				program: p, unheard: unheard(c),
				request: control.MountRequest{ReadOnly: c.Bool("read-only"), AllowNonEmpty: c.Bool("allow-non-empty"), Source: c.String("fsname")},
			}
			var err error
			if m.request.Framing, err = framing(c); err != nil {
				return err
			}
			if m.request.Path, m.request.Key, err = mountArguments(c); err != nil {
				return err
			}
			if err := access(c, &m.request); err != nil {
				return err
			}
			if c.String("log-file") != "" && !c.Bool("daemon") {
				return usage("--log-file goes with --daemon; else redirect stderr")
			}
			if m.options, err = servingOptions(c); err != nil {
				return err
			}
			if err := p.setLogFormat(c); err != nil {
				return err
			}
			m.request.MaxMessage = m.options.MaxMessage
			if c.IsSet("read-timeout") {
				m.request.ReadTimeout = m.options.ReadTimeout
			}
			if c.Bool("daemon") && !isDaemon() {
				return p.startDaemon(c.Context)
			}
			if isDaemon() {
				if m.logFile, err = daemonLog(c.String("log-file")); err != nil {
					return err
				}
			}
			m.above = p.newSupervisor()
			m.options.Watch = m.above.watch()
			return m.run(c.Context)
		},
	}
}

// servingFlags are those of the commands that hold the store until they are
// told to stop.
func servingFlags() []cli.Flag {
	return append([]cli.Flag{
		maxMessageFlag(),
		readTimeoutFlag(),
		syncFlag(),
		logFormatFlag(),
		&cli.StringFlag{Name: "metrics", Usage: "serve metrics for Prometheus at http://`HOST:PORT`/metrics", EnvVars: env("metrics")},
		&cli.BoolFlag{Name: "no-peers", Usage: "this store has no newer copy elsewhere: sign without waiting for peers", EnvVars: env("no-peers")},
	}, networkFlags()...)
}

func servingOptions(c *cli.Context) (o node.Options, err error) {
	o = node.Options{Create: true, NoPeers: c.Bool("no-peers"), Metrics: c.String("metrics")}
	if o.MaxMessage, err = maxMessage(c); err != nil {
		return o, err
	}
	if o.ReadTimeout, err = positive(c, "read-timeout"); err != nil {
		return o, err
	}
	if o.SyncAlways, err = syncAlways(c); err != nil {
		return o, err
	}
	o.Network, err = network(c)
	return o, err
}

// mountArguments finds the mountpoint, absolute, and the key, "" for the own
// multicore, in either order.
func mountArguments(c *cli.Context) (path, key string, err error) {
	if err := arguments(c, 1, 2); err != nil {
		return "", "", err
	}
	path, key = c.Args().Get(0), c.Args().Get(1)
	switch {
	case c.NArg() == 2 && c.String("key") != "":
		return "", "", usage("the key is given twice, as %s and with --key", key)
	case c.NArg() == 2 && isKey(path) && !isKey(key):
		path, key = key, path
	case c.NArg() == 1:
		key = c.String("key")
		if key == "" && isKey(path) && !strings.Contains(path, "/") {
			return "", "", usage("where to? usage: multicore mount MNT KEY")
		}
	}
	if path == "" { // an empty variable is not meant to be the working directory
		return "", "", usage("where to? usage: multicore mount MNT [KEY]")
	}
	if key != "" {
		k, err := parseKey(key)
		if err != nil {
			return "", "", err
		}
		key = k.String()
	}
	path, err = filepath.Abs(path)
	return path, key, err
}

// access reads the flags that say who may do what.
func access(c *cli.Context, r *control.MountRequest) error {
	r.AllowOther = c.Bool("allow-other")
	for _, f := range []struct {
		name  string
		base  int
		most  uint64
		value **uint32
		want  string
	}{
		{"uid", 10, math.MaxUint32 - 1, &r.UID, "the number of a user"},
		{"gid", 10, math.MaxUint32 - 1, &r.GID, "the number of a group"},
		{"umask", 8, 0o777, &r.Umask, "an octal number up to 777"},
	} {
		s := c.String(f.name)
		if s == "" {
			continue
		}
		n, err := strconv.ParseUint(s, f.base, 32)
		if err != nil || n > f.most {
			return usage("--%s %s: want %s", f.name, s, f.want)
		}
		v := uint32(n)
		*f.value = &v
	}
	return nil
}

func isKey(s string) bool {
	_, err := hypercore.ParseKey(s)
	return err == nil
}
