package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) statusCommand() *cli.Command {
	return &cli.Command{
		Name:        "status",
		Usage:       "show the store, its cores, mounts and peers",
		Description: "With --json one object, to which fields are only ever added.\n\n" + example("multicore status", "multicore status --json | jq -r '.node.addrs[]'"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0); err != nil {
				return err
			}
			return p.with(c.Context, node.Options{}, func(ctx context.Context, s *session) error {
				st, err := s.Status(ctx)
				if err != nil {
					return err
				}
				if p.json {
					return p.object(st)
				}
				return p.showStatus(st, s)
			})
		},
	}
}

func (p *program) showStatus(st *control.Status, s *session) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
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
	}
	for _, c := range st.Cores {
		state := ""
		switch {
		case c.Failed != "":
			state = "; failed: " + c.Failed
		case c.Held:
			state = fmt.Sprintf("; peers see %d until one has said how long it is", c.DurableLength)
		}
		fmt.Fprintf(w, "core\t%s\t%d of %d blocks, %d bytes, %d peers%s\n", c.Path, c.ContiguousLength, c.Length, c.ByteLength, c.Peers, state)
	}
	for _, f := range st.Followed {
		held, length := blocks(f.Cores)
		fmt.Fprintf(w, "follows\t%s\t%s %d of %d blocks\n", f.Key, f.Name, held, length)
	}
	shown := make(map[string]bool) // a core may be open and followed
	conflict := func(c control.Core) {
		if c.ConflictHeads == nil || shown[c.Path] {
			return
		}
		shown[c.Path] = true
		for _, line := range conflictLines(c.ConflictHeads) {
			fmt.Fprintf(w, "conflict\t%s\t%s\n", c.Path, line)
		}
	}
	for _, c := range st.Cores {
		conflict(c)
	}
	for _, f := range st.Followed {
		for _, c := range f.Cores {
			conflict(c)
		}
	}
	for _, peer := range st.Peers {
		fmt.Fprintf(w, "peer\t%s\t%s, %.1f ms, %d bytes in, %d out\n", peer.ID, peer.Addr, peer.RTTMillis, peer.ReceivedBytes, peer.SentBytes)
	}
	return w.Flush()
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
