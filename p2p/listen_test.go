package p2p

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestPortKept(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	s := &memorySettings{}
	port, _ := keptPort(s, log)
	if port == 0 || port > 65535 {
		t.Fatalf("port %d", port)
	}
	if again, _ := keptPort(s, log); again != port {
		t.Errorf("port %d after the restart, want %d", again, port)
	}
	if out.Len() > 0 {
		t.Errorf("logged: %s", &out)
	}

	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	other, busy := keptPort(s, log)
	if other == port || other == 0 || busy != port {
		t.Errorf("port %d while %d is taken; taken: %d", other, port, busy)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 1 || !strings.Contains(out.String(), "taken") {
		t.Errorf("want one line that says so, got %q", &out)
	}
	taken.Close()
	if again, _ := keptPort(s, log); again != port {
		t.Errorf("port %d once it is free again, want %d", again, port)
	}
}

func TestPortDamagedSetting(t *testing.T) {
	s := &memorySettings{}
	for _, text := range []string{"x", "0", "-1", "65536", "99999999999999999999"} {
		s.SetSetting(settingPort, []byte(text))
		if port, _ := keptPort(s, slog.New(slog.DiscardHandler)); port == 0 {
			t.Errorf("setting %q: no port", text)
		}
	}
}

func TestListenAddrs(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	s := &memorySettings{}
	addrs, _, err := listenAddrs(nil, s, log)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := s.Setting(settingPort)
	want := strings.ReplaceAll("[/ip4/0.0.0.0/tcp/P /ip4/0.0.0.0/udp/P/quic-v1 /ip6/::/tcp/P /ip6/::/udp/P/quic-v1]", "P", string(port))
	if got := fmt.Sprint(addrs); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, _, err := listenAddrs([]string{"127.0.0.1:80"}, s, log); err == nil || !strings.Contains(err.Error(), `"127.0.0.1:80"`) {
		t.Errorf("not a multiaddr: %v", err)
	}
}

// TestNothingToListenOn: a node whose addresses are all taken or foreign
// starts, says so in a line, and reaches others.
func TestNothingToListenOn(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var out bytes.Buffer
	ws, rs := newFakeSwarm(), newFakeSwarm()
	w := startTest(t, ws, nil)
	r := startTest(t, rs, func(o *Options) {
		o.Listen = []string{
			fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", taken.Addr().(*net.TCPAddr).Port),
			"/ip4/127.0.0.1/sctp/1",
		}
		o.Peers = w.Status().Addrs
		o.Log = slog.New(slog.NewTextHandler(&out, nil))
	})
	if addrs := r.Status().Addrs; len(addrs) > 0 {
		t.Errorf("listens on %v", addrs)
	}
	until(t, "the stream", func() bool { return rs.serving(w.Status().PeerID) }, rs.Changed)
	r.Close()
	if !strings.Contains(out.String(), "not listening") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("log: %q", &out)
	}
}

func TestRank(t *testing.T) {
	var addrs []ma.Multiaddr
	for _, s := range []string{
		"/ip4/203.0.113.5/udp/1/quic-v1", "/ip4/203.0.113.5/tcp/1",
		"/ip4/192.168.1.2/udp/1/quic-v1", "/ip4/192.168.1.2/tcp/1",
		"/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1",
	} {
		addrs = append(addrs, ma.StringCast(s))
	}
	ranked := rank(addrs)
	if len(ranked) != len(addrs) {
		t.Fatalf("%d addresses ranked, want %d", len(ranked), len(addrs))
	}
	delay := make(map[string]int64)
	for _, r := range ranked {
		delay[r.Addr.String()] = r.Delay.Milliseconds()
	}
	if d := delay["/ip4/127.0.0.1/tcp/1"]; d != 0 {
		t.Errorf("loopback TCP waits %d ms", d)
	}
	for _, private := range []string{"/ip4/192.168.1.2", "/ip4/127.0.0.1"} {
		if delay[private+"/tcp/1"] >= delay[private+"/udp/1/quic-v1"] {
			t.Errorf("%s: TCP after %d ms, QUIC after %d ms", private, delay[private+"/tcp/1"], delay[private+"/udp/1/quic-v1"])
		}
	}
	if quic, tcp := delay["/ip4/203.0.113.5/udp/1/quic-v1"], delay["/ip4/203.0.113.5/tcp/1"]; quic != 0 || tcp <= quic {
		t.Errorf("public: QUIC after %d ms, TCP after %d ms, want libp2p's order", quic, tcp)
	}
}
