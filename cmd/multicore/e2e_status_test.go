package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"multicore/cmd/multicore/control"
)

// TestE2EStatus checks status --json of a process with a mount, a followed
// multicore and peers, and of a store that no process serves.
func TestE2EStatus(t *testing.T) {
	p := newPair(t)
	p.sh("echo hi > w/append; echo hello > w/append; dd of=w/append conv=fsync,notrunc status=none <<< 'on the disk'")
	p.durable("writer")
	p.must("multicore", "--store", "reader", "follow", p.key, "--name", "friend", "--wait")
	eventually(t, patience, "the writer has announced itself", func() bool {
		return p.status("writer").Node.DHT.LastProvide != nil
	})
	for store, mnt := range map[string]string{"writer": "w", "reader": "r"} {
		printed := p.must("multicore", "--store", store, "status", "--json")
		if strings.Count(printed, "\n") != 1 {
			t.Errorf("status --json of the %s is %d lines", store, strings.Count(printed, "\n"))
		}
		if err := fitsSchema("status", []byte(p.must("cat", mnt+"/status.json"))); err != nil {
			t.Errorf("status.json of the %s: %v", store, err)
		}
	}

	st := p.status("writer")
	if st.V != 1 || st.MainKey == nil || *st.MainKey != p.key {
		t.Errorf("status of the writer: v %d, main_key %v", st.V, st.MainKey)
	}
	expect(t, "mounts", st.Mounts, []control.Mount{{Path: p.path("w"), Key: p.key}})
	if st.Node.DHT.Mode != "private" || st.Node.DHT.RoutingTable < 1 || len(st.Node.Addrs) == 0 {
		t.Errorf("node is %+v", st.Node)
	}
	for _, addr := range st.Node.Addrs {
		if !strings.HasPrefix(addr, "/ip4/127.0.0.1/tcp/") || !strings.HasSuffix(addr, "/p2p/"+st.Node.PeerID) {
			t.Errorf("address %s of %s", addr, st.Node.PeerID)
		}
	}
	var paths []string
	for _, c := range st.Cores {
		paths = append(paths, c.Path)
		if !c.Writable || c.ContiguousLength != c.Length || c.DurableLength != c.Length || len(c.Key) != 64 || len(c.DiscoveryKey) != 64 {
			t.Errorf("own core %+v", c)
		}
		checkInfo(t, p.lab, "w/"+c.Path, c)
	}
	expect(t, "paths of the writer's cores", paths, []string{"main", "core-2", "core-3"})

	st = p.status("reader")
	var followed, open []string
	for _, c := range st.Cores {
		if core, ok := strings.CutPrefix(c.Path, p.key+"/"); ok {
			open = append(open, core)
			if c.Writable || c.Peers != 1 || c.FullReplicas != 1 {
				t.Errorf("core of the followed multicore %+v, want one peer that has all", c)
			}
			checkInfo(t, p.lab, "r/"+c.Path, c)
		}
	}
	for _, c := range st.Followed[0].Cores {
		followed = append(followed, c.Path)
		if c.ContiguousLength != c.Length || c.Length == 0 {
			t.Errorf("followed core %+v, want all of it", c)
		}
	}
	expect(t, "open cores of the followed multicore", open, []string{"main", "core-2", "core-3"})
	expect(t, "followed cores", followed, []string{p.key + "/main", p.key + "/core-2", p.key + "/core-3"})
	if !slices.ContainsFunc(st.Peers, func(peer control.Peer) bool {
		return peer.ID == p.status("writer").Node.PeerID && peer.Transport == "tcp" && !peer.Relayed && peer.ReceivedBytes > 0 && peer.SentBytes > 0
	}) {
		t.Errorf("the writer is not among the peers %+v", st.Peers)
	}

	p.reader.stop()
	if st := p.status("reader"); st.Node != nil || len(st.Mounts) != 0 || len(st.Peers) != 0 || len(st.Followed) != 1 || len(st.Followed[0].Cores) != 3 {
		t.Errorf("status without a process: %+v", st)
	}
}

// checkInfo compares a core's info.json with what status says of it, but for
// who is connected.
func checkInfo(t *testing.T, l *lab, dir string, want control.Core) {
	t.Helper()
	var got control.Core
	text := []byte(l.must("cat", dir+"/info.json"))
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if err := fitsSchema("core", text); err != nil {
		t.Errorf("%s/info.json: %v", dir, err)
	}
	got.Peers, got.FullReplicas, want.Peers, want.FullReplicas = 0, 0, 0, 0
	if got != want {
		t.Errorf("%s/info.json is %+v, status says %+v", dir, got, want)
	}
}
