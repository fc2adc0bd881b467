package p2p

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sys/unix"
)

// networkSettles is how long the kernel's news of one change keep coming.
const networkSettles = 200 * time.Millisecond

// networkNews are the groups of rtnetlink messages about what a machine is
// connected to.
const networkNews = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// watchNetwork follows the links, addresses and routes of this machine. Where
// they change, connections that nothing can come through any more are closed at
// once, rather than when somebody has waited for long; and who waits to dial
// again tries now.
func (n *Node) watchNetwork() {
	news, err := openNetworkNews()
	if err != nil {
		n.log.Debug("changes of the network are not followed", "err", err)
		return
	}
	defer news.Close()
	stop := context.AfterFunc(n.ctx, func() { news.SetReadDeadline(time.Unix(1, 0)) }) // ends the read
	defer stop()
	before := networkState()
	for {
		if err := await(news); n.ctx.Err() != nil {
			return
		} else if err != nil {
			n.log.Debug("changes of the network are not followed any more", "err", err)
			return
		}
		if !pause(n.ctx, networkSettles) {
			return
		}
		discard(news)
		n.closeCutOff()
		if now := networkState(); !slices.Equal(now, before) {
			before = now
			n.log.Debug("the network changed", "addresses", now)
			n.network.beat()
		}
	}
}

// await returns when there is something to read.
func await(f *os.File) error {
	_, err := f.Read(make([]byte, 64<<10))
	if errors.Is(err, unix.ENOBUFS) { // there was too much, of which nothing is needed
		return nil
	}
	return err
}

// discard reads what there is.
func discard(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 64<<10)
	raw.Read(func(fd uintptr) bool {
		for range 1000 {
			if _, err := unix.Read(int(fd), buf); err != nil && err != unix.ENOBUFS && err != unix.EINTR {
				break
			}
		}
		return true
	})
}

// openNetworkNews subscribes to the kernel's messages.
func openNetworkNews() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: networkNews}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), "rtnetlink"), nil
}

// networkState tells apart what this machine can be connected to: the addresses
// of the interfaces that work, and by which of them it reaches out.
func networkState() (state []string) {
	working, _ := workingAddrs()
	for _, a := range working {
		if !a.IsLinkLocalUnicast() { // containers come and go with these
			state = append(state, a.String())
		}
	}
	slices.Sort(state)
	// Addresses of documentation: asked for their route, never sent to.
	for _, to := range []string{"198.51.100.1", "2001:db8::1"} {
		from, _ := routeTo(netip.Addr{}, netip.MustParseAddr(to))
		state = append(state, "via "+from.String())
	}
	return state
}

// workingAddrs are the addresses of interfaces that are up and have a carrier.
// Where one of them goes meanwhile that is an error, and there will be news of it.
func workingAddrs() (list []netip.Addr, err error) {
	carriers, err := carriers()
	if err != nil {
		return nil, err
	}
	for _, index := range carriers {
		i, err := net.InterfaceByIndex(index)
		if err != nil {
			return nil, err
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				list = append(list, p.Addr())
			}
		}
	}
	return list, nil
}

// carriers are the interfaces that are up and have a carrier, by index. What the
// flag IFF_RUNNING says, which package net gives, comes up to a second later.
func carriers() (indices []int, err error) {
	table, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return nil, err
	}
	const works = unix.IFF_UP | unix.IFF_LOWER_UP
	for _, m := range messages {
		// struct ifinfomsg: family, pad, type (2 bytes), index (4), flags (4), change (4)
		if m.Header.Type == syscall.RTM_NEWLINK && len(m.Data) >= unix.SizeofIfInfomsg &&
			binary.NativeEndian.Uint32(m.Data[8:])&works == works {
			indices = append(indices, int(binary.NativeEndian.Uint32(m.Data[4:])))
		}
	}
	return indices, nil
}

// routeTo gives the own address from which packets would leave to another one.
// from, if valid, is the own address wanted.
func routeTo(from, to netip.Addr) (netip.Addr, error) {
	var local *net.UDPAddr
	if from.IsValid() && !from.IsUnspecified() {
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	// To connect a datagram socket looks for the route, and sends nothing.
	c, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// closeCutOff closes the connections whose packets cannot leave.
func (n *Node) closeCutOff() {
	working, err := workingAddrs()
	if err != nil {
		n.log.Debug("the addresses of this machine were not read", "err", err)
		return
	}
	for _, c := range n.host.Network().Conns() {
		if cutOff(c, working) {
			n.log.Debug("connection is cut off", "peer", c.RemotePeer(), "addr", c.RemoteMultiaddr())
			n.spawn(func() { c.Close() }) // it may try to say so
		}
	}
	n.javascript.closeCutOff(working)
}

func cutOff(c network.Conn, working []netip.Addr) bool {
	if has(c.RemoteMultiaddr(), ma.P_CIRCUIT) {
		return false // that of the relay is another
	}
	remote, ok := ipOf(c.RemoteMultiaddr())
	if !ok || remote.IsLinkLocalUnicast() { // on which link, the address does not say
		return false
	}
	local, _ := ipOf(c.LocalMultiaddr())
	return unreachable(local, remote, working)
}

// unreachable says whether nothing from an own address, which may be invalid for
// any, reaches another one. Where this process lacks what it takes to find out, it
// does not say so.
func unreachable(local, remote netip.Addr, working []netip.Addr) bool {
	from, err := routeTo(local, remote)
	for _, lack := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		if errors.Is(err, lack) {
			return false
		}
	}
	return err != nil || !slices.ContainsFunc(working, func(a netip.Addr) bool { return a.WithZone("") == from.WithZone("") })
}

// ipOf gives the address in a multiaddr.
func ipOf(a ma.Multiaddr) (netip.Addr, bool) {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}
