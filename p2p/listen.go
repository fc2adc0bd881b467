package p2p

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"syscall"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// listenAddrs gives the addresses to listen on: those asked for, else TCP and
// QUIC on every address and the kept port.
func listenAddrs(asked []string, s Settings, log *slog.Logger) ([]ma.Multiaddr, error) {
	if len(asked) == 0 {
		port := keptPort(s, log)
		for _, format := range []string{
			"/ip4/0.0.0.0/tcp/%d", "/ip4/0.0.0.0/udp/%d/quic-v1",
			"/ip6/::/tcp/%d", "/ip6/::/udp/%d/quic-v1",
		} {
			asked = append(asked, fmt.Sprintf(format, port))
		}
	}
	var addrs []ma.Multiaddr
	for _, text := range asked {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, &OptionError{"listen", text, err}
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// keptPort gives the port of this store: chosen at first use and kept, so that
// addresses handed out stay good. Where another process has it now, it gives
// another one for this run. 0 where no port can be had.
func keptPort(s Settings, log *slog.Logger) int {
	var kept int
	if s != nil {
		text, err := s.Setting(settingPort)
		if err != nil {
			log.Warn("listen port not read", "err", err)
		}
		if n, err := strconv.ParseUint(string(text), 10, 16); err == nil {
			kept = int(n)
		}
	}
	if kept != 0 && portFree(kept) {
		return kept
	}
	port := choosePort()
	switch {
	case kept != 0:
		log.Warn("listen port is taken, using another for this run", "port", kept, "instead", port)
	case s != nil && port != 0:
		if err := s.SetSetting(settingPort, strconv.AppendInt(nil, int64(port), 10)); err != nil {
			log.Warn("listen port not kept", "err", err)
		}
	}
	return port
}

// choosePort finds a port that is free for TCP and UDP, both families.
func choosePort() int {
	for range 16 {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			return 0
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if portFree(port) {
			return port
		}
	}
	return 0
}

// portFree says whether nobody listens on the port. libp2p would not notice: it
// shares a TCP port with any process that shares too (SO_REUSEPORT).
func portFree(port int) bool {
	addr := ":" + strconv.Itoa(port)
	for _, family := range []string{"tcp4", "tcp6"} {
		l, err := net.Listen(family, addr)
		if err == nil {
			l.Close()
		} else if errors.Is(err, syscall.EADDRINUSE) {
			return false
		}
	}
	for _, family := range []string{"udp4", "udp6"} {
		l, err := net.ListenPacket(family, addr)
		if err == nil {
			l.Close()
		} else if errors.Is(err, syscall.EADDRINUSE) {
			return false
		}
	}
	return true
}

// listen starts to listen on each address by itself: a family or a transport
// that this machine does not offer is a log line, as long as another works.
func listen(n network.Network, addrs []ma.Multiaddr, log *slog.Logger) {
	var failed []any
	for _, a := range addrs {
		if err := listenOne(n, a); err != nil {
			failed = append(failed, a.String(), err)
		}
	}
	switch {
	case len(failed) == 2*len(addrs):
		log.Warn("not listening; only peers that this node dials can be reached", failed...)
	case len(failed) > 0:
		log.Info("not listening on some addresses", failed...)
	}
}

func listenOne(n network.Network, a ma.Multiaddr) error {
	if addr, err := manet.ToNetAddr(a); err == nil {
		if tcp, ok := addr.(*net.TCPAddr); ok && tcp.Port != 0 {
			family := "tcp4"
			if tcp.IP.To4() == nil {
				family = "tcp6"
			}
			l, err := net.ListenTCP(family, tcp) // see portFree
			if err != nil {
				return err
			}
			l.Close()
		}
	}
	return n.Listen(a)
}

// reachesOut says whether any of the addresses is more than loopback, so that
// routers and neighbours are of interest.
func reachesOut(addrs []ma.Multiaddr) bool {
	return slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) })
}
