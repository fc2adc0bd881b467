package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "show the store, its cores, mounts and peers",
		Description: "Of each core: how many of its blocks are here and how many there are, the connected\n" +
			"peers that have it open, and those of them that hold all of it (full replicas). Of\n" +
			"what is followed: what is missing, and stalled where nothing of it comes. With --json\n" +
			"one object, with --watch one a second, to which fields are only ever added.\n\n" +
			example("multicore status", "multicore status --watch", "multicore status --json | jq -r '.node.addrs[]'"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "show it again every second", EnvVars: env("watch")},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0); err != nil {
				return err
			}
			shown := false
			return p.with(c.Context, node.Options{}, func(ctx context.Context, s *session) error {
				return p.watch(ctx, s, c.Bool("watch"), func(ctx context.Context) error {
					st, err := s.Status(ctx)
					if err != nil {
						return err
					}
					if p.json {
						return p.object(st)
					}
					var text bytes.Buffer
					p.describe(&text, st, s)
					again := shown
					shown = true
					return p.screen(&text, again)
				})
			})
		},
	}
}

// describe writes a status for people.
func (p *program) describe(out io.Writer, st *control.Status, s *session) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush() // into memory
	fmt.Fprintf(w, "store\t%s\n", p.store)
	if st.MainKey != nil {
		fmt.Fprintf(w, "main core key\t%s\n", *st.MainKey)
	}
	switch {
	case s.held():
		fmt.Fprintf(w, "process\tnone runs\n")
	default:
		fmt.Fprintf(w, "process\t%d\n", s.client.PID())
	}
	if st.Stuck != "" {
		fmt.Fprintf(w, "stuck\t%s; the disk or the file system below the store may not answer\n", st.Stuck)
	}
	for _, m := range st.Mounts {
		fmt.Fprintf(w, "mounted\t%s\t%s\n", m.Path, m.Key)
	}
	if n := st.Node; n != nil {
		fmt.Fprintf(w, "peer id\t%s\n", n.PeerID)
		for _, a := range n.Addrs {
			fmt.Fprintf(w, "address\t%s\n", a)
		}
		if n.HypercoreTCP != nil {
			fmt.Fprintf(w, "hypercore TCP\t%s\n", *n.HypercoreTCP)
		}
		fmt.Fprintf(w, "DHT\t%s, %d in its table\n", n.DHT.Mode, n.DHT.RoutingTable)
		if st.MainKey != nil {
			fmt.Fprintf(w, "replicas\t%s all of the own multicore\n", holders(st.FullReplicas))
		}
	}
	p.describeCores(w, st)
	for _, peer := range st.Peers {
		fmt.Fprintf(w, "peer\t%s\t%s, %.1f ms, %d bytes in, %d out\n", peer.ID, peer.Addr, peer.RTTMillis, peer.ReceivedBytes, peer.SentBytes)
	}
}

// describeCores writes of the open cores, the followed multicores, and the cores
// among both that are frozen.
func (p *program) describeCores(w io.Writer, st *control.Status) {
	path := make(map[string]string) // a name in place of a key is a PATH too
	frozen := slices.Clone(st.Cores)
	for _, f := range st.Followed {
		for _, c := range f.Cores {
			if core, ok := strings.CutPrefix(c.Path, f.Key); ok && f.Name != "" {
				path[c.Path] = f.Name + core
			}
		}
		frozen = append(frozen, f.Cores...)
	}
	for _, c := range st.Cores {
		peers := control.Count(c.Peers, "peer")
		if c.Peers > 0 {
			peers += ", " + control.Count(c.FullReplicas, "full replica")
		}
		fmt.Fprintf(w, "core\t%s\t%d of %d blocks, %d bytes, %s%s\n", cmp.Or(path[c.Path], c.Path), c.HeldBlocks, c.Length, c.ByteLength, peers, p.state(c))
	}
	for _, f := range st.Followed {
		held, length, _ := f.Blocks()
		stuck := ""
		if text := stall(f); text != "" && st.Node != nil {
			stuck = "; " + paint(p.out, yellow, text)
		}
		fmt.Fprintf(w, "follows\t%s\t%s%d of %d blocks, %s all of it%s\n", f.Key, named(f.Name), held, length, holders(f.FullReplicas), stuck)
	}
	shown := make(map[string]bool) // a core may be open and followed
	for _, c := range frozen {
		if c.ConflictHeads == nil || shown[c.Path] {
			continue
		}
		shown[c.Path] = true
		for _, line := range conflictLines(c.ConflictHeads) {
			fmt.Fprintf(w, "conflict\t%s\t%s\n", cmp.Or(path[c.Path], c.Path), paint(p.out, red, line))
		}
	}
}

// state is what of a core is not as it should be.
func (p *program) state(c control.Core) string {
	switch {
	case c.Failed != "":
		return "; " + paint(p.out, red, "failed: "+c.Failed)
	case c.Held:
		return fmt.Sprintf("; peers see %d until one has said how long it is", c.DurableLength)
	case c.Missing != nil && c.Missing.Stalled:
		return "; " + paint(p.out, yellow, c.Waits())
	case c.Missing != nil:
		return "; " + c.Waits()
	}
	return ""
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return name + " "
}

// holders starts a sentence about how many peers hold something.
func holders(n int) string {
	if n == 1 {
		return "1 peer holds"
	}
	return fmt.Sprintf("%d peers hold", n)
}

// conflictLines tell of the two logs that a key has signed.
func conflictLines(f *control.ConflictHeads) []string {
	head := func(whose string, h control.Head) string {
		return fmt.Sprintf("%s: fork %d, length %d, tree hash %s, signature %s", whose, f.Fork, h.Length, h.TreeHash, h.Signature)
	}
	return []string{
		"frozen since " + f.Found.Local().Format(time.DateTime) + ": its key has signed two different logs; only what is here can be read",
		head("ours", f.Ours), head("theirs", f.Theirs),
	}
}
