package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// mountpoint is a fake's mount, which lasts until it is unmounted or its context
// ends.
type mountpoint struct {
	request   MountRequest
	unmounted chan error // what Mount is to return
	left      chan bool  // gets a value when the context ended first
}

func newMountpoint() *mountpoint {
	return &mountpoint{unmounted: make(chan error, 1), left: make(chan bool, 1)}
}

func (m *mountpoint) mount(ctx context.Context, r MountRequest, emit func(Mount) error) error {
	m.request = r
	if err := emit(Mount{Path: "/m", Key: "k"}); err != nil {
		return err
	}
	select {
	case err := <-m.unmounted:
		return err
	case <-ctx.Done():
		m.left <- true
		return ctx.Err()
	}
}

// mounting calls Mount, and gives its error once it has one.
func mounting(t *testing.T, ctx context.Context, c *Client) <-chan error {
	t.Helper()
	usable, result := make(chan bool, 1), make(chan error, 1)
	go func() {
		result <- c.Mount(ctx, MountRequest{Path: "/m"}, func(m Mount) error {
			usable <- m == Mount{Path: "/m", Key: "k"}
			return nil
		})
	}()
	if !within(t, "the mount", usable) {
		t.Error("emit got another mount")
	}
	return result
}

// A mount lasts until somebody unmounts it.
func TestMountLasts(t *testing.T) {
	for _, want := range []error{nil, &Error{Code: DiskFull, Text: "not flushed"}} {
		m := newMountpoint()
		_, c := serve(t, t.TempDir(), &fake{mount: m.mount})
		result := mounting(t, context.Background(), c)
		m.unmounted <- want
		if err := within(t, "Mount", result); !reflect.DeepEqual(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func TestMountRequestArrives(t *testing.T) {
	m := newMountpoint()
	_, c := serve(t, t.TempDir(), &fake{mount: m.mount})
	owner, none := uint32(1000), uint32(0)
	want := MountRequest{
		Path: "/m\n", Key: "k", ReadOnly: true, AllowNonEmpty: true, Framing: "close", Source: "s", AllowOther: true,
		UID: &owner, GID: &none, Umask: &none, MaxMessage: 5, ReadTimeout: 7,
	}
	m.unmounted <- nil
	if err := c.Mount(context.Background(), want, func(Mount) error { return nil }); err != nil || !reflect.DeepEqual(m.request, want) {
		t.Errorf("got %+v, %v", m.request, err)
	}
}

// The end of the caller's context unmounts, and Mount returns after that.
func TestMountEndsWithContext(t *testing.T) {
	failed := &Error{Code: DiskFull, Text: "not flushed"}
	for _, tt := range []struct {
		name    string
		unmount error // of Unmount
		want    error
	}{
		{"unmounted", nil, context.Canceled},
		{"not flushed", failed, failed},
		{"somebody else was faster", &Error{Code: NotFound, Text: "no"}, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMountpoint()
			svc := &fake{mount: m.mount, byName: func(string) error {
				m.unmounted <- nil
				return tt.unmount
			}}
			_, c := serve(t, t.TempDir(), svc)
			ctx, cancel := context.WithCancel(context.Background())
			result := mounting(t, ctx, c)
			cancel()
			if err := within(t, "Mount", result); !errors.Is(err, tt.want) && !reflect.DeepEqual(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if want := []string{"unmount /m"}; !reflect.DeepEqual(svc.calls, want) {
				t.Errorf("calls %q", svc.calls)
			}
		})
	}
}

// A server that closes while the caller is told to end is no error: what unmounts
// both is often one signal.
func TestMountEndsWithContextAndServer(t *testing.T) {
	m := newMountpoint()
	asked, gone := make(chan bool, 1), make(chan bool)
	svc := &fake{mount: m.mount, byName: func(string) error {
		asked <- true
		<-gone
		return ErrGone
	}}
	s, c := serve(t, t.TempDir(), svc)
	ctx, cancel := context.WithCancel(context.Background())
	result := mounting(t, ctx, c)
	cancel()
	within(t, "Unmount", asked)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	within(t, "the end of the mount", m.left)
	close(gone)
	if err := within(t, "Mount", result); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	within(t, "Close", closed)
}

// A caller that goes away takes its mount along, and so does one whose emit fails.
func TestMountEndsWithCaller(t *testing.T) {
	m := newMountpoint()
	_, c := serve(t, t.TempDir(), &fake{mount: m.mount})
	enough := errors.New("enough")
	if err := c.Mount(context.Background(), MountRequest{}, func(Mount) error { return enough }); err != enough {
		t.Errorf("got %v, want the error of emit", err)
	}
	within(t, "the end of the mount", m.left)
}

// A server that closes unmounts, and says that it is gone.
func TestMountEndsWithServer(t *testing.T) {
	m := newMountpoint()
	s, c := serve(t, t.TempDir(), &fake{mount: m.mount})
	result := mounting(t, context.Background(), c)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	if err := within(t, "Mount", result); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want %v", err, ErrGone)
	}
	within(t, "the end of the mount", m.left)
	within(t, "Close", closed)
	if _, err := os.Lstat(filepath.Join(c.dir, socketName)); !os.IsNotExist(err) {
		t.Error(err)
	}
}
