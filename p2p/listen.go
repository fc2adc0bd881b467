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
// QUIC on every address and the kept port. failures has that port where another
// program has it.
func listenAddrs(asked []string, s Settings, log *slog.Logger) (addrs []ma.Multiaddr, failures []ListenFailure, err error) {
	if len(asked) == 0 {
		port, taken := keptPort(s, log)
		if taken != 0 {
			failures = append(failures, portTaken(taken))
		}
		asked = everywhere(port)
	}
	addrs, err = parseListen(asked)
	return addrs, failures, err
}

// everywhere is TCP and QUIC on every address.
func everywhere(port int) (addrs []string) {
	for _, format := range []string{
		"/ip4/0.0.0.0/tcp/%d", "/ip4/0.0.0.0/udp/%d/quic-v1",
		"/ip6/::/tcp/%d", "/ip6/::/udp/%d/quic-v1",
	} {
		addrs = append(addrs, fmt.Sprintf(format, port))
	}
	return addrs
}

func parseListen(asked []string) (addrs []ma.Multiaddr, err error) {
	for _, text := range asked {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, &OptionError{"listen", text, err}
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// portTaken is the failure of the port of the store.
func portTaken(port int) ListenFailure {
	return ListenFailure{Addr: everywhere(port)[0], Err: syscall.EADDRINUSE, Taken: true}
}

// TryListen says which of the addresses of Options.Listen a node could not
// listen on now; where there are none, the kept port of s, which is only read.
// An address family that the machine does not have is no failure. It fails with
// an *OptionError.
func TryListen(asked []string, s Settings) ([]ListenFailure, error) {
	addrs, err := parseListen(asked)
	if err != nil {
		return nil, err
	}
	var failures []ListenFailure
	if len(asked) == 0 && s != nil {
		if text, err := s.Setting(settingPort); err == nil {
			if port := parsePort(text); port != 0 && !portFree(port) {
				failures = append(failures, portTaken(port))
			}
		}
	}
	for _, a := range addrs {
		if err := tryBind(a); err != nil && !errors.Is(err, syscall.EAFNOSUPPORT) {
			failures = append(failures, listenFailure(a, err))
		}
	}
	return failures, nil
}

// tryBind binds an address for a moment.
func tryBind(a ma.Multiaddr) error {
	addr, err := manet.ToNetAddr(a)
	if err != nil {
		if a, _ = ma.SplitLast(a); a == nil { // as /quic-v1 behind it
			return nil
		}
		return tryBind(a)
	}
	family := "4"
	switch at := addr.(type) {
	case *net.TCPAddr:
		if at.IP.To4() == nil {
			family = "6"
		}
		l, err := net.ListenTCP("tcp"+family, at)
		if err == nil {
			l.Close()
		}
		return err
	case *net.UDPAddr:
		if at.IP.To4() == nil {
			family = "6"
		}
		l, err := net.ListenUDP("udp"+family, at)
		if err == nil {
			l.Close()
		}
		return err
	}
	return nil
}

func listenFailure(a ma.Multiaddr, err error) ListenFailure {
	return ListenFailure{Addr: a.String(), Err: err, Taken: errors.Is(err, syscall.EADDRINUSE)}
}

// keptPort gives the port of this store: chosen at first use and kept, so that
// addresses handed out stay good. Where another process has it now, as taken, it
// gives another one for this run. 0 where no port can be had.
func keptPort(s Settings, log *slog.Logger) (port, taken int) {
	var kept int
	if s != nil {
		text, err := s.Setting(settingPort)
		if err != nil {
			log.Warn("listen port not read", "err", err)
		}
		kept = parsePort(text)
	}
	if kept != 0 && portFree(kept) {
		return kept, 0
	}
	port = choosePort()
	switch {
	case kept != 0:
		taken = kept
		log.Warn("listen port is taken, using another for this run", "port", kept, "instead", port)
	case s != nil && port != 0:
		if err := s.SetSetting(settingPort, strconv.AppendInt(nil, int64(port), 10)); err != nil {
			log.Warn("listen port not kept", "err", err)
		}
	}
	return port, taken
}

// parsePort reads the setting of the port; 0 where there is none.
func parsePort(text []byte) int {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
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
func listen(n network.Network, addrs []ma.Multiaddr, log *slog.Logger) (failures []ListenFailure) {
	var failed []any
	for _, a := range addrs {
		if err := listenOne(n, a); err != nil {
			failures = append(failures, listenFailure(a, err))
			failed = append(failed, a.String(), err)
		}
	}
	switch {
	case len(failed) == 2*len(addrs):
		log.Warn("not listening; only peers that this node dials can be reached", failed...)
	case len(failed) > 0:
		log.Info("not listening on some addresses", failed...)
	}
	return failures
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
