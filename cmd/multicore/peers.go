package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) peersCommand() *cli.Command {
	return &cli.Command{
		Name:        "peers",
		Usage:       "show the connected peers and what passes between us",
		Description: "Of each: how it is connected, the time of a round trip, the bytes of replication in\nall and for each second, since when, and how many cores are open at both ends. With --json one\nobject, to which fields are only ever added.\n\n" + example("multicore peers --watch", "multicore peers --json | jq -r '.peers[].addr'"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "show them again every second", EnvVars: env("watch")},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0); err != nil {
				return err
			}
			return p.with(c.Context, node.Options{}, func(ctx context.Context, s *session) error {
				w := peersWatch{program: p, session: s}
				return p.watch(ctx, s, c.Bool("watch"), w.show)
			})
		},
	}
}

// peersWatch prints the peers again and again, and once that there are none.
type peersWatch struct {
	*program
	*session
	shown, alone bool
}

func (w *peersWatch) show(ctx context.Context) error {
	list, err := w.Peers(ctx)
	if err != nil {
		return err
	}
	if w.json {
		return w.object(list)
	}
	if len(list.Peers) > 0 {
		var text bytes.Buffer
		showPeers(&text, list.Peers)
		again := w.shown
		w.shown, w.alone = true, false
		return w.screen(&text, again)
	}
	switch {
	case w.alone: // that was said
	case w.held():
		w.note("no peers: no process runs here; start multicore mount or multicore serve")
	default:
		w.note("no peers yet: they come once somebody opens the key that multicore key prints, or you follow a KEY; to join one directly, start mount or serve with --peer MULTIADDR")
	}
	w.alone = true
	return nil
}

func showPeers(out io.Writer, peers []control.PeerDetail) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush() // into memory
	fmt.Fprintf(w, "PEER\tADDRESS\tVIA\tRTT\tRECEIVED\tSENT\tIN/S\tOUT/S\tFOR\tCORES\n")
	for _, peer := range peers {
		via := peer.Transport + " " + map[string]string{"inbound": "in", "outbound": "out"}[peer.Direction]
		if peer.Relayed {
			via += ", relayed"
		}
		rtt := "-"
		if peer.RTTMillis > 0 {
			rtt = fmt.Sprintf("%.1f ms", peer.RTTMillis)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", peer.ID, peer.Addr, via, rtt,
			amount(peer.ReceivedBytes), amount(peer.SentBytes), amount(uint64(peer.ReceivedRate)), amount(uint64(peer.SentRate)),
			max(time.Since(peer.Since), 0).Round(time.Second), len(peer.Cores))
	}
}

// amount is a number of bytes for people.
func amount(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1000, 0
	for v >= 999.5 && unit < 4 {
		v /= 1000
		unit++
	}
	return fmt.Sprintf("%.3g %cB", v, "kMGTP"[unit])
}
