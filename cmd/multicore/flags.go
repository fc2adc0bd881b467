package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/node"
	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// networkFlags are those of every command that may speak to peers.
func networkFlags() []cli.Flag {
	const category = "network"
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "listen", Category: category, Usage: "listen on `ADDR`, a multiaddr (default: TCP and QUIC, on a port chosen once)", EnvVars: env("listen")},
		&cli.StringFlag{Name: "dht", Category: category, Usage: "`MODE` is public, private (a DHT of its own, for --bootstrap) or off", Value: "public", EnvVars: env("dht")},
		&cli.BoolFlag{Name: "dht-server", Category: category, Usage: "answer DHT queries of others", EnvVars: env("dht-server")},
		&cli.StringSliceFlag{Name: "bootstrap", Category: category, Usage: "enter the DHT through `ADDR`, a multiaddr with its /p2p/ part", EnvVars: env("bootstrap")},
		&cli.StringSliceFlag{Name: "peer", Category: category, Usage: "keep a connection to `ADDR`, a multiaddr", EnvVars: env("peer")},
		&cli.StringSliceFlag{Name: "hypercore-listen", Category: category, Usage: "let JavaScript peers connect to `HOST:PORT` over plain TCP", EnvVars: env("hypercore-listen")},
		&cli.StringSliceFlag{Name: "hypercore-peer", Category: category, Usage: "keep a connection to a JavaScript peer at `HOST:PORT`", EnvVars: env("hypercore-peer")},
		&cli.BoolFlag{Name: "mdns", Category: category, Usage: "find peers on the local network and this machine", Value: true, EnvVars: env("mdns")},
		&cli.StringFlag{Name: "upload-limit", Category: category, Usage: "send peers at most `SIZE` a second in all, such as 10MB (default: no limit)", EnvVars: env("upload-limit")},
		&cli.StringFlag{Name: "download-limit", Category: category, Usage: "take at most `SIZE` a second from peers in all", EnvVars: env("download-limit")},
		&cli.StringFlag{Name: "cache-size", Category: "storage", Usage: "keep at most `SIZE` of what was only read, 0 keeps all; the least recently read goes first", Value: "10GiB", EnvVars: env("cache-size")},
		&cli.BoolFlag{Name: "announce", Category: category, Usage: "tell others that this node has what it serves", Value: true, EnvVars: env("announce")},
	}
}

// network is what networkFlags say.
func network(c *cli.Context) (*node.Network, error) {
	n := &node.Network{
		Listen: c.StringSlice("listen"), DHT: c.String("dht"), DHTServer: c.Bool("dht-server"),
		Bootstrap: c.StringSlice("bootstrap"), Peers: c.StringSlice("peer"),
		HypercoreListen: c.StringSlice("hypercore-listen"), HypercorePeers: c.StringSlice("hypercore-peer"),
		MDNS: c.Bool("mdns"), Announce: c.Bool("announce"),
	}
	switch n.DHT {
	case "public", "private", "off":
	default:
		return nil, usage("--dht %s: want public, private or off", n.DHT)
	}
	var err error
	if n.UploadLimit, err = limit(c, "upload-limit"); err != nil {
		return nil, err
	}
	if n.DownloadLimit, err = limit(c, "download-limit"); err != nil {
		return nil, err
	}
	n.CacheSize, err = storageSize(c, "cache-size")
	return n, err
}

// limit reads a flag in bytes a second; 0: none.
func limit(c *cli.Context, flag string) (int64, error) {
	s := c.String(flag)
	if s == "" {
		return 0, nil
	}
	n, err := multicore.ParseSize(s)
	switch {
	case err != nil:
		return 0, usage("--%s %s: want bytes a second, such as 10MB or 512KiB, or 0 for no limit", flag, s)
	case n != 0 && n < leastLimit:
		return 0, usage("--%s %s: want at least %d bytes a second, or 0 for no limit", flag, s, leastLimit)
	}
	return n, nil
}

// leastStorage leaves room for what is being read.
const leastStorage = 1 << 20

// storageSize reads a flag in bytes; 0: no limit.
func storageSize(c *cli.Context, flag string) (uint64, error) {
	s := c.String(flag)
	n, err := multicore.ParseSize(s)
	switch {
	case err != nil:
		return 0, usage("--%s %s: want a size such as 10GiB or 500MB, or 0 for no limit", flag, s)
	case n != 0 && n < leastStorage:
		return 0, usage("--%s %s: want at least 1MiB, or 0 for no limit", flag, s)
	}
	return uint64(n), nil
}

// leastLimit leaves streams what they need to stay alive: below, peers would
// give each other up.
const leastLimit = 1 << 10

func readTimeoutFlag() cli.Flag {
	return &cli.DurationFlag{Name: "read-timeout", Usage: "wait `TIME` for what is not here", Value: node.DefaultReadTimeout, EnvVars: env("read-timeout")}
}

func syncFlag() cli.Flag {
	return &cli.StringFlag{Name: "sync", Usage: "`WHEN` an append is on the disk: always, before it returns (appends at the same time share the syncs), or group, right after; fsync waits for it", Value: "group", EnvVars: env("sync")}
}

func syncAlways(c *cli.Context) (bool, error) {
	switch s := c.String("sync"); s {
	case "always":
		return true, nil
	case "group":
		return false, nil
	default:
		return false, usage("--sync %s: want group or always", s)
	}
}

func maxMessageFlag() cli.Flag {
	return &cli.StringFlag{Name: "max-message", Usage: "refuse messages longer than `SIZE`", Value: "8MiB", EnvVars: env("max-message")}
}

// maxMessage is what maxMessageFlag says, in bytes; 0 where it was not given.
func maxMessage(c *cli.Context) (int, error) {
	if !c.IsSet("max-message") {
		return 0, nil
	}
	n, err := parseSize(c.String("max-message"))
	if err != nil {
		return 0, usage("--max-message %s: %v", c.String("max-message"), err)
	}
	return n, nil
}

// framing is what --framing says, once it is sure that a mount will take it.
func framing(c *cli.Context) (string, error) {
	s := c.String("framing")
	if _, err := multicore.ParseFraming(s); err != nil {
		return "", usage("%v", err)
	}
	return s, nil
}

// parseSize reads a size in bytes as --framing and --block-size take it.
func parseSize(s string) (int, error) {
	f, err := multicore.ParseFraming(s)
	if err != nil {
		return 0, err
	}
	if f.Mode != multicore.BySize {
		return 0, usage("want a size such as 64KiB")
	}
	return f.Size, nil
}

// positive refuses a duration flag that cannot be meant.
func positive(c *cli.Context, flag string) (time.Duration, error) {
	d := c.Duration(flag)
	if d <= 0 {
		return 0, usage("--%s %v: want more than 0", flag, d)
	}
	return d, nil
}

// parseKey reads a key that stands where nothing else may.
func parseKey(s string) (hypercore.Key, error) {
	k, err := hypercore.ParseKey(s)
	if err != nil {
		return k, usage("%v", err)
	}
	return k, nil
}
