package fs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNginx serves the mounts, and a plain directory with the same bytes, with
// nginx: with sendfile and without, and by threads.
func TestNginx(t *testing.T) {
	needTools(t, "nginx")
	blocks := mixedBlocks()
	p := newPlaces(t, blocks)
	web := startNginx(t, p.all())
	type answer struct {
		status       int
		length, kind string
		body         []byte
	}
	get := func(path, method, bytesRange string) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(deadline(t), method, "http://nginx/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if bytesRange != "" {
			r.Header.Set("Range", "bytes="+bytesRange)
		}
		a, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		body, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatalf("%s %s %s: %v", method, path, bytesRange, err)
		}
		return answer{a.StatusCode, a.Header.Get("Content-Length"), a.Header.Get("Content-Range"), body}
	}
	for _, way := range []string{"sendfile", "plain", "threads"} {
		for _, test := range []struct{ file, method, bytes string }{
			{"log", "GET", ""}, {"log", "HEAD", ""}, {"log", "GET", "1000-70000"}, {"log", "GET", "-12345"}, {"log", "GET", "99999999-"},
			{"blocks/0", "GET", ""}, {"blocks/100", "GET", ""}, {"blocks/107", "GET", "4095-4097"}, {"blocks/150", "GET", ""},
		} {
			want := get(way+"/plain/"+test.file, test.method, test.bytes)
			if test.file == "log" && test.method == "GET" && test.bytes == "" && string(want.body) != p.log {
				t.Fatalf("%s: nginx serves %d bytes of a plain log of %d, status %d", way, len(want.body), len(p.log), want.status)
			}
			for _, where := range []string{"own", "remote"} {
				got := get(way+"/"+where+"/"+test.file, test.method, test.bytes)
				if got.status != want.status || got.length != want.length || got.kind != want.kind || want.status < 300 && !bytes.Equal(got.body, want.body) {
					t.Errorf("%s %s, %s, %s, %s: got %d, length %s, range %q, %d bytes; want %d, %s, %q, %d", test.method, test.file, test.bytes, way, where,
						got.status, got.length, got.kind, len(got.body), want.status, want.length, want.kind, len(want.body))
				}
			}
		}
	}
}

// startNginx serves directories at /sendfile/NAME/, /plain/NAME/ and
// /threads/NAME/, on a unix socket.
func startNginx(t *testing.T, dirs map[string]string) *http.Client {
	t.Helper()
	dir := t.TempDir()
	short, err := os.MkdirTemp("", "nginx") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	socket := filepath.Join(short, "s")
	var locations strings.Builder
	for name, path := range dirs {
		for way, how := range map[string]string{"sendfile": "sendfile on", "plain": "sendfile off", "threads": "sendfile on; aio threads"} {
			fmt.Fprintf(&locations, "location /%s/%s/ { %s; alias %s/; }\n", way, name, how, path)
		}
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	config := fmt.Sprintf(`%s
		daemon off; pid %s/pid; error_log stderr; worker_processes 2; events {}
		http {
			access_log off; etag off;
			client_body_temp_path %[2]s/1; proxy_temp_path %[2]s/2; fastcgi_temp_path %[2]s/3; uwsgi_temp_path %[2]s/4; scgi_temp_path %[2]s/5;
			server { listen unix:%s; %s }
		}`, user, dir, socket, locations.String())
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("nginx", "-p", dir, "-e", "stderr", "-c", file)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	t.Cleanup(func() {
		c.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			t.Logf("nginx said\n%s", &said)
		}
	})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	if !poll(func() bool {
		conn, err := dial(t.Context(), "", "")
		if err == nil {
			conn.Close()
		}
		return err == nil
	}) {
		t.Fatal("nginx does not listen")
	}
	transport := &http.Transport{DialContext: dial, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
