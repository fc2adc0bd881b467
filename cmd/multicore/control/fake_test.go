package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// fake is a Service whose methods are set one by one.
type fake struct {
	mu       sync.Mutex
	calls    []string
	status   func(context.Context) (*Status, error)
	peers    *Peers
	key      func() (string, error)
	append   func(context.Context, AppendRequest, io.Reader) (*AppendResult, error)
	read     func(context.Context, ReadRequest, func(Item) error) error
	follow   func(context.Context, FollowRequest, func(Following) error) error
	byName   func(string) error
	verify   func(context.Context, VerifyRequest, func(Verified) error) error
	mount    func(context.Context, MountRequest, func(Mount) error) error
	followed []Followed
}

func (f *fake) called(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
}

func (f *fake) Status(ctx context.Context) (*Status, error) { return f.status(ctx) }
func (f *fake) Peers(context.Context) (*Peers, error)       { return f.peers, nil }
func (f *fake) Key(context.Context) (string, error)         { return f.key() }
func (f *fake) Init(context.Context) (string, bool, error) {
	key, err := f.key()
	return key, true, err
}
func (f *fake) Append(ctx context.Context, r AppendRequest, in io.Reader) (*AppendResult, error) {
	return f.append(ctx, r, in)
}
func (f *fake) Read(ctx context.Context, r ReadRequest, emit func(Item) error) error {
	return f.read(ctx, r, emit)
}
func (f *fake) Follow(ctx context.Context, r FollowRequest, emit func(Following) error) error {
	return f.follow(ctx, r, emit)
}
func (f *fake) List(context.Context) ([]Followed, error) { return f.followed, nil }
func (f *fake) Unfollow(_ context.Context, name string) (string, error) {
	f.called("unfollow " + name)
	return "key of " + name, f.byName(name)
}
func (f *fake) Verify(ctx context.Context, r VerifyRequest, emit func(Verified) error) error {
	return f.verify(ctx, r, emit)
}
func (f *fake) Mount(ctx context.Context, r MountRequest, emit func(Mount) error) error {
	return f.mount(ctx, r, emit)
}
func (f *fake) Unmount(_ context.Context, path string) (bool, error) {
	f.called("unmount " + path)
	return path == "/last", f.byName(path)
}
func (f *fake) Clear(_ context.Context, r ClearRequest) (*ClearResult, error) {
	f.called(fmt.Sprintf("clear %s %v %t", r.Path, r.Spans, r.Force))
	return &ClearResult{Path: r.Path, Blocks: 3, Bytes: 30, Note: "a note"}, f.byName(r.Path)
}
func (f *fake) Purge(_ context.Context, name string) (*PurgeResult, error) {
	f.called("purge " + name)
	return &PurgeResult{Key: name, Cores: 3}, f.byName(name)
}
func (f *fake) Yield(context.Context) error {
	f.called("yield")
	return f.byName("yield")
}

// serve gives a server for svc in a fresh store directory, and a client of it.
func serve(t *testing.T, dir string, svc Service) (*Server, *Client) {
	t.Helper()
	s, err := Serve(context.Background(), dir, svc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c, err := Dial(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, c
}

// within fails the test where ch gives nothing for a while.
func within[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: nothing happened", what)
		panic("unreachable")
	}
}

func wantCode(t *testing.T, err error, code Code, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || e.Text != text {
		t.Fatalf("got %#v, want code %d and %q", err, code, text)
	}
}

// socketIn is the path of the socket in dir.
func socketIn(dir string) string { return filepath.Join(dir, socketName) }
