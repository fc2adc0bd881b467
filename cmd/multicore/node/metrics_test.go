package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"multicore/cmd/multicore/control"
	"multicore/corestore"
	"multicore/fs"
)

// measured is a node that serves metrics, on loopback.
func measured(t *testing.T, peers ...string) *Node {
	t.Helper()
	n, err := Open(t.Context(), Options{
		Dir: filepath.Join(t.TempDir(), "store"), Create: true, Metrics: "127.0.0.1:0", Version: "test",
		Network: &Network{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, DHT: "private", Peers: peers, Announce: true, CacheSize: 1 << 30},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// page is what a node's /metrics says now.
func page(t *testing.T, n *Node) string {
	t.Helper()
	st, err := n.Status(t.Context())
	if err != nil || st.Node.Metrics == nil {
		t.Fatalf("%+v, %v", st, err)
	}
	resp, err := http.Get("http://" + *st.Node.Metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", resp.Status, err, text)
	}
	return string(text)
}

// figures maps each series of a page to its value.
func figures(t *testing.T, page string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(page) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[line[:i]] = v
	}
	return all
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !cond(); <-tick.C {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("still not: %s", what)
		}
	}
}

// TestMetrics appends through a mount, has another node fetch that, and compares
// what both say of it with what was done.
func TestMetrics(t *testing.T) {
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err == nil {
		f.Close()
	} else if os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else {
		t.Skip("no FUSE: ", err)
	}
	w := measured(t)
	mnt := filepath.Join(t.TempDir(), "mnt")
	m, err := w.mount(t.Context(), control.MountRequest{Path: mnt})
	if err != nil {
		t.Fatal(err)
	}
	r := measured(t, addr(t, w))
	before, empty := figures(t, page(t, w)), figures(t, page(t, r))
	const blocks, size = 10, 100
	for i := range blocks {
		f, err := os.OpenFile(filepath.Join(mnt, "append"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(f, "%0*d\n", size-1, i)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Open(filepath.Join(mnt, "core-3", "blocks", "99")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := r.Follow(t.Context(), control.FollowRequest{Key: m.key.String(), Wait: true}, untold); err != nil {
		t.Fatal(err)
	}
	await(t, "the writer knows of the copy", func() bool {
		return figures(t, page(t, w))[`multicore_core_full_replicas{core="core-3"}`] == 1
	})

	await(t, "the reader has counted the last block", func() bool {
		return figures(t, page(t, r))["multicore_received_blocks_total"] == blocks+1
	})
	writer, reader := page(t, w), page(t, r)
	after, got := figures(t, writer), figures(t, reader)
	for series, want := range map[string]float64{
		"multicore_appended_blocks_total":                                               blocks,
		"multicore_appended_bytes_total":                                                blocks * size,
		`multicore_core_blocks{core="core-3"}`:                                          blocks,
		`multicore_core_durable_blocks{core="core-3"}`:                                  blocks,
		`multicore_core_bytes{core="core-3"}`:                                           blocks * size,
		`multicore_core_full_replicas{core="core-3"}`:                                   1,
		`multicore_core_peers{core="core-3"}`:                                           1,
		`multicore_core_failed{core="core-3"}`:                                          0,
		`multicore_fuse_operation_duration_seconds_count{operation="write"}`:            blocks,
		`multicore_fuse_operation_duration_seconds_count{operation="fsync"}`:            blocks,
		`multicore_fuse_operation_duration_seconds_bucket{operation="write",le="+Inf"}`: blocks,
		`multicore_fuse_errors_total{operation="write",error="EIO"}`:                    0,
		"multicore_served_blocks_total":                                                 blocks + 1, // and block 0 of main
		`multicore_verification_failures_total{source="peer"}`:                          0,
		`multicore_verification_failures_total{source="disk"}`:                          0,
	} {
		if moved := after[series] - before[series]; moved != want {
			t.Errorf("the writer: %s moved by %v, want %v", series, moved, want)
		}
	}
	for series, want := range map[string]float64{
		"multicore_received_blocks_total":                      blocks + 1,
		"multicore_followed":                                   1,
		"multicore_appended_blocks_total":                      0,
		`multicore_verification_failures_total{source="peer"}`: 0,
	} {
		if moved := got[series] - empty[series]; moved != want {
			t.Errorf("the reader: %s moved by %v, want %v", series, moved, want)
		}
	}
	for series, least := range map[string]float64{
		"multicore_mounts": 1, `multicore_peers{transport="tcp"}`: 1, "multicore_open_cores": 3, "multicore_dht_routing_table_peers": 1,
		"multicore_flush_duration_seconds_count": 1, "multicore_flush_cores_sum": 1, "multicore_replication_sent_bytes_total": blocks * size,
		"multicore_cache_limit_bytes": 1 << 30, "go_goroutines": 1, "process_open_fds": 1,
		`multicore_fuse_operation_duration_seconds_count{operation="lookup"}`: 1,
	} {
		if after[series] < least {
			t.Errorf("the writer: %s is %v, want at least %v", series, after[series], least)
		}
	}
	if after["multicore_served_bytes_total"] != got["multicore_received_bytes_total"] || got["multicore_received_bytes_total"] < blocks*size {
		t.Errorf("%v bytes were served, %v received", after["multicore_served_bytes_total"], got["multicore_received_bytes_total"])
	}
	for _, part := range []string{`multicore_build_info{`, `version="test"`, "libp2p_swarm_connections_opened_total{", "libp2p_rcmgr_connections{"} {
		if !strings.Contains(writer, part) {
			t.Errorf("the page lacks %s", part)
		}
	}
	if strings.Contains(writer, m.key.String()) || strings.Contains(reader, m.key.String()) {
		t.Error("the page has a core key")
	}
	lint(t, writer)
	lint(t, reader)
}

// lint checks a page by the conventions of Prometheus.
func lint(t *testing.T, page string) {
	t.Helper()
	problems, err := promlint.New(bytes.NewReader([]byte(page))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestMetricsAlone: the address serves metrics and nothing else, in particular
// no profiles.
func TestMetricsAlone(t *testing.T) {
	n := measured(t)
	for _, path := range []string{"/", "/debug/pprof/", "/debug/vars", "/metrics/x", "/v1/status"} {
		resp, err := http.Get("http://" + n.metrics.addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	resp, err := http.Post("http://"+n.metrics.addr()+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
	addr := n.metrics.addr()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the address is not let go: %v", err)
	}
	l.Close()
}

// TestMetricsRefused: an address that is taken, or none, ends the start before
// anything is made.
func TestMetricsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for addr, code := range map[string]control.Code{
		l.Addr().String(): control.Other, "127.0.0.1": control.Usage, "127.0.0.1:metrics-of-mine": control.Usage, "203.0.113.7:0": control.Usage,
	} {
		dir := filepath.Join(t.TempDir(), "store")
		n, err := Open(t.Context(), Options{Dir: dir, Create: true, Metrics: addr, Network: &Network{DHT: "off"}})
		if err == nil {
			n.Close()
		}
		if control.CodeOf(err) != code || err == nil || !strings.Contains(err.Error(), "--metrics "+addr) {
			t.Errorf("%s: %v", addr, err)
		}
		if corestore.Exists(dir) {
			t.Errorf("%s: a store was made", addr)
		}
	}
}

// BenchmarkOperation is what metrics add to an operation of the mount.
func BenchmarkOperation(b *testing.B) {
	m, err := listenMetrics("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer m.close()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			m.operation(fs.Operation{Name: "write", Took: 20 * time.Microsecond})
		}
	})
}
