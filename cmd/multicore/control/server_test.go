package control

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDialWithoutServer(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(context.Background(), dir); !errors.Is(err, ErrNoServer) {
		t.Errorf("no socket: %v", err)
	}
	if _, err := Dial(context.Background(), filepath.Join(dir, "missing")); !errors.Is(err, ErrNoServer) {
		t.Errorf("no directory: %v", err)
	}
	stale(t, dir)
	if _, err := Dial(context.Background(), dir); !errors.Is(err, ErrNoServer) {
		t.Errorf("stale socket: %v", err)
	}
}

// stale leaves a socket file that nobody listens on.
func stale(t *testing.T, dir string) {
	t.Helper()
	l, err := listen(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := os.Lstat(socketIn(dir)); err != nil {
		t.Fatal(err)
	}
}

func TestSocketFile(t *testing.T) {
	for _, depth := range []int{0, 4} { // short, and longer than a socket address
		dir := t.TempDir()
		for range depth {
			dir = filepath.Join(dir, strings.Repeat("d", 60))
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		stale(t, dir)
		svc := &fake{key: func() (string, error) { return "k", nil }}
		s, c := serve(t, dir, svc)
		info, err := os.Lstat(socketIn(dir))
		if err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Fatalf("depth %d: mode %v, %v", depth, info.Mode(), err)
		}
		if c.PID() != os.Getpid() {
			t.Errorf("pid %d, want %d", c.PID(), os.Getpid())
		}
		if k, err := c.Key(context.Background()); k != "k" || err != nil {
			t.Errorf("Key: %q, %v", k, err)
		}
		s.Close()
		if _, err := os.Lstat(socketIn(dir)); !os.IsNotExist(err) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := c.Key(context.Background()); !errors.Is(err, ErrGone) {
			t.Errorf("call after Close: %v", err)
		}
		s.Close() // twice is fine
	}
}

// Calls that wait end at once with ErrGone; a call that works may finish.
func TestCloseDrains(t *testing.T) {
	waiting, working := make(chan bool, 2), make(chan bool, 1)
	finish := make(chan bool)
	svc := &fake{
		read: func(ctx context.Context, _ ReadRequest, _ func(Item) error) error {
			waiting <- true
			<-ctx.Done()
			return ctx.Err()
		},
		follow: func(ctx context.Context, _ FollowRequest, _ func(Following) error) error {
			waiting <- true
			<-ctx.Done()
			return fmt.Errorf("wait: %w", ctx.Err())
		},
		status: func(context.Context) (*Status, error) {
			working <- true
			<-finish
			return &Status{V: 1}, nil
		},
	}
	s, c := serve(t, t.TempDir(), svc)
	ctx := context.Background()
	gone, done := make(chan error, 2), make(chan error, 1)
	go func() { gone <- c.Read(ctx, ReadRequest{Follow: true}, nil) }()
	go func() { gone <- c.Follow(ctx, FollowRequest{Wait: true}, nil) }()
	go func() { _, err := c.Status(ctx); done <- err }()
	within(t, "read or follow", waiting)
	within(t, "read or follow", waiting)
	within(t, "status", working)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	for range 2 {
		if err := within(t, "waiting call", gone); !errors.Is(err, ErrGone) {
			t.Errorf("waiting call: %v", err)
		}
	}
	finish <- true
	if err := within(t, "working call", done); err != nil {
		t.Errorf("working call: %v", err)
	}
	within(t, "Close", closed)
}

// An append whose input stalls does not hold up Close for long.
func TestCloseCutsStalledAppend(t *testing.T) {
	started := make(chan bool, 1)
	svc := &fake{append: func(_ context.Context, _ AppendRequest, in io.Reader) (*AppendResult, error) {
		started <- true
		_, err := io.ReadAll(in)
		return nil, err
	}}
	s, c := serve(t, t.TempDir(), svc)
	pr, pw := io.Pipe()
	defer pw.Close()
	result := make(chan error, 1)
	go func() { _, err := c.Append(context.Background(), AppendRequest{}, pr); result <- err }()
	go pw.Write([]byte("x"))
	within(t, "append", started)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	if err := within(t, "client", result); !errors.Is(err, ErrGone) {
		t.Errorf("client: %v", err)
	}
	within(t, "Close", closed)
}

func TestVersions(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, &fake{})
	for _, version := range []string{"", "98"} {
		resp, body := raw(t, dir, "POST /v1/hello HTTP/1.1\r\nHost: x\r\n"+versionHeader+": "+version+"\r\nContent-Length: 2\r\n\r\n{}")
		if resp.StatusCode == http.StatusOK || !strings.Contains(body, "use the same multicore for both") {
			t.Errorf("client %q: %s %s", version, resp.Status, body)
		}
		if resp.Header.Get(versionHeader) != protocolVersion {
			t.Errorf("client %q: answered as %q", version, resp.Header.Get(versionHeader))
		}
	}

	// A server of another protocol.
	other := t.TempDir()
	l, err := listen(context.Background(), other)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(versionHeader, "99")
		io.WriteString(w, "{}")
	})}
	go srv.Serve(l)
	defer srv.Close()
	_, err = Dial(context.Background(), other)
	wantCode(t, err, Other, fmt.Sprintf(`process %d, which holds %s, speaks control version "99", this command %q: use the same multicore for both`, os.Getpid(), other, protocolVersion))
}

// raw sends bytes as they are and gives the answer.
func raw(t *testing.T, dir, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("unix", socketIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	go io.WriteString(conn, request) // the server may stop reading
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestHostileClients(t *testing.T) {
	dir := t.TempDir()
	_, c := serve(t, dir, &fake{key: func() (string, error) { return "k", nil }})
	head := "Host: x\r\n" + versionHeader + ": " + protocolVersion + "\r\n"
	for name, tt := range map[string]struct {
		request string
		status  int
	}{
		"header too large": {"POST /v1/key HTTP/1.1\r\n" + head + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"body too large":   {"POST /v1/status HTTP/1.1\r\n" + head + "Content-Length: 2000002\r\n\r\n\"" + strings.Repeat("x", 2000000) + "\"", http.StatusInternalServerError},
		"not JSON":         {"POST /v1/read HTTP/1.1\r\n" + head + "Content-Length: 3\r\n\r\n{,}", http.StatusInternalServerError},
		"not HTTP":         {"\x00\x01\x02\r\n\r\n", http.StatusBadRequest},
		"no such method":   {"POST /v1/x HTTP/1.1\r\n" + head + "\r\n", http.StatusNotFound},
		"a GET":            {"GET /v1/key HTTP/1.1\r\n" + head + "\r\n", http.StatusMethodNotAllowed},
		"bad number":       {"POST /v1/append?max_message=-1 HTTP/1.1\r\n" + head + "\r\n", http.StatusInternalServerError},
	} {
		if resp, body := raw(t, dir, tt.request); resp.StatusCode != tt.status {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	if _, err := c.Key(context.Background()); err != nil {
		t.Errorf("the server does not go on: %v", err)
	}
}

// A server that sends nonsense for items.
func TestHostileFrames(t *testing.T) {
	frame := func(kind byte, h, b uint32, rest string) string {
		buf := binary.BigEndian.AppendUint32([]byte{kind}, h)
		return string(binary.BigEndian.AppendUint32(buf, b)) + rest
	}
	for name, tt := range map[string]struct{ stream, want string }{
		"cut off":        {frame('b', 2, 100, "{}x"), ErrGone.Error()},
		"nothing":        {"", ErrGone.Error()},
		"header too big": {frame('i', 1<<31, 0, ""), "frame of 2147483648 and 0 bytes, at most 65536 and 16777216 fit"},
		"block too big":  {frame('b', 2, 1<<32-1, "{}"), "frame of 2 and 4294967295 bytes, at most 65536 and 16777216 fit"},
		"not JSON":       {frame('i', 1, 0, "{"), "bad item: unexpected end of JSON input"},
		"unknown":        {frame('?', 0, 0, ""), `unknown frame '?'`},
	} {
		if _, err := readItem(strings.NewReader(tt.stream)); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}

func TestDialUnanswered(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for an answer that does not come")
	}
	dir := t.TempDir()
	l, err := listen(context.Background(), dir) // accepts in the kernel only
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Dial(context.Background(), dir)
	wantCode(t, err, InUse, fmt.Sprintf("store %s is in use by process %d, which does not answer", dir, os.Getpid()))
}
