package doctor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
	"multicore/corestore"
)

// made is a store with an own multicore that nobody holds.
func made(t *testing.T, change func(*corestore.Store)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	n, err := node.Open(t.Context(), node.Options{Dir: dir, Create: true, Short: true})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = n.Init(t.Context())
	if err := errors.Join(err, n.Close()); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		s, err := corestore.Open(dir, corestore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		change(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func examine(t *testing.T, o Options) map[string]Check {
	t.Helper()
	o.Network.DHT = "off"
	all := map[string]Check{}
	for _, c := range Examine(t.Context(), o).Checks {
		all[c.Name] = c
		if (c.State == Problem) != (c.Code != 0) || (c.State == Problem) != (c.Remedy != "") || c.Text == "" {
			t.Errorf("%+v", c)
		}
	}
	return all
}

// tree is everything below dir: contents, modes and times.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var content []byte
		if info.Mode().IsRegular() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		fmt.Fprintf(&b, "%s %v %d %v %x\n", path, info.Mode(), info.Size(), info.ModTime(), sha256.Sum256(content))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestExamineChangesNothing: not a byte, a time or a lock.
func TestExamineChangesNothing(t *testing.T) {
	dir := made(t, nil)
	before := tree(t, filepath.Dir(dir))
	checks := examine(t, Options{Dir: dir})
	if after := tree(t, filepath.Dir(dir)); after != before {
		t.Errorf("the store was\n%s and is\n%s", before, after)
	}
	for _, name := range []string{"process", "disk", "store", "clock", "ports"} {
		if checks[name].State != OK {
			t.Errorf("%+v", checks[name])
		}
	}
}

func TestKeptPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	dir := made(t, func(s *corestore.Store) {
		if err := s.SetSetting("p2p/port", fmt.Append(nil, port)); err != nil {
			t.Fatal(err)
		}
	})
	c := examine(t, Options{Dir: dir})["ports"]
	if c.State != Problem || !strings.Contains(c.Text, fmt.Sprint(port)) {
		t.Errorf("%+v", c)
	}
}

func TestProcesses(t *testing.T) {
	dir := made(t, nil)
	s, err := corestore.Open(dir, corestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	x := &examination{Options: Options{Dir: dir}}
	if c := x.process(ctx); c.Code != control.InUse || !strings.Contains(c.Text, fmt.Sprint(os.Getpid())) {
		t.Errorf("a holder without a socket: %+v", c)
	}
	if pid, err := corestore.Holder(dir); pid != os.Getpid() || err != nil {
		t.Errorf("the holder is %d, %v", pid, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if pid, err := corestore.Holder(dir); pid != 0 || err != nil {
		t.Errorf("the holder of a store that is closed is %d, %v", pid, err)
	}
}

func TestClockBehindBuild(t *testing.T) {
	for after, want := range map[time.Duration]State{-time.Hour: OK, time.Minute: OK, time.Hour: Problem} {
		if c := examine(t, Options{Dir: t.TempDir(), Built: time.Now().Add(after)})["clock"]; c.State != want {
			t.Errorf("built %v from now: %+v", after, c)
		}
	}
}

// TestHeldAndDamaged: what the records say is told.
func TestHeldAndDamaged(t *testing.T) {
	dir := made(t, nil)
	if err := os.Rename(dir, dir+" moved"); err != nil {
		t.Fatal(err)
	}
	// A move within a volume keeps the inode; another machine id would not.
	s, err := corestore.Open(dir+" moved", corestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	copied := dir + " copied"
	if err := os.CopyFS(copied, os.DirFS(dir+" moved")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", "primary-key", "multicore.db"} {
		mode := os.FileMode(0o600)
		if name == "." {
			mode = 0o700
		}
		if err := os.Chmod(filepath.Join(copied, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	s, err = corestore.Open(copied, corestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if c := examine(t, Options{Dir: copied})["store"]; c.State != Problem || !strings.Contains(c.Text, "copy") {
		t.Errorf("of a copy: %+v", c)
	}

	name := filepath.Join(copied, "multicore.db")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 10, len(whole) / 2, len(whole) - 4096} {
		if err := os.WriteFile(name, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		examine(t, Options{Dir: copied}) // what it says of a half one is bbolt's; it must say it
	}
	for at := 0; at < len(whole); at += 512 {
		damaged := append([]byte(nil), whole...)
		for i := range 64 {
			damaged[at+i] ^= 0xff
		}
		if err := os.WriteFile(name, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		x := &examination{Options: Options{Dir: copied}}
		x.inspection = func() (*corestore.Inspection, error) { return corestore.Inspect(t.Context(), copied) }
		x.store(t.Context())
	}
}

func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &examination{Options: Options{Deadline: 10 * time.Second}}
		began := time.Now()
		hang := make(chan struct{})
		c := x.bounded(t.Context(), "disk", func(context.Context) Check { <-hang; return ok("late") })
		close(hang)
		if took := time.Since(began); c.State != Problem || c.Code != control.Timeout || c.Name != "disk" || took > 11*time.Second {
			t.Errorf("after %v: %+v", took, c)
		}
		c = x.bounded(t.Context(), "dht", func(ctx context.Context) Check { <-ctx.Done(); return unknown("asked in vain") })
		if c.State != Unknown || c.Text != "asked in vain" {
			t.Errorf("one that minds its context: %+v", c)
		}
	})
}

func TestCode(t *testing.T) {
	for want, checks := range map[control.Code][]Check{
		0:                {{State: OK}, {State: Unknown}},
		control.FUSE:     {{State: OK}, {State: Problem, Code: control.FUSE}, {State: Problem, Code: control.FUSE}},
		control.Other:    {{State: Problem, Code: control.FUSE}, {State: Problem, Code: control.DiskFull}},
		control.DiskFull: {{State: Unknown}, {State: Problem, Code: control.DiskFull}},
	} {
		if got := (&Report{Checks: checks}).Code(); got != want {
			t.Errorf("%v: code %d, want %d", checks, got, want)
		}
	}
}

// TestRunningNode: what is made of what a node says of its network.
func TestRunningNode(t *testing.T) {
	at := time.Now()
	taken := []control.ListenFailure{{Addr: "/ip6/::/tcp/1", Reason: "no IPv6"}, {Addr: "/ip4/0.0.0.0/tcp/1", Taken: true}}
	for name, tt := range map[string]struct {
		check func(*control.Node) Check
		node  control.Node
		state State
		says  string
	}{
		"listens":               {listening, control.Node{Addrs: []string{"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/udp/1/quic-v1"}}, OK, "2 addresses"},
		"has no IPv6":           {listening, control.Node{Addrs: []string{"/ip4/1.2.3.4/tcp/1"}, NotListening: taken[:1]}, OK, "1 address"},
		"has another port":      {listening, control.Node{Addrs: []string{"/ip4/1.2.3.4/tcp/2"}, NotListening: taken}, Problem, "/ip4/0.0.0.0/tcp/1 is taken"},
		"listens nowhere":       {listening, control.Node{NotListening: taken[:1]}, Problem, "no IPv6"},
		"has nothing to listen": {listening, control.Node{}, Problem, "nowhere"},

		"knows nobody":         {table, control.Node{DHT: control.DHT{Mode: "public", Announce: true}}, Problem, "empty"},
		"is not heard":         {table, control.Node{DHT: control.DHT{Mode: "public", RoutingTable: 9, Announce: true, NotAnnounced: "no address to announce"}}, Problem, "no address to announce"},
		"keeps still":          {table, control.Node{DHT: control.DHT{Mode: "public", RoutingTable: 9}}, OK, "--announce=false"},
		"has not begun":        {table, control.Node{DHT: control.DHT{Mode: "public", RoutingTable: 9, Announce: true}}, OK, "yet"},
		"has been announced":   {table, control.Node{DHT: control.DHT{Mode: "private", RoutingTable: 1, Announce: true, LastProvide: &at}}, OK, "1 node in"},
		"is public":            {wayIn, control.Node{Reachability: "public"}, OK, "outside"},
		"is behind a NAT":      {wayIn, control.Node{Reachability: "private", Addrs: []string{"/ip4/10.0.0.1/tcp/1"}}, Problem, "NAT"},
		"has a relay":          {wayIn, control.Node{Reachability: "private", Addrs: []string{"/ip4/1.2.3.4/tcp/1/p2p/X/p2p-circuit/p2p/Y"}}, OK, "relay"},
		"is not known":         {wayIn, control.Node{Reachability: "unknown", DHT: control.DHT{Mode: "public"}}, Unknown, "yet"},
		"is among its own":     {wayIn, control.Node{Reachability: "unknown", DHT: control.DHT{Mode: "private"}}, Unknown, "public DHT"},
		"is private, no relay": {wayIn, control.Node{Reachability: "private"}, Problem, "no relay"},
	} {
		c := tt.check(&tt.node)
		if c.State != tt.state || !strings.Contains(c.Text, tt.says) || (c.Remedy != "") != (c.State == Problem) {
			t.Errorf("a node that %s: %+v", name, c)
		}
	}
}
