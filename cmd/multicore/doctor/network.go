package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"multicore/cmd/multicore/control"
	"multicore/p2p"
)

// node asks the running process for its network; nil where none has one.
func (x *examination) node(ctx context.Context) *control.Node {
	if st := x.status(ctx); st != nil {
		return st.Node
	}
	return nil
}

// silent is what can be said of a process that tells nothing of a network;
// false where none runs.
func (x *examination) silent() (Check, bool) {
	switch {
	case x.mute:
		return unknown("the process that holds the store does not answer"), true
	case x.client != nil:
		return unknown("the process that runs speaks to no peers"), true
	}
	return Check{}, false
}

const otherPort = "stop the other program (ss -lntup shows it), or choose another port with --listen"

// ports looks whether the node listens where it should, or could.
func (x *examination) ports(ctx context.Context) Check {
	if n := x.node(ctx); n != nil {
		return listening(n)
	}
	if c, ok := x.silent(); ok {
		return c
	}
	var settings p2p.Settings
	if i, err := x.inspection(); i != nil && err == nil {
		settings = readOnly{i}
	}
	failures, err := p2p.TryListen(x.Network.Listen, settings)
	if err != nil {
		return problem(control.Usage, "give --listen a multiaddr such as /ip4/0.0.0.0/tcp/4001", "%v", err)
	}
	for _, f := range failures {
		if f.Taken {
			return problem(control.Other, otherPort, "%s is taken by another program", f.Addr)
		}
	}
	if len(failures) > 0 {
		return problem(control.Other, "name an address of this machine with --listen", "%s: %v", failures[0].Addr, failures[0].Err)
	}
	for _, addr := range x.Network.HypercoreListen {
		l, err := net.Listen("tcp", addr)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return problem(control.Other, "stop the other program, or choose another port with --hypercore-listen", "%s is taken by another program", addr)
		case err != nil:
			return problem(control.Usage, "give --hypercore-listen a HOST:PORT of this machine", "%v", err)
		}
		l.Close()
	}
	return ok("what mount and serve would listen on is free")
}

// listening is ports of a node that runs.
func listening(n *control.Node) Check {
	const remedy = "name an address of this machine with --listen"
	for _, f := range n.NotListening {
		if f.Taken {
			return problem(control.Other, otherPort, "%s is taken by another program: addresses with it, which others may know, do not lead here", f.Addr)
		}
	}
	switch {
	case len(n.Addrs) > 0:
		return ok("listens on %s", plural(len(n.Addrs), "address", "es"))
	case len(n.NotListening) > 0:
		return problem(control.Other, remedy, "listens nowhere, not on %s: %s", n.NotListening[0].Addr, n.NotListening[0].Reason)
	}
	return problem(control.Other, remedy, "listens nowhere: only peers that this node dials are reached")
}

// readOnly are the settings of a store that is only looked at.
type readOnly struct {
	of interface{ Setting(string) ([]byte, error) }
}

func (r readOnly) Setting(name string) ([]byte, error) { return r.of.Setting(name) }
func (r readOnly) SetSetting(string, []byte) error     { return errors.ErrUnsupported }

// dht looks whether there is a way into the DHT.
func (x *examination) dht(ctx context.Context) Check {
	n := x.node(ctx)
	switch {
	case n != nil && n.DHT.Mode == "off", n == nil && x.Network.DHT == "off":
		return ok("off: keys are found on this network, or by --peer")
	case n == nil:
		if c, ok := x.silent(); ok {
			return c
		}
		return x.probe(ctx)
	}
	until(ctx, settleFor, func() bool { // it may just have started
		if now := x.node(ctx); now != nil {
			n = now
		}
		return n.DHT.RoutingTable > 0
	})
	return table(n)
}

// table is dht of a node that runs.
func table(n *control.Node) Check {
	switch {
	case n.DHT.RoutingTable == 0:
		return emptyTable(n.DHT.Mode == "private", "no node of it was reached")
	case n.DHT.NotAnnounced != "":
		return problem(control.Timeout, "see the other checks: a key is announced once this node listens on an address that others can use, and one of them takes the record",
			"%s in the table, but the last announcement failed: %s", plural(n.DHT.RoutingTable, "node"), n.DHT.NotAnnounced)
	case !n.DHT.Announce:
		return ok("%s in the table; nothing is announced (--announce=false)", plural(n.DHT.RoutingTable, "node"))
	case n.DHT.LastProvide == nil:
		return ok("%s in the table; nothing is announced yet", plural(n.DHT.RoutingTable, "node"))
	}
	return ok("%s in the table, last announced at %s", plural(n.DHT.RoutingTable, "node"), shown(n.DHT.LastProvide.Local()))
}

func emptyTable(private bool, reason string) Check {
	remedy := "see whether a firewall keeps TCP and UDP to the internet back; without the internet use --dht off or private"
	if private {
		remedy = "start a node that --bootstrap names, or name one that runs (serve prints its addresses)"
	}
	return problem(control.Timeout, remedy, "the table of the DHT is empty: %s", reason)
}

// probe is dht where no process runs.
func (x *examination) probe(ctx context.Context) Check {
	private := x.Network.DHT == "private"
	if private && len(x.Network.Bootstrap) == 0 {
		return unknown("private, and no --bootstrap names a node to enter by")
	}
	ctx, cancel := context.WithTimeout(ctx, x.Deadline*3/4) // the rest is for its end
	defer cancel()
	p, err := p2p.Probe(ctx, p2p.Options{DHT: p2p.DHTMode(x.Network.DHT), Bootstrap: x.Network.Bootstrap, Version: x.Version})
	switch {
	case err != nil:
		return problem(control.Usage, "give --bootstrap a full address that ends in /p2p/ID", "%v", err)
	case p.Table > 0:
		return ok("%d of %d nodes to enter by answer", p.Answered, p.Asked)
	case p.Answered > 0:
		return emptyTable(private, "those that answer take no part in it")
	case p.Err != nil:
		return emptyTable(private, fmt.Sprintf("no node to enter by answers, of %d asked: %v", p.Asked, p.Err))
	}
	return emptyTable(private, fmt.Sprintf("no node to enter by answered in time, of %d asked", p.Asked))
}

// reachability says whether others can connect to this node.
func (x *examination) reachability(ctx context.Context) Check {
	n := x.node(ctx)
	if n == nil && x.mute {
		return unknown("the process that holds the store does not answer")
	}
	if n == nil {
		return unknown("only a running mount or serve finds out, with the help of peers")
	}
	return wayIn(n)
}

// wayIn is reachability of a node that runs.
func wayIn(n *control.Node) Check {
	relayed := false
	for _, a := range n.Addrs {
		relayed = relayed || strings.Contains(a, "/p2p-circuit")
	}
	switch {
	case n.Reachability == "public":
		return ok("peers can connect from outside")
	case n.Reachability == "private" && relayed:
		return ok("behind a NAT; peers connect through a relay, and then directly where the NAT lets them")
	case n.Reachability == "private":
		return problem(control.Timeout, "let the router forward the ports of this node, TCP and UDP (multicore status shows them), or turn on UPnP",
			"behind a NAT or firewall that lets nobody in, and no relay was found yet")
	case n.DHT.Mode != "public":
		return unknown("nobody outside tells without the public DHT")
	}
	return unknown("no peer has told yet whether it can connect from outside; it takes minutes")
}

// plural is a number of what; ends are what more than one of it end in, s by default.
func plural(n int, what string, ends ...string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %s%s", n, what, append(ends, "s")[0])
}
