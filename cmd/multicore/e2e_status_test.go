package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"multicore/cmd/multicore/control"
)

// statusShape is the object of `status --json`: each field with an example of
// what it may hold; a slice is of any length, a pointer may be null.
const coreShape = `{"path":"","key":"","discovery_key":"","length":0,"byte_length":0,"contiguous_length":0,"held_blocks":0,
	"durable_length":0,"fork":0,"writable":true,"peers":0,"full_replicas":0,"conflict":false}`

const statusShape = `{"v":1,"main_key":"",
	"mounts":[{"path":"","key":"","read_only":true}],
	"node":{"peer_id":"","addrs":[""],"hypercore_tcp":null,"dht":{"mode":"","routing_table":0,"last_provide":"","announce":true,"not_announced":""},
		"reachability":"","not_listening":[{"addr":"","reason":"","taken":true}]},
	"cores":[` + coreShape + `],
	"followed":[{"key":"","name":"","keep_last":0,"max_storage":0,"cores":[` + coreShape + `]}],
	"peers":[{"id":"","addr":"","transport":"","relayed":true,"rtt_ms":0,"sent_bytes":0,"received_bytes":0}]}`

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
		checkShape(t, store, parse(t, printed), parse(t, statusShape))
		checkShape(t, store+"'s status.json", parse(t, p.must("cat", mnt+"/status.json")), parse(t, statusShape))
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
	checkShape(t, "a store that no process serves", parse(t, p.must("multicore", "--store", "reader", "status", "--json")), parse(t, statusShape))
}

// checkInfo compares a core's info.json with what status says of it, but for
// who is connected.
func checkInfo(t *testing.T, l *lab, dir string, want control.Core) {
	t.Helper()
	var got control.Core
	if err := json.Unmarshal([]byte(l.must("cat", dir+"/info.json")), &got); err != nil {
		t.Fatal(err)
	}
	got.Peers, got.FullReplicas, want.Peers, want.FullReplicas = 0, 0, 0, 0
	if got != want {
		t.Errorf("%s/info.json is %+v, status says %+v", dir, got, want)
	}
}

func parse(t *testing.T, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return v
}

// mayBeNull and mayBeMissing are the fields that are not always there.
var (
	mayBeNull    = []string{".main_key", ".node", ".node.dht.last_provide"}
	mayBeMissing = []string{".node.dht.not_announced", ".followed[].name", ".followed[].keep_last", ".followed[].max_storage"}
)

// checkShape compares the fields and types of got with those of an example.
func checkShape(t *testing.T, what string, got, shape any) {
	t.Helper()
	var walk func(path string, got, shape any)
	walk = func(path string, got, shape any) {
		if got == nil && slices.Contains(mayBeNull, path) || shape == nil {
			return
		}
		switch shape := shape.(type) {
		case map[string]any:
			object, ok := got.(map[string]any)
			if !ok {
				t.Errorf("%s: %s is %v, want an object", what, path, got)
				return
			}
			for _, name := range slices.Sorted(maps.Keys(shape)) {
				value, there := object[name]
				if field := path + "." + name; there {
					walk(field, value, shape[name])
				} else if !slices.Contains(mayBeMissing, field) {
					t.Errorf("%s: %s is missing", what, field)
				}
			}
			for name := range object {
				if _, known := shape[name]; !known {
					t.Errorf("%s: %s.%s is in no description", what, path, name)
				}
			}
		case []any:
			list, ok := got.([]any)
			if !ok {
				t.Errorf("%s: %s is %v, want an array", what, path, got)
			}
			for _, value := range list {
				walk(path+"[]", value, shape[0])
			}
		default:
			if g, w := fmt.Sprintf("%T", got), fmt.Sprintf("%T", shape); g != w {
				t.Errorf("%s: %s is a %s, want a %s", what, path, g, w)
			}
		}
	}
	walk("", got, shape)
}
