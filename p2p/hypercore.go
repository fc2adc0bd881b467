package p2p

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sys/unix"

	"multicore/hypercore/replicate"
	"multicore/p2p/secretstream"
)

const (
	hypercoreConns      = 256              // that others opened, in all
	hypercorePerAddress = 64               // of them from one address, loopback aside
	hypercoreNewcomers  = 64               // of them in the handshake
	hypercoreStrangers  = 16               // of these from one address, loopback aside
	hypercoreUnsent     = 256 << 10        // bytes that the kernel takes before they can leave
	hypercoreUnheard    = 15 * time.Second // since what left last was said to have come
	hypercoreTransport  = "hypercore-tcp"
)

// javascript holds the secret streams over TCP: those that others opened, and
// one to each address from the command line.
type javascript struct {
	swarm  swarm
	log    *slog.Logger
	static *secretstream.KeyPair // one for all streams, to know ourselves by
	away   *away                 // by the IP address, in place of an id

	network *pulse // of the node

	mu        sync.Mutex
	accepted  map[string]int    // open streams by IP address
	newcomers map[string]int    // of them in the handshake
	peers     map[string]secret // by name, once it shook hands
	addrs     []string          // listened on
}

// secret is a stream that is served.
type secret struct {
	*net.TCPConn
	inbound bool
}

// startJavaScript listens and dials as the options say, until n closes. It
// fails with an *OptionError for what is no address, and where it cannot listen:
// a port was named, so another is of no use.
func (n *Node) startJavaScript(sw swarm) error {
	for _, addr := range n.o.HypercoreListen {
		if err := checkHostPort(addr, false); err != nil {
			return &OptionError{"hypercore-listen", addr, err}
		}
	}
	for _, addr := range n.o.HypercorePeers {
		if err := checkHostPort(addr, true); err != nil {
			return &OptionError{"hypercore-peer", addr, err}
		}
	}
	static, err := secretstream.GenerateKeyPair(nil)
	if err != nil {
		return err
	}
	j := &javascript{
		swarm: sw, log: n.log, static: static, away: newAway(), network: &n.network,
		accepted: make(map[string]int), newcomers: make(map[string]int), peers: make(map[string]secret),
	}
	n.javascript = j
	for _, addr := range n.o.HypercoreListen {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("not listening for JavaScript peers: %w", err)
		}
		j.addrs = append(j.addrs, l.Addr().String())
		context.AfterFunc(n.ctx, func() { l.Close() })
		n.spawn(func() { j.listen(n.ctx, l) })
	}
	for _, addr := range n.o.HypercorePeers {
		n.spawn(func() { j.keep(n.ctx, addr) })
	}
	return nil
}

// checkHostPort says what is wrong with an address. remote: one to dial.
func checkHostPort(addr string, remote bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("want HOST:PORT")
	}
	if remote && host == "" {
		return errors.New("want HOST:PORT, the host is missing")
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || remote && p == 0 {
		return fmt.Errorf("port %q: want a number up to 65535", port)
	}
	return nil
}

// listen takes connections until ctx ends and closes l, and then waits for
// those that are left.
func (j *javascript) listen(ctx context.Context, l net.Listener) {
	var open sync.WaitGroup
	defer open.Wait()
	wait := backoff{min: 10 * time.Millisecond, max: time.Second}
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			wait.reset()
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default: // out of descriptors, or the peer is gone already
			j.log.Debug("hypercore connection not accepted", "err", err)
			if !pause(ctx, wait.next()) {
				return
			}
			continue
		}
		tcp := c.(*net.TCPConn)
		ip, loopback := addressOf(tcp)
		if err := j.admit(ip, loopback); err != nil {
			j.log.Debug("hypercore connection refused", "peer", tcp.RemoteAddr(), "err", err)
			tcp.Close()
			continue
		}
		open.Go(func() {
			err := j.serve(ctx, tcp, false, func() { j.leave(j.newcomers, ip) })
			j.leave(j.accepted, ip)
			if errors.Is(err, replicate.ErrMisbehaved) && !loopback {
				j.away.add(peer.ID(ip))
			}
			j.log.Debug("hypercore stream ended", "peer", tcp.RemoteAddr(), "err", err)
		})
	}
}

// addressOf gives the remote IP address, and whether it is this machine's own,
// where it tells nothing about who is there.
func addressOf(c *net.TCPConn) (ip string, loopback bool) {
	a := c.RemoteAddr().(*net.TCPAddr)
	return a.IP.String(), a.IP.IsLoopback()
}

// admit lets a connection in as a newcomer, or says why not.
func (j *javascript) admit(ip string, loopback bool) error {
	if j.away.has(peer.ID(ip)) {
		return errors.New("address is kept away")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	total, newcomers := sum(j.accepted), sum(j.newcomers)
	switch {
	case total >= hypercoreConns:
		return fmt.Errorf("%d connections are open", total)
	case newcomers >= hypercoreNewcomers:
		return fmt.Errorf("%d handshakes are under way", newcomers)
	case j.newcomers[ip] >= hypercoreStrangers && !loopback:
		return fmt.Errorf("%d handshakes with this address are under way", j.newcomers[ip])
	case j.accepted[ip] >= hypercorePerAddress && !loopback:
		return fmt.Errorf("%d connections from this address are open", j.accepted[ip])
	}
	j.accepted[ip]++
	j.newcomers[ip]++
	return nil
}

func sum(counts map[string]int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

// leave ends what admit began: for the handshake, and for the connection.
func (j *javascript) leave(counts map[string]int, ip string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if counts[ip]--; counts[ip] == 0 {
		delete(counts, ip)
	}
}

// keep holds a stream to an address for as long as ctx lives.
func (j *javascript) keep(ctx context.Context, addr string) {
	wait := backoff{min: redialMin, max: redialMax}
	told := false
	for ctx.Err() == nil {
		var since time.Time
		network := j.network.next()
		err := j.dial(ctx, addr, func() { since = time.Now() })
		lived := !since.IsZero()
		delay := wait.next()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, replicate.ErrMisbehaved): // the swarm has told why
			delay, network = awayFor, nil
		case lived && time.Since(since) >= reopenGood:
			wait.reset()
			delay = wait.next()
		}
		switch {
		case lived:
			told = false
			j.log.Debug("hypercore stream ended", "peer", addr, "err", err)
		case !told:
			told = true
			j.log.Info("peer not reached, still trying", "peer", addr, "err", err)
		}
		if !pause(ctx, delay, network) {
			return
		}
		if beaten(network) {
			wait.reset()
		}
	}
}

// closeCutOff closes the streams whose packets cannot leave.
func (j *javascript) closeCutOff(working []netip.Addr) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.peers {
		local, remote := s.LocalAddr().(*net.TCPAddr).AddrPort().Addr(), s.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
		if !remote.IsLinkLocalUnicast() && unreachable(local.Unmap(), remote.Unmap(), working) {
			s.Close() // ends the stream
		}
	}
}

// dial replicates with whoever is at an address; shook is called once there is
// a stream.
func (j *javascript) dial(ctx context.Context, addr string, shook func()) error {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return j.serve(ctx, c.(*net.TCPConn), true, shook)
}

// serve shakes hands and replicates until the stream ends. It closes c. settled
// is called once the handshake is over, where initiator only if it went well.
func (j *javascript) serve(ctx context.Context, c *net.TCPConn, initiator bool, settled func()) error {
	keepLittleUnsent(c)
	meter := j.swarm.NewMeter()
	defer meter.Close()
	unwait := context.AfterFunc(ctx, meter.Close)
	defer unwait()
	s, err := secretstream.Handshake(ctx, c, secretstream.Options{Initiator: initiator, Static: j.static, Through: meter.Over})
	if err == nil && s.RemoteKey() == j.static.Public() {
		s.Close()
		err = errOwnID
	}
	if err == nil || !initiator {
		settled()
	}
	if err != nil {
		return err
	}
	key := s.RemoteKey()
	name := "hypercore:" + hex.EncodeToString(key[:8]) + "@" + c.RemoteAddr().String()
	j.mu.Lock()
	j.peers[name] = secret{c, !initiator}
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.peers, name)
	}()
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	return j.swarm.Serve(ctx, replicate.Conn{
		Stream:        s,
		Initiator:     initiator,
		HandshakeHash: s.HandshakeHash(),
		Peer:          name,
		Single:        true,
		Meter:         meter,
	})
}

// status gives the first address listened on, "" without, and the peers.
func (j *javascript) status() (addr string, peers []Peer) {
	if len(j.addrs) > 0 {
		addr = j.addrs[0]
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for name, c := range j.peers {
		peers = append(peers, Peer{
			ID: name, Addr: c.RemoteAddr().String(), Transport: hypercoreTransport, Inbound: c.inbound, RTT: roundTrip(c.TCPConn),
		})
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.ID, b.ID) })
	return addr, peers
}

// keepLittleUnsent has the kernel take only what can soon leave: what waits here
// can still be put in another order, and a peer that reads slowly is seen to
// read, where megabytes would have to leave before the next piece is taken. What
// left, and nobody says that it came, ends the connection soon.
func keepLittleUnsent(c *net.TCPConn) {
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, hypercoreUnsent)
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(hypercoreUnheard.Milliseconds()))
		})
	}
}

// roundTrip is what the kernel measured; 0 where it has not.
func roundTrip(c *net.TCPConn) (rtt time.Duration) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return rtt
}
