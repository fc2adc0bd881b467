package main

import (
	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
)

// servingAt is what serve prints as JSON once it serves.
type servingAt struct {
	Store   string        `json:"store"`
	MainKey *string       `json:"main_key"`
	Node    *control.Node `json:"node"`
}

func (p *program) serveCommand() *cli.Command {
	return &cli.Command{
		Name:        "serve",
		Usage:       "share the store without a mount: the own multicore and the followed ones",
		Description: "Prints the addresses that it listens on, and runs until Ctrl-C.\n\n" + example("multicore serve", "multicore serve --dht private --listen /ip4/0.0.0.0/tcp/4001"),
		Flags:       servingFlags(),
		Action: func(c *cli.Context) (err error) {
			if err := arguments(c, 0, 0); err != nil {
				return err
			}
			o, err := servingOptions(c)
			if err != nil {
				return err
			}
			if err := p.setLogFormat(c); err != nil {
				return err
			}
			above := p.newSupervisor()
			o.Stay, o.Watch = true, above.watch()
			s, err := p.takeOver(c.Context, o)
			if err != nil {
				return err
			}
			defer func() {
				if closed := s.close(); err == nil {
					err = closed
				}
			}()
			if !s.held() {
				return p.occupied(c.Context, s.client)
			}
			st, err := s.Status(c.Context)
			if err != nil {
				return err
			}
			if p.json {
				if err := p.object(servingAt{p.store, st.MainKey, st.Node}); err != nil {
					return err
				}
			} else if st.Node != nil {
				for _, addr := range st.Node.Addrs {
					if err := p.result("listening on %s", addr); err != nil {
						return err
					}
				}
				if tcp := st.Node.HypercoreTCP; tcp != nil {
					if err := p.result("JavaScript peers connect to %s", *tcp); err != nil {
						return err
					}
				}
			}
			p.note("serving %s", p.store)
			defer p.tellReachable(c.Context, s.node, o.Network, s.node.Served())()
			above.ready("serving " + p.store)
			<-c.Context.Done()
			above.stopping()
			return nil
		},
	}
}
